"""The catalogue of events, as the `webhooks` of the OpenAPI document (spec.openapis.org/oas/v3.1.0, section 4.8.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from payment_service.feed.catalogue import differing, shown
from payment_service.feed.filters import OTHER_UPDATED
from payment_service.feed.kinds import KINDS
from payment_service.feed.samples import AT
from payment_service.feed.schemas import FeedCause, FeedData, FeedEvent, event_id
from payment_service.feed.shapes import OtherView
from payment_service.feed.states import Change
from payment_service.mirror.kind import IMPORT

if TYPE_CHECKING:
    from payment_service.feed.catalogue import EventKind, Rule

_SCHEMA: Final = "#/components/schemas/{}"
_OTHER_SAYS: Final = "Something has changed that cannot be shown: read the object by its route."


def webhooks() -> dict[str, object]:
    """Return each type of event with its schema and an example."""
    known = {
        f"{kind.name}.{rule.type}": _webhook(example(kind, rule), says=rule.says, shape=kind.shape)
        for kind in KINDS
        for rule in kind.all_rules()
    }
    return {**known, OTHER_UPDATED: _webhook(_other_example(), says=_OTHER_SAYS, shape=OtherView)}


def models() -> tuple[type[msgspec.Struct], ...]:
    """Return the shapes that events hold."""
    return tuple(dict.fromkeys((*(kind.shape for kind in KINDS), OtherView)))


def change_of(kind: EventKind, rule: Rule) -> Change:
    """Return the change of the example."""
    before = None if rule.was is None else {**kind.sample, **rule.was}
    return Change(before, {**kind.sample, **rule.now})


def example(kind: EventKind, rule: Rule) -> FeedEvent:
    """Return an event of this type."""
    change = change_of(kind, rule)
    before, after = shown(kind, change.before), shown(kind, change.after)
    imported = kind.type_of(change, cause=IMPORT) == f"{kind.name}.{rule.type}" and change.before is None
    cause = FeedCause(type="import", id=None) if imported else FeedCause(type="stripe_event", id="evt_1Sk3nV2eZvKYlo2C")
    object_id = str(kind.sample["id"])
    return FeedEvent(
        id=event_id(7, outbox_seq=9, object_id=object_id, created_at=AT),
        type=f"{kind.name}.{rule.type}",
        sequence=7,
        object_id=object_id,
        data=FeedData(object=after, previous=differing(before, after)),
        cause=cause,
        created_at=AT,
        livemode=True,
    )


def _other_example() -> FeedEvent:
    """Return an event whose object cannot be shown."""
    shape = OtherView(id="in_1S", kind="invoice")
    return FeedEvent(
        id=event_id(7, outbox_seq=9, object_id=shape.id, created_at=AT),
        type=OTHER_UPDATED,
        sequence=7,
        object_id=shape.id,
        data=FeedData(object=msgspec.to_builtins(shape), previous=None),
        cause=FeedCause(type="stripe_event", id="evt_1Sk3nV2eZvKYlo2C"),
        created_at=AT,
        livemode=True,
    )


def _webhook(event: FeedEvent, *, says: str, shape: type[msgspec.Struct]) -> dict[str, object]:
    name = event.type
    holding = {"type": "object", "properties": {"object": {"$ref": _SCHEMA.format(shape.__name__)}}}
    data = {"allOf": [{"$ref": _SCHEMA.format(FeedData.__name__)}, holding]}
    own = {"type": "object", "properties": {"type": {"const": name}, "data": data}}
    return {
        "post": {
            "operationId": "on" + "".join(part.title() for part in name.replace(".", "_").split("_")),
            "summary": says,
            "tags": ["events"],
            "security": [],
            "requestBody": {
                "required": True,
                "content": {
                    "application/json": {
                        "schema": {"allOf": [{"$ref": _SCHEMA.format(FeedEvent.__name__)}, own]},
                        "examples": {"example": {"value": msgspec.to_builtins(event)}},
                    }
                },
            },
            "responses": {"2XX": {"description": "Taken."}},
        }
    }
