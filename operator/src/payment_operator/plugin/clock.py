"""Times as Kubernetes writes them, and durations as people read them."""

from datetime import UTC, datetime
from typing import Final

_MINUTE: Final = 60
_HOUR: Final = 3600
_DAY: Final = 86400


def now() -> datetime:
    """Return the present time."""
    return datetime.now(UTC)


def parse(text: str | None) -> datetime | None:
    """Return the time that an RFC 3339 text names; nothing for nothing and for what is no time."""
    if not text:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def seconds_since(text: str | None, at: datetime) -> int | None:
    """Return how long ago that was; never negative, for clocks differ."""
    then = parse(text)
    return None if then is None else max(0, int((at - then).total_seconds()))


def seconds_until(text: str | None, at: datetime) -> int | None:
    """Return how long until then; zero when it has passed."""
    then = parse(text)
    return None if then is None else max(0, int((then - at).total_seconds()))


def duration(seconds: float | None) -> str:
    """Return a duration in at most two units: ``8s``, ``3m12s``, ``2h5m``, ``4d3h``."""
    if seconds is None:
        return ""
    whole = int(seconds)
    for unit, smaller, size, part in (("d", "h", _DAY, _HOUR), ("h", "m", _HOUR, _MINUTE), ("m", "s", _MINUTE, 1)):
        if whole >= size:
            rest = whole % size // part
            return f"{whole // size}{unit}" + (f"{rest}{smaller}" if rest else "")
    return f"{whole}s"
