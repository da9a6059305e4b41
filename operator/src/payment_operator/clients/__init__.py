"""Who is talked to: the API server, the pods, Stripe and the database. Each is the only way there."""
