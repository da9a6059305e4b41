"""Stripe subscription billing: a payment API and its worker."""
