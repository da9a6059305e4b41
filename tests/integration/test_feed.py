"""The feed as an application reads it."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import delete, func, select

from payment_service.storage.feed_table import feed
from payment_service.storage.tables import outbox

if TYPE_CHECKING:
    import httpx
    from tests.servers.stack import Stack

EVENTS = "/api/v1/events"
CARD: dict[str, Any] = {"payment_method_id": "pm_card_visa"}


async def read(stack: Stack, status: int = 200, **params: Any) -> dict[str, Any]:
    answer = await stack.client.get(EVENTS, params=params)
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def subscribe(stack: Stack, name: str = "ada") -> dict[str, Any]:
    answer = await stack.create(email=f"{name}@example.com", **CARD)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def settled(stack: Stack) -> list[dict[str, Any]]:
    """Wait until the invoice is told of as paid, and return all events."""

    async def paid() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await read(stack))["data"]
        return found if any(event["type"] == "invoice.paid" for event in found) else []

    found: list[dict[str, Any]] = await stack.until(paid)
    return found


async def test_a_new_subscription_is_told_in_the_shape_of_the_api(stack: Stack) -> None:
    made = await subscribe(stack)
    events = await settled(stack)
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    types = [event["type"] for event in events]
    assert types.index("customer.created") < types.index("subscription.created")
    (created,) = (event for event in events if event["type"] == "subscription.created")
    assert created["cause"]["type"] in {"operation", "stripe_event"}
    assert created["object_id"] == made["id"]
    assert created["data"]["previous"] is None
    shown = (await stack.client.get(f"/api/v1/subscriptions/{made['id']}")).json()
    last = [event for event in events if event["object_id"] == made["id"]][-1]
    assert last["data"]["object"] == shown
    assert (await stack.client.get(f"{EVENTS}/{created['id']}")).json() == created


async def test_filters_pass_what_they_name_and_refuse_what_there_is_not(stack: Stack) -> None:
    made = await subscribe(stack)
    await settled(stack)
    of_invoices = await read(stack, types="invoice.*,charge.succeeded")
    assert {event["type"].partition(".")[0] for event in of_invoices["data"]} <= {"invoice", "charge"}
    for name in (made["id"], made["stripe_subscription_id"]):
        about = await read(stack, object=name)
        assert {event["object_id"] for event in about["data"]} == {made["id"]}
    refused = await read(stack, 422, types="invoice.paied")
    assert refused["errors"][0]["field"] == "types"


async def test_a_walk_by_next_meets_each_event_once(stack: Stack) -> None:
    await subscribe(stack)
    every = await settled(stack)
    found, params = [], {"limit": 2}
    while True:
        page = await read(stack, **params)
        found += page["data"]
        if not page["has_more"]:
            break
        params["after"] = page["next"]
    assert [event["id"] for event in found][: len(every)] == [event["id"] for event in every]
    assert (await read(stack, after="latest"))["data"] == []


async def test_a_place_that_is_not_of_this_feed_is_410(stack: Stack) -> None:
    await subscribe(stack)
    event = (await settled(stack))[0]
    other = event["id"][:-1] + ("0" if event["id"][-1] != "0" else "1")
    assert (await read(stack, 410, after=other))["code"] == "cursor_unknown"
    assert (await read(stack, 410, after=f"evt_{'f' * 24}"))["code"] == "cursor_unknown"
    assert (await stack.client.get(f"{EVENTS}/{other}")).status_code == 404


async def test_a_place_behind_which_events_were_removed_is_410(stack: Stack) -> None:
    await subscribe(stack)
    events = await settled(stack)
    await asyncio.sleep(0.5)
    async with stack.parts.database.transaction() as connection:
        third = select(outbox.c.seq).order_by(outbox.c.seq).offset(2).limit(1).scalar_subquery()
        await connection.execute(delete(outbox).where(outbox.c.seq < third))
    expired = await read(stack, 410, after=events[0]["id"])
    assert expired["code"] == "cursor_expired"
    assert (await read(stack))["data"][0]["id"] == events[2]["id"]
    assert (await read(stack, after=events[1]["id"]))["data"][0]["id"] == events[2]["id"]


async def test_a_wait_ends_with_the_event_and_holds_no_connection(stack: Stack) -> None:
    waiting = asyncio.create_task(read(stack, after="latest", wait=30))
    await asyncio.sleep(1.0)
    pool: Any = stack.parts.database.engine.sync_engine.pool
    if stack.parts.database.dialect.is_server:
        assert pool.checkedout() <= 2  # the worker's own
    started = time.monotonic()
    await subscribe(stack)
    page = await waiting
    assert page["data"]
    assert time.monotonic() - started < 20


async def test_a_wait_ends_without_an_event_in_its_time(stack: Stack) -> None:
    started = time.monotonic()
    assert (await read(stack, after="latest", wait=1))["data"] == []
    assert time.monotonic() - started >= 1


async def lines(answer: httpx.Response, count: int) -> list[dict[str, Any]]:
    """Return so many events of a stream."""
    found: list[dict[str, Any]] = []
    async for line in answer.aiter_lines():
        if line.startswith("data: "):
            found.append(msgspec.json.decode(line.removeprefix("data: ")))
        if len(found) == count:
            break
    return found


async def test_a_stream_goes_on_behind_the_last_event_and_ends_when_the_pod_drains(stack: Stack) -> None:
    await subscribe(stack)
    every = await settled(stack)
    headers = {"accept": "text/event-stream"}
    async with stack.client.stream("GET", EVENTS, headers=headers) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert await lines(answer, 2) == every[:2]
    headers["last-event-id"] = every[1]["id"]
    async with stack.client.stream("GET", EVENTS, headers=headers) as answer:
        reading = asyncio.create_task(lines(answer, 10_000))
        await asyncio.sleep(0.5)
        stack.parts.drain.stop()
        async with asyncio.timeout(20):
            found = await reading
    assert found[: len(every) - 2] == every[2:]


async def test_an_erased_person_is_in_no_event(stack: Stack) -> None:
    made = await subscribe(stack, "grace")
    await settled(stack)
    async with stack.parts.database.read() as connection:
        assert (await connection.execute(select(func.count()).select_from(feed))).scalar_one()
    customer = stack.simulator.state.objects[made["stripe_customer_id"]]
    stack.simulator.routes.customers.delete(customer)

    async def erased() -> bool:
        answer = await stack.client.get(EVENTS, params={"types": "customer.deleted"})
        return bool(answer.json()["data"])

    await stack.until(erased)
    stack.clock.advance(timedelta(minutes=5).total_seconds())

    async def gone() -> bool:
        return "grace@example.com" not in (await stack.client.get(EVENTS)).text

    await stack.until(gone)
