"""Customers: found by reference or address, or created."""
