"""Identifiers of our own: a prefix and 32 hex digits that sort by time of creation, like UUID version 7 (RFC 9562)."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

_TIME_BITS = 48
_RANDOM_BITS = 80


def new_id(prefix: str) -> str:
    """Return a new id such as `lps_0193…`: milliseconds since the Unix epoch, then 80 random bits."""
    return _made_at(prefix, time.time_ns() // 1_000_000, secrets.randbits(_RANDOM_BITS))


def same_id(prefix: str, other: str) -> str:
    """Return the id with this prefix that has the digits of another id."""
    return f"{prefix}_{other.partition('_')[2]}"


def first_id(prefix: str, moment: datetime) -> str:
    """Return an id that sorts before every one made at `moment` or later."""
    return _made_at(prefix, int(moment.timestamp() * 1000), 0)


def _made_at(prefix: str, milliseconds: int, random: int) -> str:
    return f"{prefix}_{((milliseconds & ((1 << _TIME_BITS) - 1)) << _RANDOM_BITS) | random:032x}"
