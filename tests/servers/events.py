"""Events, as Stripe would deliver them and as rows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

from payment_service.clock import Clock
from payment_service.config.settings import DEVELOPMENT_WEBHOOK_SECRET
from payment_service.events.routes import PATH
from payment_service.events.rows import row_of
from payment_service.stripe_api.signature import sign

if TYPE_CHECKING:
    import httpx
    from tests.servers.stack import Stack

    from payment_service.events.rows import EventRow


def event_row(number: int, **changes: Any) -> EventRow:
    """Return the row of an event of a kind that is only stored."""
    content = {
        "id": f"evt_{number}",
        "object": "event",
        "type": "plan.created",
        "created": 1_790_000_000,
        "livemode": False,
        "data": {"object": {"id": f"plan_{number}", "object": "plan"}},
    }
    body = json.dumps(content).encode()
    row = row_of(body, source="webhook", livemode=False, now=Clock().now())
    return cast("EventRow", {**row, **changes})


async def deliver(stack: Stack, event_id: str) -> httpx.Response:
    """Deliver an event of a kind that is only stored."""
    now = int(stack.clock.timestamp())
    content = {
        "id": event_id,
        "object": "event",
        "api_version": "2026-10-28.endive",
        "created": now,
        "livemode": False,
        "type": "plan.created",
        "data": {"object": {"id": f"plan_{event_id}", "object": "plan"}},
    }
    body = json.dumps(content).encode()
    signature = sign(body, secret=DEVELOPMENT_WEBHOOK_SECRET, timestamp=now)
    return await stack.client.post(PATH, content=body, headers={"Stripe-Signature": signature})
