"""Thin events: what an event destination of API v2 gets instead of a snapshot.

docs.stripe.com/event-destinations#thin-events, docs.stripe.com/api/v2/core/events/object.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec


def thin_type(kind: str) -> str:
    """Return the name of a snapshot event's type among the thin ones (changelog of 2026-09-30.endive)."""
    return f"v1.{kind}"


def thin_event(event: dict[str, Any]) -> dict[str, Any]:
    """Return the notification that corresponds to a snapshot event; it has an id of its own, the same each time."""
    obj = msgspec.json.decode(msgspec.json.encode(event["data"]["object"]))
    created = datetime.fromtimestamp(event["created"], tz=UTC)
    related = {
        "id": obj.get("id"),
        "type": obj["object"],
        "url": f"/v1/{obj['object'].replace('.', '/')}s/{obj.get('id')}",
    }
    request = event["request"]
    return {
        "id": f"{event['id']}_thin",
        "object": "v2.core.event",
        "type": thin_type(event["type"]),
        "created": created.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "livemode": event["livemode"],
        "context": None,
        "reason": {"type": "request", "request": request} if request["id"] else None,
        "related_object": related if related["id"] else None,
    }
