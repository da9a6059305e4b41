"""Events: what happened to which object (docs.stripe.com/api/events)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from stripe_simulator.errors import invalid
from stripe_simulator.forms import flag
from stripe_simulator.listing import in_range, page
from stripe_simulator.parameters import absent, listed
from stripe_simulator.state import API_VERSION
from stripe_simulator.thin_events import thin_type

if TYPE_CHECKING:
    from collections.abc import Callable

    from stripe_simulator.state import State

RETENTION_SECONDS: Final = 30 * 86400
"""docs.stripe.com/api/events: events are listed for 30 days."""
MAXIMUM_TYPES: Final = 20
"""docs.stripe.com/api/events/list: `types` holds at most 20 names."""
_ENCODER: Final = msgspec.json.Encoder()


class Events:
    """Records events and hands them to delivery.

    Args:
        state: where they are kept.
        deliver: called with each event and each endpoint that wants it.
    """

    def __init__(self, state: State, *, deliver: Callable[[dict[str, Any], dict[str, Any]], None]) -> None:
        self._state = state
        self._deliver = deliver

    def emit(self, kind: str, obj: dict[str, Any], *, previous: dict[str, Any] | None = None) -> None:
        """Record that `kind` happened to `obj`, with the object as it is now (docs.stripe.com/api/events/object).

        `created` is in whole seconds; ties are normal.
        """
        data: dict[str, Any] = {"object": msgspec.Raw(_ENCODER.encode(obj))}
        if previous is not None:
            data["previous_attributes"] = previous
        wanting = [endpoint for endpoint in self._state.newest("webhook_endpoint") if self._wants(endpoint, kind)]
        event = {
            "id": self._state.new_id("evt"),
            "object": "event",
            "api_version": API_VERSION,
            "created": self._state.real_now,
            "data": data,
            "livemode": self._state.livemode,
            "pending_webhooks": len(wanting),
            "request": self._state.request,
            "type": kind,
        }
        self._state.add(event, pending=[endpoint["id"] for endpoint in wanting], failed=[])
        for endpoint in wanting:
            self._deliver(event, endpoint)

    def find(self, params: dict[str, Any]) -> dict[str, Any]:
        """List events by `type`, `types`, `created`, `delivery_success` (docs.stripe.com/api/events/list).

        `delivery_success=false` is what is still pending, has failed every attempt, or lost its endpoint.
        """
        kind, types = params.get("type"), listed(params, "types")
        if kind and types:
            raise invalid("You may only specify one of these parameters: type, types.", param="type")
        if len(types) > MAXIMUM_TYPES:
            raise invalid("You may specify at most 20 types.", param="types")
        pattern = re.compile(re.escape(str(kind)).replace(r"\*", ".*")) if kind else None
        success = None if absent(params.get("delivery_success")) else flag(params["delivery_success"])
        within, oldest = in_range(params), self._state.real_now - RETENTION_SECONDS

        def keep(event: dict[str, Any]) -> bool:
            return (
                event["created"] >= oldest
                and (pattern is None or pattern.fullmatch(event["type"]) is not None)
                and (not types or event["type"] in types)
                and (success is None or self.delivered(event) == success)
                and within(event)
            )

        return page(self._state, "event", params, url="/v1/events", keep=keep)

    def delivered(self, event: dict[str, Any]) -> bool:
        """Tell whether every endpoint that wanted the event has accepted it."""
        hidden = self._state.hidden(event)
        return not hidden["pending"] and not hidden["failed"]

    def _wants(self, endpoint: dict[str, Any], kind: str) -> bool:
        """Tell whether the endpoint is enabled for events of this kind."""
        name = thin_type(kind) if self._state.hidden(endpoint).get("thin") else kind
        chosen = endpoint["enabled_events"]
        return endpoint["status"] == "enabled" and ("*" in chosen or name in chosen)
