"""When billing periods end."""

from __future__ import annotations

import calendar
from datetime import UTC, datetime, timedelta
from typing import Any


def period_end(start: int, recurring: dict[str, Any]) -> int:
    """Return when a period ends that begins at `start`; the 31st becomes the last day of a shorter month."""
    moment = datetime.fromtimestamp(start, tz=UTC)
    count = recurring["interval_count"]
    if recurring["interval"] in {"day", "week"}:
        return int((moment + timedelta(days=count * (7 if recurring["interval"] == "week" else 1))).timestamp())
    months = moment.month - 1 + count * (12 if recurring["interval"] == "year" else 1)
    year, month = moment.year + months // 12, months % 12 + 1
    day = min(moment.day, calendar.monthrange(year, month)[1])
    return int(moment.replace(year=year, month=month, day=day).timestamp())
