"""Events and webhook endpoints: what happened, and who wants to hear of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from payment_service.simulator.errors import invalid
from payment_service.simulator.forms import flag
from payment_service.simulator.rendering import render
from payment_service.simulator.state import API_VERSION, random_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from payment_service.simulator.state import State

MAXIMUM_ENDPOINTS = 16
"""docs.stripe.com/webhooks: at most 16 endpoints in an account."""


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
        """Record that `kind` happened to `obj`, with the object as it is now (docs.stripe.com/api/events/object)."""
        data: dict[str, Any] = {"object": render(self._state, obj)}
        if previous is not None:
            data["previous_attributes"] = previous
        wanting = [endpoint for endpoint in self._state.all("webhook_endpoint") if wants(endpoint, kind)]
        event = self._state.add(
            {
                "id": self._state.new_id("evt"),
                "object": "event",
                "api_version": API_VERSION,
                "created": self._state.now,
                "data": data,
                "livemode": self._state.livemode,
                "pending_webhooks": len(wanting),
                "request": {"id": None, "idempotency_key": None},
                "type": kind,
                "_undelivered": [endpoint["id"] for endpoint in wanting],
            }
        )
        for endpoint in wanting:
            self._deliver(event, endpoint)

    def create_endpoint(self, params: dict[str, Any], *, secret: str | None = None) -> dict[str, Any]:
        """Create an endpoint; its secret is shown this once (docs.stripe.com/api/webhook_endpoints/create)."""
        if not params.get("url"):
            raise invalid("Missing required param: url.", param="url", code="parameter_missing")
        if len(self._state.all("webhook_endpoint")) >= MAXIMUM_ENDPOINTS:
            raise invalid("You have reached the maximum of 16 test webhook endpoints.")
        return self._state.add(
            {
                "id": self._state.new_id("we"),
                "object": "webhook_endpoint",
                "api_version": params.get("api_version"),
                "application": None,
                "created": self._state.now,
                "description": params.get("description"),
                "enabled_events": params.get("enabled_events", ["*"]),
                "livemode": self._state.livemode,
                "metadata": params.get("metadata", {}),
                "status": "enabled",
                "url": params["url"],
                "_secret": secret or f"whsec_{random_text(32)}",
            }
        )

    def update_endpoint(self, endpoint: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
        """Change an endpoint (docs.stripe.com/api/webhook_endpoints/update)."""
        for name in ("url", "enabled_events", "metadata", "description"):
            if name in params:
                endpoint[name] = params[name]
        if "disabled" in params:
            endpoint["status"] = "disabled" if flag(params["disabled"]) else "enabled"
        self._state.touch(endpoint)
        return endpoint


def wants(endpoint: dict[str, Any], kind: str) -> bool:
    """Tell whether the endpoint is enabled for events of this kind."""
    chosen = endpoint["enabled_events"]
    return endpoint["status"] == "enabled" and ("*" in chosen or kind in chosen)
