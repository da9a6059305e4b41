"""Webhook endpoints (docs.stripe.com/api/webhook_endpoints)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from stripe_simulator.errors import invalid
from stripe_simulator.forms import flag
from stripe_simulator.parameters import change, choice, listed, merge_metadata, require
from stripe_simulator.shapes import shape
from stripe_simulator.state import random_text

if TYPE_CHECKING:
    from stripe_simulator.state import State

MAXIMUM_ENDPOINTS: Final = 16
"""docs.stripe.com/webhooks: at most 16 endpoints in an account."""
ROLL_SECONDS: Final = 24 * 3600
"""docs.stripe.com/webhooks#roll-endpoint-secrets: the former secret signs for at most 24 hours more."""
_EVENT: Final = re.compile(r"\*|[a-z0-9_]+(\.[a-z0-9_]+)+")
_VERSION: Final = re.compile(r"\d{4}-\d{2}-\d{2}(\.[a-z]+)?")


class WebhookEndpoints:
    """The addresses that events are sent to."""

    def __init__(self, state: State) -> None:
        self._state = state

    def create(self, params: dict[str, Any], *, secret: str | None = None, thin: bool = False) -> dict[str, Any]:
        """Create an endpoint (docs.stripe.com/api/webhook_endpoints/create); it is enabled at once.

        `api_version` can be given only here; without it events are in the account's version. A `thin` one gets thin
        events, as an event destination does (docs.stripe.com/api/v2/core/event_destinations).
        """
        require(params, "url", "enabled_events")
        self._check(params)
        version = params.get("api_version") or None
        if version is not None and not _VERSION.fullmatch(version):
            raise invalid(f"Invalid API version: {version}", param="api_version")
        if self._state.count("webhook_endpoint") >= MAXIMUM_ENDPOINTS:
            mode = "live" if self._state.livemode else "test"
            raise invalid(f"You have reached the maximum of {MAXIMUM_ENDPOINTS} {mode} webhook endpoints.")
        endpoint = shape("webhook_endpoint") | {
            "id": self._state.new_id("we"),
            "api_version": version,
            "created": self._state.real_now,
            "description": params.get("description") or None,
            "enabled_events": params["enabled_events"],
            "livemode": self._state.livemode,
            "metadata": merge_metadata({}, params),
            "url": params["url"],
        }
        return self._state.add(endpoint, secrets=[[secret or f"whsec_{random_text(32)}", None]], thin=thin)

    def update(self, endpoint: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
        """Change an endpoint (docs.stripe.com/api/webhook_endpoints/update)."""
        self._check(params)
        if "enabled_events" in params:
            endpoint["enabled_events"] = params["enabled_events"]
        if params.get("url"):
            endpoint["url"] = params["url"]
        if "disabled" in params:
            choice(params, "disabled", {"true", "false"}, default="false")
            endpoint["status"] = "disabled" if flag(params["disabled"]) else "enabled"
        change(endpoint, params, ("description",))
        self._state.touch(endpoint)
        return endpoint

    def _check(self, params: dict[str, Any]) -> None:
        url = params.get("url", "https://")
        if not url.startswith(("https://",) if self._state.livemode else ("https://", "http://")):
            raise invalid("Invalid URL: URL must begin with https://", param="url", code="url_invalid")
        for index, name in enumerate(listed(params, "enabled_events")):
            if not _EVENT.fullmatch(name):
                raise invalid(f"Invalid enabled_events[{index}]: {name}", param=f"enabled_events[{index}]")

    def delete(self, endpoint: dict[str, Any]) -> dict[str, Any]:
        """Delete an endpoint (docs.stripe.com/api/webhook_endpoints/delete)."""
        self._state.remove(endpoint)
        return {"id": endpoint["id"], "object": "webhook_endpoint", "deleted": True}

    def secret(self, endpoint: dict[str, Any]) -> str:
        """Return the newest signing secret; the API shows it in the answer to the creation only."""
        newest: str = self._state.hidden(endpoint)["secrets"][0][0]
        return newest

    def signing_secrets(self, endpoint: dict[str, Any]) -> list[str]:
        """Return the secrets that sign now, newest first (docs.stripe.com/webhooks#roll-endpoint-secrets)."""
        kept = self._state.hidden(endpoint)["secrets"]
        return [secret for secret, end in kept if end is None or end > self._state.real_now]

    def roll(self, endpoint: dict[str, Any], *, seconds: int) -> str:
        """Replace the secret as the Dashboard's roll does; the former one signs too for `seconds`.

        docs.stripe.com/webhooks#roll-endpoint-secrets: at most 24 hours; the API has no such call.
        """
        hidden = self._state.hidden(endpoint)
        end = self._state.real_now + min(seconds, ROLL_SECONDS)
        former = [[secret, end if until is None else until] for secret, until in hidden["secrets"]]
        hidden["secrets"] = [[f"whsec_{random_text(32)}", None], *former]
        self._state.touch(endpoint)
        return self.secret(endpoint)
