"""Idempotency keys and the crash-safe operations behind them."""
