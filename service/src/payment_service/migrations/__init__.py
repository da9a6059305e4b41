"""Migrations: one linear alembic history.

Each file under `versions` declares `phase` (expand: the running version keeps working; contract: only once no older
version runs), `schema_number` (1, 2, … in order) and `oldest_application` (the oldest application schema number that
still works with the database after it). `schema_versions` holds them for the database: readiness and rollback compare
these numbers, never alembic's ids.
"""
