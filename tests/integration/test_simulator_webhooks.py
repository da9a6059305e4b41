"""How the simulator delivers events over the network: signatures, retries, lost endpoints, and faults."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import stripe as sdk

from payment_service.clock import MovableClock
from payment_service.http.responses import read_body, respond
from payment_service.http.server import Servers, listen
from payment_service.stripe_api.signature import sign
from stripe_simulator import Simulator
from stripe_simulator.faults import WebhookFault

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

HOST = "127.0.0.1"
WAIT_SECONDS = 30.0


@dataclass
class Receiver:
    """An endpoint that keeps what it gets and answers what it is told."""

    url: str = ""
    status: int = 200
    got: list[tuple[dict[str, Any], str, bytes]] = field(default_factory=list)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = await read_body(receive, limit=1_000_000)
        signature = dict(scope["headers"])[b"stripe-signature"].decode()
        self.got.append((msgspec.json.decode(body), signature, body))
        await respond(send, self.status, b"{}")

    @property
    def types(self) -> list[str]:
        return [event["type"] for event, _, _ in self.got]


@dataclass
class Wired:
    """A simulator with one endpoint."""

    simulator: Simulator
    receiver: Receiver
    endpoint: dict[str, Any]

    def emit(self, name: str = "Pro") -> dict[str, Any]:
        """Make something happen."""
        self.simulator.routes.catalog.create_product({"name": name})
        return self.simulator.state.all("event")[0]

    async def until(self, condition: Callable[[], Any]) -> None:
        async with asyncio.timeout(WAIT_SECONDS):
            while not condition():  # noqa: ASYNC110 - what is awaited tells nobody
                await asyncio.sleep(0.01)

    def delivered(self, event: dict[str, Any]) -> bool:
        return self.simulator.routes.events.delivered(event)


@asynccontextmanager
async def wired() -> AsyncIterator[Wired]:
    receiver, servers, listener = Receiver(), Servers(), listen(HOST, 0)
    receiver.url = f"http://{HOST}:{listener.getsockname()[1]}/hook"
    simulator = Simulator(clock=MovableClock())
    simulator.routes.delivery.retry_seconds = (0.02,) * 3
    endpoint = simulator.routes.endpoints.create({"url": receiver.url, "enabled_events": ["*"]}, secret="whsec_first")
    await servers.start(receiver, listener)
    try:
        async with simulator:
            yield Wired(simulator, receiver, endpoint)
    finally:
        await servers.stop()


async def test_the_sdk_accepts_the_signature() -> None:
    async with wired() as run:
        event = run.emit()
        await run.until(lambda: run.delivered(event))
        _, signature, body = run.receiver.got[0]
        assert sdk.Webhook.construct_event(body, signature, "whsec_first").id == event["id"]
        assert event["pending_webhooks"] == 0


async def test_a_refused_event_is_sent_again_until_it_is_accepted() -> None:
    async with wired() as run:
        run.simulator.routes.delivery.retry_seconds = (0.02,) * 100
        run.receiver.status = 500
        event = run.emit()
        await run.until(lambda: len(run.receiver.got) >= 2)
        run.receiver.status = 200
        await run.until(lambda: run.delivered(event))
        assert {got["id"] for got, _, _ in run.receiver.got} == {event["id"]}


async def test_an_event_that_fails_every_attempt_stays_undelivered() -> None:
    async with wired() as run:
        run.receiver.status = 500
        event = run.emit()
        await run.until(lambda: event["pending_webhooks"] == 0)
        assert len(run.receiver.got) == 4
        assert not run.delivered(event)


@pytest.mark.parametrize("ending", ["disabled", "deleted"])
async def test_a_lost_endpoint_loses_its_pending_retries(ending: str) -> None:
    async with wired() as run:
        run.simulator.routes.delivery.retry_seconds = (1.0,) * 3
        run.receiver.status = 500
        event = run.emit()
        await run.until(lambda: run.receiver.got)
        if ending == "disabled":
            run.simulator.routes.endpoints.update(run.endpoint, {"disabled": "true"})
        else:
            run.simulator.routes.endpoints.delete(run.endpoint)
        run.receiver.status = 200
        run.emit("after")
        await run.until(lambda: event["pending_webhooks"] == 0)
        assert len(run.receiver.got) == 1
        assert not run.delivered(event)


async def test_a_rolled_secret_signs_beside_the_new_one_for_its_overlap() -> None:
    async with wired() as run:
        fresh = run.simulator.routes.endpoints.roll(run.endpoint, seconds=3600)
        event = run.emit()
        await run.until(lambda: run.delivered(event))
        _, signature, body = run.receiver.got[0]
        timestamp = int(signature.partition(",")[0].removeprefix("t="))
        for secret in ("whsec_first", fresh):
            assert sign(body, secret=secret, timestamp=timestamp).partition(",")[2] in signature
        run.simulator.clock.advance(3601)  # type: ignore[attr-defined] # a movable one
        later = run.emit("later")
        await run.until(lambda: run.delivered(later))
        assert run.receiver.got[-1][1].count("v1=") == 1


async def test_faults_strike_deliveries() -> None:
    async with wired() as run:
        run.simulator.faults.webhooks += [
            WebhookFault(kind="duplicate"),
            WebhookFault(kind="drop"),
            WebhookFault(kind="wrong_signature"),
            WebhookFault(kind="future_timestamp"),
        ]
        events = [run.emit(name) for name in ("twice", "lost", "foreign", "early")]
        await run.until(lambda: all(event["pending_webhooks"] == 0 for event in events))
        await run.until(lambda: len(run.receiver.got) == 4)
        sent = [got["data"]["object"]["name"] for got, _, _ in run.receiver.got]
        assert sorted(sent) == ["early", "foreign", "twice", "twice"]
        assert [run.delivered(event) for event in events] == [True, False, True, True]
        by_name = {got["data"]["object"]["name"]: (signature, body) for got, signature, body in run.receiver.got}
        with pytest.raises(sdk.SignatureVerificationError):
            sdk.Webhook.construct_event(by_name["foreign"][1], by_name["foreign"][0], "whsec_first")
        timestamp = int(by_name["early"][0].partition(",")[0].removeprefix("t="))
        assert timestamp > events[3]["created"] + 3000


async def test_a_reordered_event_arrives_after_a_later_one() -> None:
    async with wired() as run:
        run.simulator.faults.webhooks.append(WebhookFault(kind="reorder", seconds=20))
        run.emit("first")
        second = run.emit("second")
        await run.until(lambda: len(run.receiver.got) == 2)
        assert [got["data"]["object"]["name"] for got, _, _ in run.receiver.got] == ["second", "first"]
        assert run.delivered(second)


async def test_a_delayed_event_arrives_later() -> None:
    async with wired() as run:
        run.simulator.faults.webhooks.append(WebhookFault(kind="delay", seconds=0.2))
        event = run.emit()
        await asyncio.sleep(0.02)
        assert run.receiver.got == []
        await run.until(lambda: run.delivered(event))


async def test_an_endpoint_gets_its_types_in_its_version() -> None:
    async with wired() as run:
        params = {"url": run.receiver.url, "enabled_events": ["customer.created"], "api_version": "2024-06-20"}
        run.simulator.routes.endpoints.update(run.endpoint, {"disabled": "true"})
        run.simulator.routes.endpoints.create(params)
        run.emit()
        run.simulator.routes.customers.create({})
        await run.until(lambda: run.receiver.got)
        assert run.receiver.types == ["customer.created"]
        assert run.receiver.got[0][0]["api_version"] == "2024-06-20"


async def test_an_event_is_sent_again_on_request() -> None:
    async with wired() as run:
        event = run.emit()
        await run.until(lambda: run.delivered(event))
        run.simulator.routes.delivery.deliver(event, run.endpoint)
        await run.until(lambda: len(run.receiver.got) == 2)
