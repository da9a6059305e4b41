"""Logs, metrics and traces, and what may not get into them."""
