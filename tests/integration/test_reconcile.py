"""What webhooks did not tell is found in Stripe's lists and brought through the inbox."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import delete
from tests.servers.histories import Account
from tests.servers.laboratory import Laboratory, laboratory

from payment_service.platform.budget import StripeBudget
from payment_service.platform.clock import Clock
from payment_service.platform.metrics import DRIFT, OPERATIONS_PAST_LEASE, PAID_WITHOUT_ROW
from payment_service.reconcile import drift, polling
from payment_service.reconcile.store import read_cursor
from payment_service.simulator.faults import Fault
from payment_service.tables import cursors, events, invoices, operations, subscriptions
from payment_service.webhooks.application import TARGETS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

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


async def mirror_is_true(lab: Laboratory) -> bool:
    """Tell whether each of Stripe's objects has its row, as it is now."""
    mirrored = await lab.mirror()
    for kind, target in TARGETS.items():
        for obj in lab.simulator.state.all(kind):
            if (kind, obj.get("status")) in UNTOLD:
                continue
            row = mirrored[kind].get(obj["id"], {})
            wanted = target.columns({"livemode": False, **obj})
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
    assert await mirror_is_true(lab)
    assert await cursor(lab, drift.CURSOR) is None
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
    assert await mirror_is_true(lab)


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


async def test_gauges_tell_of_a_paid_invoice_without_its_subscription_and_of_an_operation_past_its_lease(
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
        "lease_expires_at": now,
        "fence": 1,
        "attempts": 1,
        "created_at": now,
        "updated_at": now,
    }
