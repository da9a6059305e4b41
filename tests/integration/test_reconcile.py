"""What webhooks did not tell is found in Stripe's lists and brought through the inbox."""

from __future__ import annotations

from datetime import datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import delete
from tests.servers.histories import Account, unsaved
from tests.servers.laboratory import Laboratory, laboratory, seen

from payment_service.clock import Clock
from payment_service.mirror import payment_method
from payment_service.mirror.invoice import invoices
from payment_service.mirror.registry import KINDS
from payment_service.observability.metrics import DRIFT, OPERATIONS_PAST_LEASE, PAID_WITHOUT_ROW
from payment_service.reconcile import drift, polling
from payment_service.storage.cursors import read_cursor
from payment_service.storage.tables import cursors, customers, events, operations, subscriptions
from payment_service.stripe_api.call_budget import StripeBudget
from payment_service.stripe_api.objects import StripeUnreadable
from stripe_simulator.faults import Fault

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.servers.stack import Stack

HOUR = 3600
DAY = 86400
UNTOLD = {("checkout.session", "open"), ("invoice_payment", "open")}
"""Stripe makes no event of these."""


@pytest.fixture
async def lab(database_url: str) -> AsyncIterator[Laboratory]:
    async with laboratory(database_url) as found:
        yield found


def live(lab: Laboratory, *actions: str, seed: int = 3) -> Account:
    """Let things happen in the account that no webhook tells."""
    account = Account(lab.simulator, lab.clock, Random(seed), cards=("pm_card_visa",))
    for action in actions:
        account.do(action)
    return account


async def mirror_is_true(lab: Laboratory, *, swept: bool = False) -> bool:
    """Tell whether each of Stripe's objects has its row, as it is now; `swept`: each of those that Stripe lists."""
    mirrored = await lab.mirror()
    for kind, target in KINDS.items():
        if swept and not target.listed:
            continue
        for obj in lab.simulator.state.all(kind):
            if (kind, obj.get("status")) in UNTOLD or unsaved(obj):
                continue
            row = mirrored[kind].get(obj["id"], {})
            wanted = seen(target.columns({"livemode": False, **obj}))
            if {name: row.get(name) for name in wanted} != wanted:
                return False
    return True


async def drifted() -> dict[str, float]:
    return {
        sample.labels["object"]: sample.value
        for metric in DRIFT.collect()
        for sample in metric.samples
        if sample.name.endswith("_total")
    }


async def cursor(lab: Laboratory, name: str) -> dict[str, Any] | None:
    async with lab.parts.database.read() as connection:
        return await read_cursor(connection, name)


async def test_an_hour_without_webhooks_loses_no_state(lab: Laboratory) -> None:
    run = lab.parts.reconciler.run
    await run(full=False)
    before = sum((await drifted()).values())
    account = live(lab)
    for _ in range(6):
        for action in ("subscribe", "change customer", "pay once", "refund", "cancel", "check out"):
            account.do(action)
        lab.clock.advance(600)
    lab.clock.advance(120)
    report = await run(full=False)
    await lab.settle()
    assert await mirror_is_true(lab)
    assert sum(report.missed.values()) == len(await lab.rows(events))
    assert sum((await drifted()).values()) - before == sum(report.missed.values())
    assert {row["source"] for row in await lab.rows(events)} == {"reconcile"}
    assert (await run(full=False)).missed == {}


async def test_events_that_webhooks_brought_are_no_drift(lab: Laboratory) -> None:
    await lab.parts.reconciler.run(full=False)
    live(lab, "subscribe", "refund")
    await lab.receive(lab.history())
    await lab.settle()
    lab.clock.advance(120)
    report = await lab.parts.reconciler.run(full=True)
    assert (report.missed, report.drifted) == ({}, {})
    assert report.looked_at > 0


async def test_the_youngest_events_are_left_to_their_webhooks(lab: Laboratory) -> None:
    await lab.parts.reconciler.run(full=False)
    live(lab, "create customer")
    assert (await lab.parts.reconciler.run(full=False)).missed == {}
    lab.clock.advance(120)
    assert (await lab.parts.reconciler.run(full=False)).missed["customer"] > 0


async def test_an_event_that_became_visible_late_is_found_in_the_overlap(lab: Laboratory) -> None:
    live(lab, "create customer")
    lab.clock.advance(200)
    await lab.parts.reconciler.run(full=False)
    async with lab.parts.database.transaction() as connection:
        await connection.execute(delete(events))
    lab.clock.advance(60)
    assert (await lab.parts.reconciler.run(full=False)).missed["customer"] > 0


async def test_a_failed_delivery_is_found_wherever_the_cursor_is(lab: Laboratory) -> None:
    lab.simulator.ensure_webhook_endpoint(url="http://127.0.0.1:9/nowhere", secret="whsec_nowhere")
    live(lab, "subscribe")
    lab.clock.advance(5 * DAY)
    await lab.parts.reconciler.run(full=False, undelivered=False)
    assert await lab.rows(events) == []
    report = await lab.parts.reconciler.run(full=False)
    assert report.missed["subscription"] == 2
    await lab.settle()
    assert len(await lab.rows(subscriptions)) == 1


async def test_an_interrupted_walk_goes_on_where_it_was(lab: Laboratory) -> None:
    await lab.parts.reconciler.run(full=False)
    account = live(lab)
    for _ in range(4):
        account.do("create customer")
        lab.clock.advance(HOUR)
    start = await cursor(lab, polling.CURSOR)
    lab.simulator.faults.calls.append(Fault(kind="500_before", path="/v1/events", skip=2, count=99))
    with pytest.raises(Exception, match="Stripe cannot be reached"):
        await lab.parts.reconciler.run(full=False)
    midway = await cursor(lab, polling.CURSOR)
    assert start is not None
    assert midway is not None
    assert midway["until"] == start["until"] + 2 * HOUR
    lab.simulator.faults.clear()
    lab.clock.advance(120)
    await lab.parts.reconciler.run(full=False)
    await lab.settle()
    assert await mirror_is_true(lab)


async def test_a_gap_longer_than_stripes_memory_starts_a_sweep_over_all_objects(lab: Laboratory) -> None:
    await lab.parts.reconciler.run(full=False)
    live(lab, "subscribe", "pay once", "set up a card", "refund", "dispute", "check out", "change price")
    lab.clock.advance(40 * DAY)
    report = await lab.parts.reconciler.run(full=False)
    assert report.missed == {}
    assert report.drifted["subscription"] > 0
    await lab.settle()
    assert await mirror_is_true(lab, swept=True)
    assert await cursor(lab, drift.CURSOR) is None
    assert await cursor(lab, payment_method.LISTS) is not None, "customers' lists are taken anew"
    assert (await lab.parts.reconciler.run(full=True)).drifted == {}


async def test_an_interrupted_sweep_is_finished_by_the_next_run(lab: Laboratory) -> None:
    live(lab, "subscribe", "pay once")
    lab.clock.advance(40 * DAY)
    lab.simulator.faults.calls.append(Fault(kind="500_before", path="/v1/invoices", count=99))
    with pytest.raises(Exception, match="Stripe cannot be reached"):
        await lab.parts.reconciler.run(full=True)
    place = await cursor(lab, drift.CURSOR)
    assert place is not None
    assert place["kind"] == "subscription"
    lab.simulator.faults.clear()
    await lab.parts.reconciler.run(full=False)
    await lab.settle()
    assert await mirror_is_true(lab, swept=True)


async def test_a_dry_run_counts_and_changes_nothing(lab: Laboratory) -> None:
    live(lab, "subscribe")
    lab.clock.advance(120)
    report = await lab.parts.reconciler.run(full=True, since=lab.since(HOUR), dry_run=True)
    assert report.missed["subscription"] == 2
    assert report.drifted["subscription"] == 1
    assert await lab.rows(events) == []
    assert [row["name"] for row in await lab.rows(cursors) if row["name"].startswith("reconcile")] == []


async def test_one_of_many_processes_runs_what_is_due(lab: Laboratory) -> None:
    reconciler = lab.parts.reconciler
    assert await reconciler.run_due() is None
    lab.clock.advance(2 * DAY)
    assert await reconciler.run_due() is not None
    assert await reconciler.run_due() is None


async def test_calls_keep_to_the_budget_that_all_processes_share(lab: Laboratory) -> None:
    budgets = [StripeBudget(lab.parts.database, clock=StoppedClock(), per_second=20) for _ in range(3)]
    waits = [await budgets[number % 3]._reserve() for number in range(30)]
    assert all(wait <= 0 for wait in waits[:10])
    assert waits[29] == pytest.approx(20 / 20, abs=0.01)


class StoppedClock(Clock):
    def timestamp(self) -> float:
        return 1_800_000_000.0


async def test_gauges_tell_of_a_paid_invoice_without_its_subscription_and_of_an_operation_that_never_ends(
    lab: Laboratory,
) -> None:
    live(lab, "subscribe")
    await lab.receive(lab.history())
    await lab.settle()
    await lab.parts.reconciler.watch()
    assert PAID_WITHOUT_ROW._value.get() == 0
    assert "paid" in {row["status"] for row in await lab.rows(invoices)}
    async with lab.parts.database.transaction() as connection:
        await connection.execute(delete(subscriptions))
        await connection.execute(operations.insert().values(abandoned(lab)))
    lab.clock.advance(301)
    await lab.parts.reconciler.watch()
    assert PAID_WITHOUT_ROW._value.get() == 1
    assert OPERATIONS_PAST_LEASE._value.get() == 1


def abandoned(lab: Laboratory) -> dict[str, Any]:
    now = lab.clock.now()
    return {
        "id": "lpo_1",
        "kind": "create_subscription",
        "principal": "anonymous",
        "livemode": False,
        "request": {},
        "phase": "started",
        "facts": {},
        "lease_expires_at": now + timedelta(hours=1),  # an attempt has just begun
        "fence": 1,
        "attempts": 1,
        "created_at": now,
        "updated_at": now,
    }


ODD = {
    "ODD0": rb'"a\ud800b"',
    "ODD1": rb'"a\u0000b"',
    "ODD2": b"1e400",
    "ODD3": b"NaN",
    "ODD4": b"[" * 200 + b"]" * 200,
    "ODD5": b"[" * 900 + b"]" * 900,
}
"""What the SDK's decoder lets through and no table takes, by the name that stands for it."""


def speak_oddly(lab: Laboratory) -> None:
    """Let Stripe send the names above as what they stand for."""
    plain = lab.simulator.api

    async def odd(scope: Any, receive: Any, send: Any) -> None:
        sent: list[Any] = []

        async def keep(message: Any) -> None:
            sent.append(message)

        await plain(scope, receive, keep)
        body = b"".join(message.get("body", b"") for message in sent)
        for name, value in ODD.items():
            body = body.replace(f'"{name}"'.encode(), value)
        headers = [pair for pair in sent[0]["headers"] if pair[0] != b"content-length"]
        await send(sent[0] | {"headers": [*headers, (b"content-length", str(len(body)).encode())]})
        await send({"type": "http.response.body", "body": body})

    lab.simulator.api = odd  # type: ignore[assignment] # an ASGI application


@pytest.mark.parametrize("full", [False, True])
async def test_oddities_in_stripes_lists_stop_nothing(lab: Laboratory, *, full: bool) -> None:
    """Whatever can be replaced is; what cannot be is dead with its reason, and the others are taken."""
    await lab.parts.reconciler.run(full=False)
    names = [*ODD, "good"]
    made = {name: lab.simulator.routes.customers.create({"name": name})["id"] for name in names}
    lab.clock.advance(40 * DAY if full else 120)
    speak_oddly(lab)
    await lab.parts.reconciler.run(full=full)
    for _ in range(15):
        await lab.parts.worker.apply_batch()
        await lab.parts.worker.fetch_doubtful()
        lab.clock.advance(601)
    rows = {row["stripe_customer_id"]: row["name"] for row in await lab.rows(customers)}
    assert rows[made["good"]] == "good"
    assert rows[made["ODD0"]] == rows[made["ODD1"]] == "a\ufffdb"
    assert rows[made["ODD2"]] is rows[made["ODD3"]] is None
    states = {row["object_id"]: row["state"] for row in await lab.rows(events)}
    assert "pending" not in states.values()
    assert {states[made[name]] for name in ("good", "ODD0", "ODD1", "ODD2", "ODD3")} == {"applied"}
    assert not {made["ODD4"], made["ODD5"]} & rows.keys()
    assert (await lab.parts.reconciler.run(full=full)).missed == {}


async def test_an_event_in_stripes_list_that_cannot_be_read_is_dead_and_the_others_are_taken(lab: Laboratory) -> None:
    await lab.parts.reconciler.run(full=False)
    for number in range(4):
        lab.simulator.routes.customers.create({"name": f"customer {number}"})
    first, second, third, fourth = lab.simulator.state.all("event")
    first["data"], third["type"], fourth["object"] = {"object": []}, None, "v2.core.event"
    lab.clock.advance(120)
    report = await lab.parts.reconciler.run(full=False)
    await lab.settle()
    assert report.missed == {"customer": 1, "unreadable": 3}
    states = {row["id"]: row["state"] for row in await lab.rows(events)}
    assert states.pop(second["id"]) == "applied"
    assert set(states) == {first["id"], third["id"], fourth["id"]}
    assert set(states.values()) == {"dead"}
    lab.clock.advance(60)
    assert (await lab.parts.reconciler.run(full=False)).missed == {}


async def test_a_part_of_reconciliation_that_fails_keeps_no_other_from_its_work(lab: Laboratory) -> None:
    live(lab, "subscribe")
    plain = lab.simulator.api

    async def without_events(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] != "/v1/events":
            await plain(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b'{"object":"list"}'})

    lab.simulator.api = without_events  # type: ignore[assignment] # an ASGI application
    with pytest.raises(StripeUnreadable, match="the page's data is missing"):
        await lab.parts.reconciler.run(full=True)
    await lab.settle()
    assert len(await lab.rows(subscriptions)) == 1


async def test_how_far_it_is_is_told_in_moments_that_people_read(lab: Laboratory) -> None:
    told: list[str] = []
    await lab.parts.reconciler.run(full=False, progress=told.append)
    until = next(line for line in told if line.startswith("events until ")).split()[2].removesuffix(":")
    assert until.endswith("Z")
    assert timedelta() <= lab.clock.now() - datetime.fromisoformat(until) < timedelta(hours=1)


async def test_a_moved_test_clock_loses_no_delivery(stack: Stack) -> None:
    stack.clock.advance(120)  # past what made the prices, before there was an endpoint
    await stack.parts.reconciler.run(full=True)
    made = (await stack.create(email="ada@example.com", payment_method_id="pm_card_visa")).json()
    stack.simulator.test_clock.advance(32 * DAY)
    stack.simulator.tick()
    account = stack.simulator.state

    async def told() -> bool:
        return all(stack.simulator.routes.events.delivered(event) for event in account.all("event"))

    async def renewed() -> bool:
        seen = (await stack.client.get(f"/api/v1/subscriptions/{made['id']}")).json()
        return datetime.fromisoformat(seen["current_period_end"]).timestamp() > account.now

    await stack.until(told)
    await stack.until(renewed)
    assert len(stack.charges()) == 2
    stack.clock.advance(120)
    report = await stack.parts.reconciler.run(full=True)
    assert (report.missed, report.drifted) == ({}, {})
