"""Invoices and what was paid: the mirror of Stripe's billing objects."""
