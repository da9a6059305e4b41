"""Rotation of the webhook signing secret, by a second endpoint at Stripe."""
