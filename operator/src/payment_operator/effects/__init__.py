"""What a pass does beside writing objects: Stripe's endpoints, the database's roles, statuses and Events."""
