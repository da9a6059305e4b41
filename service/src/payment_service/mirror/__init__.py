"""Stripe's objects as rows. Each kind is a module: what is read of an object, its table, its events, whom it is about.

A new kind is such a module, its line in `registry` and a migration. Inbox, import, sweep and erasure know it by that.
"""
