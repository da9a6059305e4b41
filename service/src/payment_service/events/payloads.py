"""Reads what Stripe sends: the one decision on what is an event, at the door, in reconciliation and in the worker.

Two kinds come to the same address. A snapshot event carries the object as it was (docs.stripe.com/api/events/object).
A thin event (docs.stripe.com/event-destinations#thin-events) names it only: a hint to fetch the object. Its
`related_object.url` is never followed; the path is built from the kinds known here and the checked id.
"""

from __future__ import annotations

import hashlib
import json
import re
from datetime import datetime
from typing import TYPE_CHECKING, Final

import msgspec

from payment_service.http import strict_json
from payment_service.http.id_types import EVENT
from payment_service.json_types import JsonObject

if TYPE_CHECKING:
    from payment_service.json_types import JsonValue

THIN: Final = "v2.core.event"
"""The `object` of a thin event (docs.stripe.com/api/v2/core/events/object)."""
LAST_SECOND: Final = 253_402_300_799
"""The end of the year 9999, the last that a moment can be of."""
MAXIMUM_TEXT: Final = 255
_EVENT_ID: Final = re.compile(rf"(?=.{{1,128}}\Z){EVENT}")
"""What routes and commands can name: a person must be able to look at whatever is kept."""
_OBJECT_ID: Final = re.compile(r"[A-Za-z0-9._:@-]{1,255}")
_DOT_SEGMENTS: Final = (".", "..")
"""No path names an object of such an id, so none can be fetched (RFC 3986, section 3.3)."""
_MOMENT: Final = msgspec.json.Decoder(datetime)


class Unreadable(ValueError):
    """The body is no event; the text says why and holds nothing of the body."""


class Payload(msgspec.Struct, frozen=True, gc=False):
    """An event as far as the inbox reads it."""

    id: str
    type: str
    created: int
    """Seconds since the Unix epoch, in Stripe's time."""
    livemode: bool | None
    """None: a thin event does not tell; it is of the mode of the secret that signed it."""
    object: JsonObject
    """The object as it was; of a thin event its id and kind alone."""
    api_version: str | None = None
    account: str | None = None
    """Another account that it is about: a connected one (docs.stripe.com/connect/webhooks), or the one that an
    organization's destination names as `context` (docs.stripe.com/api/events/object#event_object-context)."""
    thin: bool = False

    @property
    def object_id(self) -> str:
        """The id of the object, or of the event itself when the object has none."""
        found = self.object.get("id")
        return found if isinstance(found, str) and found else self.id


def read(body: bytes) -> Payload:
    """Read an event.

    Raises:
        Unreadable: it is not JSON within the limits, or not an event.
    """
    try:
        content = strict_json.decode(body)
    except strict_json.NotStrictJson as error:
        raise Unreadable(str(error)) from error
    if not isinstance(content, dict):
        raise Unreadable("it is not an object")
    return _thin(content) if content.get("object") == THIN else _snapshot(content)


def _snapshot(content: JsonObject) -> Payload:
    data = content.get("data")
    obj = data.get("object") if isinstance(data, dict) else None
    if not isinstance(obj, dict):
        raise Unreadable("data.object is missing or not an object")
    created, livemode = content.get("created"), content.get("livemode")
    if type(created) is not int or not 0 <= created <= LAST_SECOND:
        raise Unreadable("created is missing or not a time in seconds")
    if type(livemode) is not bool:
        raise Unreadable("livemode is missing or not a boolean")
    if _text(obj, "id", name="data.object.id") in _DOT_SEGMENTS:
        raise Unreadable("data.object.id is not an id")
    _text(obj, "object", name="data.object.object")
    return Payload(
        _event_id(content),
        _type(content),
        created,
        livemode,
        obj,
        _text(content, "api_version"),
        _text(content, "account") or _text(content, "context") or None,
    )


def _thin(content: JsonObject) -> Payload:
    related = content.get("related_object") or {}
    if not isinstance(related, dict):
        raise Unreadable("related_object is not an object")
    object_id, kind = (_text(related, name, name=f"related_object.{name}") for name in ("id", "type"))
    if object_id is not None and (object_id in _DOT_SEGMENTS or not _OBJECT_ID.fullmatch(object_id)):
        raise Unreadable("related_object.id is not an id")
    livemode = content.get("livemode")
    if livemode is not None and type(livemode) is not bool:
        raise Unreadable("livemode is not a boolean")
    return Payload(
        _event_id(content),
        _type(content),
        _seconds(content.get("created")),
        livemode,
        {"id": object_id, "object": kind},
        account=_text(content, "context") or None,
        thin=True,
    )


def _seconds(created: JsonValue) -> int:
    """Return the second of a thin event's moment, a string (RFC 3339)."""
    try:
        moment = _MOMENT.decode(json.dumps(created).encode())
        seconds = int(moment.timestamp()) if moment.tzinfo else -1
    except (msgspec.MsgspecError, ValueError, OverflowError):
        seconds = -1
    if not 0 <= seconds <= LAST_SECOND:
        raise Unreadable("created is missing or not an RFC 3339 moment")
    return seconds


def _event_id(content: JsonObject) -> str:
    found = content.get("id")
    if not isinstance(found, str) or not _EVENT_ID.fullmatch(found):
        raise Unreadable("id is missing or not an id")
    return found


def _type(content: JsonObject) -> str:
    found = _text(content, "type")
    if not found:
        raise Unreadable("type is missing")
    return found


def _text(content: JsonObject, member: str, *, name: str = "") -> str | None:
    """Return a short printable text, or None."""
    found = content.get(member)
    if found is None or (isinstance(found, str) and len(found) <= MAXIMUM_TEXT and found.isprintable()):
        return found
    raise Unreadable(f"{name or member} is not a text of at most {MAXIMUM_TEXT} printable characters")


def outline(body: bytes, *, livemode: bool) -> Payload:
    """Return what can be made out of an unreadable event, so that people find it; never raises.

    Without an id of its own it gets one of its bytes: copies of it are one row.
    """
    content = _lenient(body)
    data = content.get("data")
    obj = data.get("object") if isinstance(data, dict) else content.get("related_object")
    found = {name: _or_none(obj, name) for name in ("id", "object")} if isinstance(obj, dict) else {}
    event_id = content.get("id")
    if not isinstance(event_id, str) or not _EVENT_ID.fullmatch(event_id):
        event_id = f"unreadable_{hashlib.sha256(body).hexdigest()[:32]}"
    mode = content.get("livemode")
    return Payload(
        event_id,
        _or_none(content, "type") or "unreadable",
        0,
        mode if isinstance(mode, bool) else livemode,
        {name: value for name, value in found.items() if value is not None},
        _or_none(content, "api_version"),
        _or_none(content, "account") or _or_none(content, "context"),
    )


def _lenient(body: bytes) -> JsonObject:
    """Decode as far as it goes: bytes that are no UTF-8 are replaced, numbers stay texts."""
    try:
        content = json.loads(body.decode(errors="replace"), parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _or_none(content: JsonObject, member: str) -> str | None:
    try:
        return _text(content, member)
    except Unreadable:
        return None
