"""Prices: the mirror of Stripe's catalogue."""
