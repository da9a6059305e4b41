"""What an event shows of the object that it tells about, and the same object as Stripe has it now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from payment_service.http.strict_json import storable
from payment_service.mirror.kind import shows_state
from payment_service.mirror.registry import KINDS
from payment_service.storage.succession import Moment
from payment_service.stripe_api import calls
from payment_service.stripe_api.gateway import StripeRejected
from payment_service.stripe_api.objects import StripeUnreadable

if TYPE_CHECKING:
    from payment_service.events.schemas import InboxEvent
    from payment_service.json_types import JsonObject, JsonValue
    from payment_service.mirror.kind import Kind, Part, Shape
    from payment_service.stripe_api.gateway import StripeGateway


def kind_of(event: InboxEvent) -> Kind | None:
    """Return the kind of the event's object; None for a kind, or a connected account, that is only kept."""
    kind = KINDS.get(str(event.object.get("object")))
    return kind if event.object.get("id") and event.account is None else None


def deletes(event: InboxEvent) -> bool:
    """Tell whether the event says that the object is gone; only its type says so."""
    kind = kind_of(event)
    named = event.type.removeprefix("v1.") if event.thin else event.type
    return kind is not None and named == kind.deletion


def moment_of(event: InboxEvent) -> Moment:
    """Return what the event's time says of the object that it shows."""
    kind = kind_of(event)
    return Moment.FIRST if kind is not None and event.type == kind.creation else Moment.THEN


def shape_of(event: InboxEvent) -> Shape | None:
    """Return what is read of the object that the event shows; None when it shows no state of one that has a row.

    Raises:
        StripeUnreadable: no row can be made of it.
    """
    kind = kind_of(event)
    return None if kind is None or not shows_state(event.object) else kind.shape_of(event.object)


async def fetch_current(gateway: StripeGateway, kind: Kind, events: list[InboxEvent]) -> JsonObject | None:
    """Return the object as Stripe has it now; None when it is gone and none of its events says why.

    Raises:
        StripeUnreadable: it is not the one that was asked for.
    """
    newest = events[-1]
    try:
        obj: JsonObject = storable(await calls.retrieve(gateway, kind.collection, newest.object_id))
    except StripeRejected as error:
        if not error.not_found:
            raise
        last_words = sorted((event for event in events if deletes(event)), key=lambda event: not event.thin)
        return last_words[-1].object if last_words else None
    if (obj.get("object"), obj.get("id")) != (newest.object["object"], newest.object_id):
        raise StripeUnreadable("id or object is another one's than was asked for")
    if obj.get("deleted"):
        return {**newest.object, **obj}
    whole = {"livemode": newest.livemode, **obj}
    if kind.part is not None and kind.part.is_cut(obj):
        whole[kind.part.member] = {"data": await _all_of(gateway, kind.part, newest.object_id)}
    return whole


async def _all_of(gateway: StripeGateway, part: Part, object_id: str) -> JsonValue:
    """List what the object shows in part only; a page holds all that Stripe allows."""
    page = await calls.list_page(gateway, part.collection, **{part.parameter: object_id})
    return storable(page.objects)
