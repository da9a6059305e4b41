"""The only way to Stripe: calls, their limits, their paths, what comes back, and its signatures."""
