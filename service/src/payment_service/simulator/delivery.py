"""Delivers events to webhook endpoints: signed, with retries, and with the faults of real networks.

Stripe retries for up to three days (docs.stripe.com/webhooks#retries); the schedule here is the same idea in seconds.
Deleting or disabling an endpoint loses its pending retries, as Stripe documents.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import msgspec

from payment_service.simulator.rendering import render
from payment_service.webhooks.signature import sign

if TYPE_CHECKING:
    from payment_service.simulator.faults import Faults
    from payment_service.simulator.state import State

RETRY_SECONDS: Final = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
TIMEOUT_SECONDS: Final = 10.0
FUTURE_SECONDS: Final = 3600
MAXIMUM_CONNECTIONS: Final = 64


class Delivery:
    """Sends events from one task each."""

    def __init__(self, state: State, faults: Faults) -> None:
        self._state = state
        self._faults = faults
        self._session: aiohttp.ClientSession | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Begin to deliver; what an earlier run left undelivered is sent again."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=MAXIMUM_CONNECTIONS),
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS),
        )
        for event in reversed(self._state.all("event")):
            for endpoint_id in event["_undelivered"]:
                if endpoint := self._state.objects.get(endpoint_id):
                    self.deliver(event, endpoint)

    async def stop(self) -> None:
        """Stop; undelivered events stay so."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
            self._session = None

    def deliver(self, event: dict[str, Any], endpoint: dict[str, Any]) -> None:
        """Send an event to an endpoint, now and again until it is accepted."""
        if self._session is None:
            return
        copies = 1
        fault = self._faults.webhook(event["type"])
        if fault is not None and fault.kind == "duplicate":
            copies, fault = 2, None
        for _ in range(copies):
            task = asyncio.get_running_loop().create_task(self._send_until_accepted(event, endpoint, fault))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _send_until_accepted(self, event: dict[str, Any], endpoint: dict[str, Any], fault: Any) -> None:
        if fault is not None and fault.kind == "drop":
            return
        if fault is not None and fault.kind == "delay":
            await asyncio.sleep(fault.seconds)
        for wait in (*RETRY_SECONDS, None):
            if endpoint["status"] != "enabled" or await self._send(event, endpoint, fault):
                break
            fault = None
            if wait is None:
                return
            await asyncio.sleep(wait)
        if endpoint["id"] in event["_undelivered"]:
            event["_undelivered"].remove(endpoint["id"])
            event["pending_webhooks"] = len(event["_undelivered"])
            self._state.touch(event)
            self._state.flush()

    async def _send(self, event: dict[str, Any], endpoint: dict[str, Any], fault: Any) -> bool:
        assert self._session is not None
        body = msgspec.json.encode(render(self._state, event))
        timestamp = self._state.now
        secret = endpoint["_secret"]
        if fault is not None and fault.kind == "future_timestamp":
            timestamp += FUTURE_SECONDS
        if fault is not None and fault.kind == "wrong_signature":
            secret = "whsec_of_somebody_else"  # noqa: S105 - meant to be wrong
        headers = {
            "content-type": "application/json; charset=utf-8",
            "stripe-signature": sign(body, secret=secret, timestamp=timestamp),
        }
        try:
            async with self._session.post(endpoint["url"], data=body, headers=headers) as answer:
                return answer.ok
        except (aiohttp.ClientError, TimeoutError):
            return False
