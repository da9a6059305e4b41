"""Subscriptions: create, read, list, cancel."""
