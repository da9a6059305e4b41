"""Who is talked to: the API server, the pods, Stripe and PostgreSQL. Each is the only way there."""
