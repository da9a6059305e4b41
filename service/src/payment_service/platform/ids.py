"""Identifiers of our own: a prefix and 32 hex digits that sort by time of creation, like UUID version 7 (RFC 9562)."""

from __future__ import annotations

import secrets
import time

_TIME_BITS = 48
_RANDOM_BITS = 80


def new_id(prefix: str) -> str:
    """Return a new id such as `lps_0193…`: milliseconds since the Unix epoch, then 80 random bits."""
    milliseconds = time.time_ns() // 1_000_000 & ((1 << _TIME_BITS) - 1)
    return f"{prefix}_{(milliseconds << _RANDOM_BITS) | secrets.randbits(_RANDOM_BITS):032x}"
