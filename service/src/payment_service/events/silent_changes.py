"""Objects that change with another one without an event of their own. Pure.

Stripe tells that a refund failed or a charge is disputed by events of the refund and the dispute only; the charge gives
its refunded amount back, or is marked as disputed, in silence. Each kind of object says which others change so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from payment_service.events.rows import row_of_ours
from payment_service.events.snapshots import kind_of
from payment_service.mirror.kind import shows_state

if TYPE_CHECKING:
    from datetime import datetime

    from payment_service.events.rows import EventRow
    from payment_service.events.schemas import InboxEvent
    from payment_service.json_types import JsonObject


def consequence(event: InboxEvent, obj: JsonObject, *, now: datetime) -> EventRow | None:
    """Return the inbox row that lets the object be fetched that changed with `obj`, which an event has told of."""
    kind = kind_of(event)
    if kind is None or kind.silent_change is None or not shows_state(obj):
        return None
    changed = kind.silent_change(obj)
    if changed is None:
        return None
    return row_of_ours(
        changed.kind,
        {"id": changed.id, "object": changed.kind},
        event_id=f"rec_{event.id}",
        as_of=event.stripe_created,
        livemode=event.livemode,
        now=now,
        fetch=True,
    )
