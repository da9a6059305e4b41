"""What the features stand on: database, Redis, Stripe, metrics, logs, clock. Knows no feature."""
