"""What is read ahead goes beside nothing of its object, also when that began after the reading."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

from payment_service.endpoints.supply import Due, Supply


async def test_what_was_read_ahead_waits_for_what_is_under_way_by_then() -> None:
    tools: Any = None  # nothing is read: enough is ready
    supply = Supply("lpw_1", tools, again=True)
    rows: list[Any] = [SimpleNamespace(object_id=name) for name in ("a", "b", "c", "d")]
    supply._ready, supply._read_at = [Due(row, None) for row in rows], time.monotonic()
    assert [due.delivery for due in await supply.take(2, busy={"a", "c"})] == [rows[1], rows[3]]
    assert [due.delivery for due in await supply.take(1, busy=set())] == [rows[0]]
