"""How the inbox's events are claimed, applied, put off and given up."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import update
from tests.registered import registered
from tests.servers.canaries import whole
from tests.servers.histories import Account
from tests.servers.laboratory import Laboratory, laboratory, seen

from payment_service.events import store
from payment_service.mirror.registry import KINDS
from payment_service.observability.metrics import STRIPE_REQUESTS
from payment_service.storage.personal_tables import personal_data
from payment_service.storage.tables import customers, events, outbox, subscriptions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def lab(database_url: str) -> AsyncIterator[Laboratory]:
    async with laboratory(database_url) as found:
        yield found


def told(lab: Laboratory, event_id: str, obj: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Return an event about an object, now unless `changes` say otherwise."""
    return {
        "id": event_id,
        "object": "event",
        "api_version": "2026-10-28.endive",
        "created": int(lab.clock.timestamp()),
        "livemode": False,
        "type": f"{obj['object']}.updated",
        "data": {"object": obj},
    } | changes


def customer(customer_id: str, **changes: Any) -> dict[str, Any]:
    return {
        "id": customer_id,
        "object": "customer",
        "email": None,
        "name": None,
        "metadata": {},
        "livemode": False,
    } | changes


async def claim(lab: Laboratory, owner: str, *, fetch: bool = False) -> list[str]:
    async with lab.parts.database.transaction() as connection:
        found = await store.claim(
            connection, owner=owner, now=lab.clock.now(), lease_seconds=60, limit=100, fetch=fetch
        )
    return [event.id for event in found]


async def states(lab: Laboratory) -> dict[str, str]:
    return {row["id"]: row["state"] for row in await lab.rows(events)}


def fetches(kind: str) -> float:
    return sum(
        sample.value
        for metric in STRIPE_REQUESTS.collect()
        for sample in metric.samples
        if sample.name.endswith("_total") and sample.labels["operation"] == f"retrieve_{kind}"
    )


async def test_events_of_one_object_are_claimed_by_one_worker_at_a_time(lab: Laboratory) -> None:
    await lab.receive([told(lab, "evt_1", customer("cus_1"))])
    assert await claim(lab, "first") == ["evt_1"]
    await lab.receive([told(lab, "evt_2", customer("cus_1")), told(lab, "evt_3", customer("cus_2"))])
    assert await claim(lab, "second") == ["evt_3"]
    async with lab.parts.database.transaction() as connection:
        await store.settle(connection, ["evt_1"], state="applied", now=lab.clock.now(), owner="first")
    assert await claim(lab, "second") == ["evt_2"]


async def test_workers_that_claim_at_the_same_moment_never_share_an_object(lab: Laboratory) -> None:
    await lab.receive([told(lab, f"evt_{n}", customer(f"cus_{n % 7}")) for n in range(70)])
    claims = await asyncio.gather(*(claim(lab, f"worker-{n}") for n in range(6)))
    rows = {row["id"]: row for row in await lab.rows(events)}
    holders: dict[str, set[str]] = {}
    for event_id in (event_id for claimed in claims for event_id in claimed):
        holders.setdefault(rows[event_id]["object_id"], set()).add(rows[event_id]["lease_owner"])
    assert holders
    assert all(len(owners) == 1 for owners in holders.values())
    taken = [event_id for claimed in claims for event_id in claimed]
    assert len(taken) == len(set(taken))


async def test_a_lease_that_has_run_out_is_taken_over_and_its_former_holder_settles_nothing(lab: Laboratory) -> None:
    await lab.receive([told(lab, "evt_1", customer("cus_1"))])
    await claim(lab, "first")
    assert await claim(lab, "second") == []
    lab.clock.advance(61)
    assert await claim(lab, "second") == ["evt_1"]
    async with lab.parts.database.transaction() as connection:
        held = await store.settle(connection, ["evt_1"], state="applied", now=lab.clock.now(), owner="first")
    assert held == set()
    assert await states(lab) == {"evt_1": "pending"}


async def test_a_burst_costs_one_fetch(lab: Laboratory) -> None:
    made = lab.simulator.routes.customers.create({"email": "ada@example.com"})
    before = fetches("customers")
    now = int(lab.clock.timestamp())
    for number in range(10):
        stale = customer(made["id"], name=f"stale {number}")
        await lab.receive([told(lab, f"evt_{number}", stale, created=now)])
        await lab.parts.worker.apply_batch()
    await lab.settle()
    assert fetches("customers") - before == 1
    assert [row["email"] for row in await lab.rows(customers)] == ["ada@example.com"]
    assert set((await states(lab)).values()) == {"applied"}


async def test_an_older_event_asks_stripe_and_a_newer_one_does_not(lab: Laboratory) -> None:
    made = lab.simulator.routes.customers.create({"name": "present"})
    now = int(lab.clock.timestamp())
    before = fetches("customers")
    await lab.receive([told(lab, "evt_1", customer(made["id"], name="first"), created=now - 100)])
    await lab.settle()
    await lab.receive([told(lab, "evt_2", customer(made["id"], name="second"), created=now - 50)])
    await lab.settle()
    assert fetches("customers") == before
    assert [row["name"] for row in await lab.rows(customers)] == ["second"]
    await lab.receive([told(lab, "evt_3", customer(made["id"], name="late"), created=now - 70)])
    await lab.settle()
    assert fetches("customers") == before + 1
    assert [row["name"] for row in await lab.rows(customers)] == ["present"]


async def test_a_poison_event_blocks_nothing_and_is_dead_at_once(lab: Laboratory) -> None:
    poison = told(lab, "evt_poison", {"id": "sub_1", "object": "subscription", "status": "active"})
    await lab.receive([told(lab, f"evt_{n}", customer(f"cus_{n}")) for n in range(20)] + [poison])
    await lab.parts.worker.apply_batch()
    assert await states(lab) == {f"evt_{n}": "applied" for n in range(20)} | {"evt_poison": "dead"}
    row = next(row for row in await lab.rows(events) if row["id"] == "evt_poison")
    assert (row["attempts"], row["last_error"]) == (1, "unreadable: the subscription's customer is missing")
    assert row["settled_at"] is not None


async def test_an_event_that_meets_a_fault_of_ours_is_dead_after_the_last_attempt(lab: Laboratory) -> None:
    async def broken(*_: Any, **__: Any) -> Any:
        raise LookupError

    await lab.receive([told(lab, "evt_1", {"id": "prod_1", "object": "product"})])
    with registered(replace(KINDS["product"], planned=broken)):
        for attempt in range(1, 13):
            await lab.parts.worker.apply_batch()
            (row,) = await lab.rows(events)
            assert (row["state"], row["attempts"]) == ("dead" if attempt == 12 else "pending", attempt)
            lab.clock.advance(601)
    assert (row["last_error"], row["settled_at"] is None) == ("LookupError", False)


async def test_a_redelivery_arms_a_dead_event_and_one_that_waits_after_a_failure(lab: Laboratory) -> None:
    poison = told(lab, "evt_1", {"id": "sub_1", "object": "subscription", "status": "active"})
    await lab.receive([poison])
    await lab.parts.worker.apply_batch()
    (waiting,) = await lab.rows(events)
    await lab.receive([poison])
    (armed,) = await lab.rows(events)
    assert armed["available_at"] <= max(waiting["available_at"], lab.clock.now())
    assert armed["attempts"] in {0, waiting["attempts"]}
    async with lab.parts.database.transaction() as connection:
        await connection.execute(update(events).values(state="dead", settled_at=lab.clock.now()))
    await lab.receive([poison])
    (again,) = await lab.rows(events)
    assert (again["state"], again["attempts"], again["settled_at"]) == ("pending", 0, None)


async def test_a_redelivery_of_an_applied_event_changes_nothing(lab: Laboratory) -> None:
    event = told(lab, "evt_1", customer("cus_1"))
    await lab.receive([event])
    await lab.settle()
    before = await lab.rows(events)
    for _ in range(100):
        await lab.receive([event])
    assert await lab.rows(events) == before
    assert len(await lab.rows(customers)) == 1


async def test_an_event_that_ends_every_worker_is_given_up(lab: Laboratory) -> None:
    await lab.receive([told(lab, "evt_1", customer("cus_1"))])
    for number in range(12):
        assert await claim(lab, f"killed-{number}") == ["evt_1"]
        lab.clock.advance(61)
    await lab.parts.worker.apply_batch()
    (row,) = await lab.rows(events)
    assert (row["state"], row["last_error"]) == ("dead", "worker_ended")


async def test_while_stripe_is_away_no_attempt_is_used_up(lab: Laboratory) -> None:
    made = lab.simulator.routes.customers.create({"name": "present"})
    now = int(lab.clock.timestamp())
    await lab.receive([told(lab, f"evt_{n}", customer(made["id"], name=f"stale {n}"), created=now) for n in range(2)])
    real, lab.simulator.api = lab.simulator.api, unavailable  # type: ignore[assignment] # an ASGI application
    for _ in range(20):
        await lab.parts.worker.apply_batch()
        await lab.parts.worker.fetch_doubtful()
        lab.clock.advance(31)
    assert sorted((await states(lab)).values()) == ["applied", "pending"]
    lab.simulator.api = real
    await lab.settle()
    assert set((await states(lab)).values()) == {"applied"}


async def test_an_object_that_stripe_is_slow_with_holds_up_no_other(lab: Laboratory) -> None:
    slow, quick = (lab.simulator.routes.customers.create({"name": name})["id"] for name in ("slow", "quick"))
    now, answered, real = int(lab.clock.timestamp()), asyncio.Event(), lab.simulator.api

    async def late(scope: Any, receive: Any, send: Any) -> None:
        if slow in scope.get("path", ""):
            await answered.wait()
        await real(scope, receive, send)

    lab.simulator.api = late  # type: ignore[assignment] # an ASGI application
    applier = lab.parts.worker._applier
    for named in (slow, quick):
        stale = [customer(named, name=f"stale {n}") for n in range(2)]
        await lab.receive([told(lab, f"evt_{named}_{n}", each, created=now) for n, each in enumerate(stale)])
        await lab.parts.worker.apply_batch()
        lab.clock.advance(2)
        assert await asyncio.wait_for(applier.fetch_doubtful(leave=1), 5) == 1
    assert sorted(lab_states := (await states(lab)).values()) == ["applied"] * 3 + ["pending"], lab_states
    answered.set()
    await applier.fetched()
    assert set((await states(lab)).values()) == {"applied"}


async def unavailable(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 503, "headers": []})
    await send({"type": "http.response.body", "body": b"{}"})


async def test_an_event_of_a_connected_account_is_kept_and_not_applied(lab: Laboratory) -> None:
    await lab.receive([told(lab, "evt_1", customer("cus_1"), account="acct_other")])
    await lab.settle()
    assert await states(lab) == {"evt_1": "ignored"}
    assert await lab.rows(customers) == []


async def test_settled_events_go_after_their_retention_and_waiting_ones_stay(lab: Laboratory) -> None:
    old = [told(lab, "evt_1", customer("cus_1")), told(lab, "evt_2", customer("cus_2"), livemode=True)]
    await lab.receive(old)
    await lab.settle()
    lab.clock.advance(89 * 86400)
    await lab.receive([told(lab, "evt_3", customer("cus_3"))])
    await lab.settle()
    await lab.parts.worker.keep_house()
    assert set(await states(lab)) == {"evt_1", "evt_2", "evt_3"}
    lab.clock.advance(2 * 86400)
    await lab.parts.worker.keep_house()
    assert set(await states(lab)) == {"evt_3"}


async def test_every_kind_of_object_is_applied_as_stripe_has_it(lab: Laboratory) -> None:
    account = Account(lab.simulator, lab.clock, Random(7))
    for action in account.actions:
        for _ in range(4):
            account.do(action)
    history = lab.history()
    await lab.receive(history)
    await lab.settle()
    assert set((await states(lab)).values()) <= {"applied", "ignored"}
    mirrored = await lab.mirror()
    empty = [kind for kind, rows in mirrored.items() if not rows]
    assert empty == []
    for kind, target in KINDS.items():
        for obj in lab.simulator.state.all(kind):
            if obj["id"] in mirrored[kind] and not obj.get("deleted"):
                wanted = seen(target.columns({"livemode": False, **obj}))
                assert {name: mirrored[kind][obj["id"]][name] for name in wanted} == wanted


async def test_an_ended_subscription_never_comes_back(lab: Laboratory) -> None:
    account = Account(lab.simulator, lab.clock, Random(1))
    account.do("subscribe")
    account.do("cancel")
    await lab.receive(lab.history())
    await lab.settle()
    (row,) = await lab.rows(subscriptions)
    assert row["status"] == "canceled"
    newer = next(event for event in lab.history() if event["type"] == "customer.subscription.created")
    ghost = newer["data"]["object"] | {"status": "active", "ended_at": None}
    lab.clock.advance(60)
    await lab.receive([told(lab, "evt_ghost", ghost, type="customer.subscription.updated")])
    await lab.settle()
    (row,) = await lab.rows(subscriptions)
    assert row["status"] == "canceled"


async def test_each_change_of_state_is_one_row_of_the_outbox_with_its_cause(lab: Laboratory) -> None:
    now = int(lab.clock.timestamp())
    for number, name in enumerate(("Ada", "Ada", "Grace")):
        await lab.receive([told(lab, f"evt_{number}", customer("cus_1", name=name), created=now - 10 + number)])
        await lab.settle()
    rows = whole(await lab.rows(outbox), await lab.rows(personal_data))
    told_of = [(row["cause"], row["before"], row["after"]) for row in rows]
    assert [cause for cause, _, _ in told_of] == ["evt_0", "evt_2"]
    assert told_of[0][1] is None
    assert told_of[1][1:] == ({"name": "Ada"}, {"name": "Grace"})


async def test_an_object_that_is_to_be_fetched_is_not_taken_for_a_snapshot(lab: Laboratory) -> None:
    """A dispute lets its charge be fetched by an event that shows nothing; the charge's own events come beside it."""
    account = Account(lab.simulator, lab.clock, Random(3), cards=("pm_card_visa",))
    account.do("subscribe")
    account.do("dispute")
    history = lab.history()
    await lab.receive(event for event in history if event["data"]["object"]["object"] == "dispute")
    await lab.parts.worker.apply_batch()
    await lab.receive(event for event in history if event["data"]["object"]["object"] == "charge")
    await lab.parts.worker.apply_batch()
    rows = await lab.rows(events)
    assert {row["attempts"] for row in rows if row["type"] == "reconcile.charge"} == {0}
    assert {row["last_error"] for row in rows} == {None}
    await lab.settle()
    (charge,) = (await lab.mirror())["charge"].values()
    assert charge["disputed"] is True
