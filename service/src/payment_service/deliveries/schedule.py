"""When the next attempt of a delivery is due: ten attempts within 75 hours, as Standard Webhooks suggests."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from random import Random

DELAYS: Final = (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""Seconds from an attempt that failed to the next one, in the mean: 5 s, 5 min, 30 min, 2, 5, 10, 14, 20 and 24 h."""
ATTEMPTS: Final = len(DELAYS) + 1
JITTER: Final = 0.2
"""By which part a delay is longer or shorter: what failed together does not come back together."""
MAXIMUM_RETRY_AFTER: Final = 86_400.0
"""Seconds: a receiver postpones one attempt by no more than the longest delay, and cannot park events for ever."""
_SECONDS: Final = re.compile(r"[0-9]{1,9}")


def next_attempt(made: int, *, now: datetime, retry_after: float | None, random: Random) -> datetime | None:
    """Return when to try again, or None after the last attempt.

    Args:
        made: how many attempts were made, 1 or more; the last one failed just now.
        now: the end of that attempt.
        retry_after: seconds that the receiver asked to be left alone, see `parse_retry_after`: never sooner than that.
        random: where the jitter comes from.
    """
    if made >= ATTEMPTS:
        return None
    seconds = DELAYS[made - 1] * random.uniform(1 - JITTER, 1 + JITTER)
    if retry_after is not None:
        seconds = max(seconds, min(retry_after, MAXIMUM_RETRY_AFTER) * random.uniform(1, 1 + JITTER))
    return now + timedelta(seconds=seconds)


def parse_retry_after(text: str | None, *, now: datetime) -> float | None:
    """Return the seconds that a `Retry-After` asks for (RFC 9110, section 10.2.3): a number or a date.

    Bounded to 0 to `MAXIMUM_RETRY_AFTER`; what is neither is None.
    """
    value = (text or "").strip()
    if _SECONDS.fullmatch(value):
        return min(float(value), MAXIMUM_RETRY_AFTER)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    if moment.tzinfo is None:  # "-0000": the date is in UTC all the same
        moment = moment.replace(tzinfo=UTC)
    return min(max((moment - now).total_seconds(), 0.0), MAXIMUM_RETRY_AFTER)
