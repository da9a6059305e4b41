"""Settings: read from the environment once, checked together, shown without secrets."""
