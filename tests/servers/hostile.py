"""Payloads that no worker can apply, of ten kinds, as bytes of the inbox's table."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def snapshot(event_id: str, object_id: str, **changes: Any) -> dict[str, Any]:
    """Return a good event of a customer."""
    obj: dict[str, Any] = {
        "id": object_id,
        "object": "customer",
        "email": None,
        "name": "NAME",
        "metadata": {},
        "livemode": False,
    }
    return {
        "id": event_id,
        "object": "event",
        "api_version": "2026-10-28.endive",
        "created": 1_790_000_000,
        "livemode": False,
        "type": "customer.updated",
        "data": {"object": obj},
    } | changes


def _with_name(value: bytes) -> Callable[[str, str], bytes]:
    """Put raw bytes where the customer's name stands."""
    return lambda event_id, object_id: json.dumps(snapshot(event_id, object_id)).encode().replace(b'"NAME"', value)


def _changed(**changes: Any) -> Callable[[str, str], bytes]:
    return lambda event_id, object_id: json.dumps(snapshot(event_id, object_id, **changes)).encode()


def _without(*members: str) -> Callable[[str, str], bytes]:
    def body(event_id: str, object_id: str) -> bytes:
        content = snapshot(event_id, object_id)
        return json.dumps({name: value for name, value in content.items() if name not in members}).encode()

    return body


HOSTILE: dict[str, tuple[Callable[[str, str], bytes], ...]] = {
    "not JSON": (_with_name(b"}{"), lambda *_: b"GET / HTTP/1.1\r\n\x1b[2J", _with_name(b"NaN"), _with_name(b'"\\q"')),
    "empty": (lambda *_: b"", lambda *_: b" \n", lambda *_: b"null", lambda *_: b"[]"),
    "not UTF-8": (_with_name(b'"\xff"'), _with_name(b'"\xc0\x80"'), _with_name(b'"\xed\xa0\xbd"'), lambda *_: b"\xff"),
    "unpaired surrogate": (_with_name(b'"\\ud800"'), _with_name(b'"\\udc00"'), _with_name(b'{"\\ud800": 1}')),
    "number": (_with_name(b"1e400"), _with_name(b"-1e999"), _with_name(b"9" * 5000)),
    "deep": tuple(_with_name(b"[" * depth + b"]" * depth) for depth in (127, 900, 990, 5000)),
    "wrong types": (_changed(created="2026-01-01"), _changed(created=1e3), _changed(livemode="no"), _changed(type=5)),
    "wrong object": (
        _changed(data=[]),
        _changed(data={"object": []}),
        _changed(data={"object": "cus_1"}),
        _changed(data={"object": {"id": 5, "object": "customer"}}),
        _changed(data={"object": {"id": "cus_1", "object": ["customer"]}}),
        _changed(data={"object": {"id": ".", "object": "customer"}}),
        _changed(data={"object": {"id": "..", "object": "customer", "livemode": False}}),
    ),
    "missing members": (_without("id"), _without("data"), _without("created", "livemode"), _without("type")),
    "out of range": (_changed(created=2**62), _changed(created=-5), _changed(created=10**17), _changed(id="evt/../x")),
}
"""By kind: what can never be read as an event."""
