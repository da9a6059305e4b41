"""Manifests from a specification: pure functions."""
