"""Kubernetes operator for payment environments."""
