"""Webhook endpoints: whom events are sent to, and how that goes."""
