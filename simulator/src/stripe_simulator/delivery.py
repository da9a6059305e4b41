"""Delivers events to webhook endpoints: signed, with retries, and with the faults of real networks.

Stripe retries for up to three days (docs.stripe.com/webhooks#retries); the schedule here is the same idea in seconds.
Neither order nor single delivery is promised (docs.stripe.com/webhooks#event-ordering): each event has a task.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import msgspec

from payment_service.stripe_api.signature import sign
from payment_service.tasks import end
from stripe_simulator.state import API_VERSION
from stripe_simulator.thin_events import thin_event
from stripe_simulator.versions import in_version

if TYPE_CHECKING:
    from stripe_simulator.faults import Faults, WebhookFault
    from stripe_simulator.state import State
    from stripe_simulator.webhook_endpoints import WebhookEndpoints

RETRY_SECONDS: Final = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
TIMEOUT_SECONDS: Final = 10.0
FUTURE_SECONDS: Final = 3600
REORDER_SECONDS: Final = 1.0
MAXIMUM_CONNECTIONS: Final = 64


class Delivery:
    """Sends the events of one world, each from a task of its own."""

    def __init__(self, state: State, endpoints: WebhookEndpoints, faults: Faults) -> None:
        self._state = state
        self._endpoints = endpoints
        self._faults = faults
        self._session: aiohttp.ClientSession | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._accepted = asyncio.Condition()
        self.retry_seconds: tuple[float, ...] = RETRY_SECONDS

    def start(self) -> None:
        """Begin to deliver; what an earlier run left undelivered is sent again."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=MAXIMUM_CONNECTIONS),
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS),
        )
        for event in reversed(self._state.all("event")):
            for endpoint_id in self._state.hidden(event)["pending"]:
                self._start(event, endpoint_id, None)

    async def stop(self) -> None:
        """Stop; undelivered events stay so."""
        await end(self._tasks)
        if self._session is not None:
            await self._session.close()
            self._session = None

    def deliver(self, event: dict[str, Any], endpoint: dict[str, Any]) -> None:
        """Send an event to an endpoint, now and again until it is accepted."""
        if self._session is None:
            return
        fault = self._faults.webhook(event["type"], endpoint["url"])
        if fault is not None and fault.kind == "duplicate":
            self._start(event, endpoint["id"], None)
            fault = None
        self._start(event, endpoint["id"], fault)

    def _start(self, event: dict[str, Any], endpoint_id: str, fault: WebhookFault | None) -> None:
        task = asyncio.get_running_loop().create_task(self._send_until_accepted(event, endpoint_id, fault))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send_until_accepted(self, event: dict[str, Any], endpoint_id: str, fault: WebhookFault | None) -> None:
        accepted = False
        if fault is None or fault.kind != "drop":
            await self._wait(fault)
            accepted = await self._attempts(event, endpoint_id, fault)
        self._conclude(event, endpoint_id, accepted=accepted)
        if accepted:
            async with self._accepted:
                self._accepted.notify_all()

    async def _wait(self, fault: WebhookFault | None) -> None:
        if fault is not None and fault.kind == "delay":
            await asyncio.sleep(fault.seconds)
        elif fault is not None and fault.kind == "reorder":
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(fault.seconds or REORDER_SECONDS), self._accepted:
                    await self._accepted.wait()

    async def _attempts(self, event: dict[str, Any], endpoint_id: str, fault: WebhookFault | None) -> bool:
        """Try by the schedule; an endpoint that is disabled or deleted by then loses what is pending.

        docs.stripe.com/webhooks#disable: future retries of the event are prevented.
        """
        for wait in (*self.retry_seconds, None):
            endpoint = self._state.objects.get(endpoint_id)
            if endpoint is None or endpoint["status"] != "enabled":
                return False
            if await self._send(event, endpoint, fault):
                return True
            fault = None
            if wait is not None:
                await asyncio.sleep(wait)
        return False

    def _conclude(self, event: dict[str, Any], endpoint_id: str, *, accepted: bool) -> None:
        hidden = self._state.hidden(event)
        if endpoint_id not in hidden["pending"]:
            return
        hidden["pending"].remove(endpoint_id)
        if not accepted:
            hidden["failed"].append(endpoint_id)
        event["pending_webhooks"] = len(hidden["pending"])
        self._state.touch(event)
        self._state.flush()

    async def _send(self, event: dict[str, Any], endpoint: dict[str, Any], fault: WebhookFault | None) -> bool:
        if self._session is None:
            return False
        body = msgspec.json.encode(self._shown(event, endpoint))
        timestamp = self._state.real_now
        secrets = self._endpoints.signing_secrets(endpoint)
        if fault is not None and fault.kind == "future_timestamp":
            timestamp += FUTURE_SECONDS
        if fault is not None and fault.kind == "wrong_signature":
            secrets = ["whsec_of_somebody_else"]
        headers = {
            "content-type": "application/json; charset=utf-8",
            "user-agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
            "stripe-signature": _signatures(body, secrets, timestamp=timestamp),
        }
        try:
            async with self._session.post(endpoint["url"], data=body, headers=headers) as answer:
                return answer.ok
        except (aiohttp.ClientError, TimeoutError):
            return False

    def _shown(self, event: dict[str, Any], endpoint: dict[str, Any]) -> dict[str, Any]:
        """Return the event as the endpoint gets it."""
        if self._state.hidden(endpoint).get("thin"):
            return thin_event(event)
        return in_version(event, endpoint["api_version"] or API_VERSION)


def _signatures(body: bytes, secrets: list[str], *, timestamp: int) -> str:
    """Return the header with one signature for each secret (docs.stripe.com/webhooks#verify-manually)."""
    made = [sign(body, secret=secret, timestamp=timestamp) for secret in secrets]
    return ",".join([made[0], *(header.partition(",")[2] for header in made[1:])])
