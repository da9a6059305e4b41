"""Finds and repairs what webhooks did not tell."""
