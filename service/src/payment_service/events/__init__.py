"""The inbox: receives, stores and applies Stripe's events."""
