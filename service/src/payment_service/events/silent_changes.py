"""Objects that change with another one without an event of their own. Pure.

Stripe tells that a refund failed or a charge is disputed by events of the refund and the dispute only; the charge gives
its refunded amount back, or is marked as disputed, in silence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from payment_service.events.rows import row_of
from payment_service.mirror.kinds import kind_of
from payment_service.storage.mirror import object_id

if TYPE_CHECKING:
    from datetime import datetime

    from payment_service.events.schemas import InboxEvent

_GIVEN_BACK: Final = ("failed", "canceled")


def consequences(event: InboxEvent, obj: dict[str, Any], *, now: datetime) -> list[dict[str, Any]]:
    """Return inbox rows that let the objects be fetched that changed with `obj`, which an event has told of."""
    kind = kind_of(event)
    silent = kind == "dispute" or (kind == "refund" and obj.get("status") in _GIVEN_BACK)
    charge = object_id(obj.get("charge")) if silent else None
    if charge is None:
        return []
    told = {
        "id": f"rec_{event.id}",
        "object": "event",
        "created": event.stripe_created,
        "livemode": event.livemode,
        "type": "reconcile.charge",
        "data": {"object": {"id": charge, "object": "charge"}},
    }
    return [row_of(msgspec.json.encode(told), source="reconcile", livemode=event.livemode, now=now) | {"fetch": True}]
