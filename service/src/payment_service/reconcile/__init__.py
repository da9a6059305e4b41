"""Finds what webhooks did not tell, and brings it through the inbox."""
