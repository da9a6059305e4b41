"""Objects that change with another one without an event of their own. Pure.

Stripe tells that a refund failed or a charge is disputed by events of the refund and the dispute only; the charge gives
its refunded amount back, or is marked as disputed, in silence. Each kind of object says which others change so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from payment_service.events.rows import row_of
from payment_service.events.snapshots import kind_of
from payment_service.mirror.kind import shows_state

if TYPE_CHECKING:
    from datetime import datetime

    from payment_service.events.rows import EventRow
    from payment_service.events.schemas import InboxEvent
    from payment_service.json_types import JsonObject


def consequences(event: InboxEvent, obj: JsonObject, *, now: datetime) -> list[EventRow]:
    """Return inbox rows that let the objects be fetched that changed with `obj`, which an event has told of."""
    kind = kind_of(event)
    if kind is None or not shows_state(obj):
        return []
    changed = None if kind.silent_change is None else kind.silent_change(obj)
    if changed is None:
        return []
    told = {
        "id": f"rec_{event.id}",
        "object": "event",
        "created": event.stripe_created,
        "livemode": event.livemode,
        "type": f"reconcile.{changed.kind}",
        "data": {"object": {"id": changed.id, "object": changed.kind}},
    }
    row = row_of(msgspec.json.encode(told), source="reconcile", livemode=event.livemode, now=now)
    return [{**row, "fetch": True}]
