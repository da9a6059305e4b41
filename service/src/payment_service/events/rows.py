"""The inbox row that a body becomes, wherever it comes from. What was signed is kept, whatever it holds."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final, TypedDict

import msgspec

from payment_service.events import payloads
from payment_service.events.retry_policy import UNREADABLE
from payment_service.events.schemas import InboxEvent
from payment_service.events.snapshots import deletes, shape_of
from payment_service.http.strict_json import storable
from payment_service.mirror.registry import KINDS
from payment_service.stripe_api.gateway import API_VERSION
from payment_service.stripe_api.objects import StripeUnreadable

if TYPE_CHECKING:
    from datetime import datetime

    from payment_service.events.payloads import Payload
    from payment_service.events.schemas import ClaimedEvent
    from payment_service.json_types import JsonObject, JsonValue

BURST_SECONDS: Final = 0.3
"""How long a doubtful event, or a hint, waits for the rest of its burst before the object is fetched."""

NOT_MIRRORED: Final = "not_mirrored"
"""Why an event is ignored: objects of its kind have no rows here."""
OTHER_ACCOUNT: Final = "other_account"
"""Why an event is ignored: it says that it is of another account, of Connect or of the organization. One that our own
account lists is ours, whatever it says: an organization's destination names the account in every event."""
GONE: Final = "gone"
"""Why an event is ignored: Stripe has no such object, and nothing tells what it was."""


class EventRow(TypedDict):
    """A row of the inbox before its first attempt."""

    id: str
    type: str
    object_id: str
    group_key: str
    api_version: str | None
    livemode: bool
    stripe_created: int
    payload: bytes
    source: str
    state: str
    attempts: int
    available_at: datetime
    received_at: datetime
    settled_at: datetime | None
    fetch: bool
    last_error: str | None


def row_of(body: bytes, *, source: str, livemode: bool, now: datetime) -> EventRow:
    """Return the row of what was received; one that cannot be read is dead from the beginning, with the reason."""
    try:
        event = payloads.read(body)
        state, reason = _state(event, livemode=livemode)
    except payloads.Unreadable as error:
        event = payloads.outline(body, livemode=livemode)
        state, reason = "dead", reason_of(error)
    return {
        "id": event.id,
        "type": event.type,
        "object_id": event.object_id,
        "group_key": event.object_id,
        "api_version": event.api_version,
        "livemode": livemode if event.livemode is None else event.livemode,
        "stripe_created": event.created,
        "payload": body,
        "source": source,
        "state": state,
        "attempts": 0,
        "available_at": now + timedelta(seconds=BURST_SECONDS) if event.thin else now,
        "received_at": now,
        "settled_at": None if state == "pending" else now,
        "fetch": event.thin and state == "pending",
        "last_error": reason,
    }


def row_of_ours(
    kind: str, obj: JsonObject, *, event_id: str, as_of: int, livemode: bool, now: datetime, fetch: bool = False
) -> EventRow:
    """Return the row of an event of ours, which shows what Stripe listed or, with `fetch`, what is to be fetched.

    Args:
        kind: of the object.
        obj: the object.
        event_id: of the event.
        as_of: when the object was so, in Stripe's seconds.
        livemode: of the account.
        now: the present time.
        fetch: whether the object is only named.
    """
    told = {
        "id": event_id,
        "object": "event",
        "created": as_of,
        "livemode": livemode,
        "type": f"reconcile.{kind}",
        "data": {"object": obj},
    }
    shown = told if fetch else told | {"api_version": API_VERSION}
    row = row_of(msgspec.json.encode(shown), source="reconcile", livemode=livemode, now=now)
    return {**row, "fetch": fetch}


def reason_of(error: payloads.Unreadable) -> str:
    """Return the reason as the row keeps it."""
    return f"{UNREADABLE}: {error}"


def to_event(row: ClaimedEvent) -> InboxEvent:
    """Read a claimed row.

    Raises:
        Unreadable: its payload is no event, not the one that the row is about, or shows an object that fits no row.
    """
    payload = payloads.read(bytes(row.payload))
    if (payload.id, payload.object_id) != (row.id, row.object_id):
        raise payloads.Unreadable("the payload is of another event or object than its row")
    obj = payload.object if b"\\u0000" not in row.payload else storable(payload.object)
    shown: dict[str, JsonValue] = {"livemode": row.livemode, **obj}
    event = InboxEvent(
        id=row.id,
        type=row.type,
        object_id=row.object_id,
        livemode=row.livemode,
        stripe_created=row.stripe_created,
        attempts=row.attempts,
        payload=row.payload,
        object=shown,
        account=payload.account,
        thin=payload.thin,
    )
    if deletes(event):
        shown["deleted"] = True
    try:
        return msgspec.structs.replace(event, shape=shape_of(event))
    except StripeUnreadable as error:
        raise payloads.Unreadable(error.problem) from error


def _state(event: Payload, *, livemode: bool) -> tuple[str, str | None]:
    """Return the state of a new event, and why it is kept but not applied if so."""
    if event.livemode not in {None, livemode}:
        return "ignored", "other_mode"
    if event.account is not None:
        return "ignored", OTHER_ACCOUNT
    if event.thin and not (event.object["object"] in KINDS and event.object["id"]):
        return "ignored", NOT_MIRRORED
    return "pending", None
