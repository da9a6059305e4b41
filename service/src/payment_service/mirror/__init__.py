"""Stripe's objects as rows: which object an event tells about, how it is fetched, and the columns it becomes."""
