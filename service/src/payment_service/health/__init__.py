"""Health checks, readiness and the admin port."""
