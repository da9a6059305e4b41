"""What the parts of the scenario share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import stripe
from tests.contract.simulator.recording import soon

if TYPE_CHECKING:
    from tests.contract.simulator.recording import Running


async def pass_days(run: Running, days: int) -> None:
    """Read the events that are then too old to be listed, and move the clock."""
    await read_events(run.v1)
    run.advance(days=days)


def is_a(value: Any, kind: type) -> Any:
    assert type(value) is kind, f"{value!r} is not a {kind.__name__}"
    return value


def page_of(value: Any, kind: type) -> list[Any]:
    assert type(value) is stripe.ListObject
    for item in value.data:
        is_a(item, kind)
    return list(value.data)


async def read_events(v1: Any) -> None:
    after = None
    while True:
        params: dict[str, Any] = {"limit": 100} | ({"starting_after": after} if after else {})
        found = await v1.events.list_async(params=params)
        for event in page_of(found, stripe.Event):
            after = event.id
        if not found.has_more:
            break
    is_a(await v1.events.retrieve_async(after), stripe.Event)
    params = {"types": ["invoice.paid"], "delivery_success": True, "created": {"gte": soon(-3600)}}
    assert page_of(await v1.events.list_async(params=params), stripe.Event)
