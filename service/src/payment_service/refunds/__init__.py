"""Refunds: money of a payment that goes back."""
