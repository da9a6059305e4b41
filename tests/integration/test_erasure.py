"""A customer deleted at Stripe leaves nothing personal behind, while every append-only row stays."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import insert, text, update
from tests.integration.test_postgresql_grants import ROLE, owner_url, server
from tests.servers.canaries import found_in
from tests.servers.laboratory import Laboratory, laboratory
from tests.servers.stack import Stack, running_stack

from payment_service.customers.erasure import Erasure
from payment_service.mirror.charge import charges
from payment_service.mirror.dispute import disputes
from payment_service.operations.people import Mover
from payment_service.reconcile.schemas import Report
from payment_service.storage.personal_tables import personal_data
from payment_service.storage.tables import audit_log, customers, events, operations, outbox, subscriptions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from payment_service.bootstrap import Parts
    from payment_service.storage.database import Database

__all__ = ["owner_url", "server"]  # fixtures

CARD = "pm_card_visa"
ADDRESS, NAME, LATER_NAME, NOTE, REFERENCE = (
    "canary-address@example.com",
    "Canary Name",
    "Canary Married",
    "canary-note",
    "canary-reference",
)
WORDS = ("canary",)
METADATA = {"note": NOTE}


@pytest.fixture
async def lab(database_url: str) -> AsyncIterator[Laboratory]:
    async with laboratory(database_url) as running:
        yield running


async def do(parts: Parts, whose: type[Erasure | Mover]) -> None:
    """Do the worker's duty of this part of the service."""
    (duty,) = [duty for duty in parts.worker.duties if isinstance(getattr(duty.work, "__self__", None), whose)]
    await duty.work()


async def delete_at_stripe(stack: Stack, stripe_id: str) -> None:
    stack.simulator.routes.customers.delete(stack.simulator.state.objects[stripe_id])

    async def told() -> bool:
        rows = await stack.rows(customers)
        settled = all(row["state"] != "pending" for row in await stack.rows(events))
        return settled and any(row["deleted"] for row in rows if row["stripe_customer_id"] == stripe_id)

    await stack.until(told)


async def erased(stack: Stack) -> None:
    async def done() -> bool:
        stack.clock.advance(61)  # an event that comes meanwhile makes it due a minute later
        await do(stack.parts, Erasure)
        return all(row["erased_at"] for row in await stack.rows(customers) if row["deleted"])

    await stack.until(done)


async def live(stack: Stack) -> dict[str, Any]:
    """Let a person leave traces everywhere; return what the first request was answered."""
    key = {"Idempotency-Key": "first"}
    body = {"email": ADDRESS, "name": NAME, "metadata": METADATA, "payment_method_id": CARD}
    made = (await stack.create(**body, headers=key)).json()
    holder = {"email": ADDRESS, "name": NAME, "reference": REFERENCE, "metadata": METADATA}
    second = await stack.client.post("/api/v1/customers", json=holder, headers={"Idempotency-Key": "second"})
    refused = await stack.client.post("/api/v1/customers", json=holder)
    assert (second.status_code, refused.status_code) == (201, 409)
    found = stack.simulator.state.objects[made["stripe_customer_id"]]
    stack.simulator.routes.customers.update(found, {"name": LATER_NAME, "metadata": METADATA})
    await stack.client.post(f"/api/v1/subscriptions/{made['id']}/cancel", json={"at_period_end": True})
    declined = await stack.create(
        customer_id=made["customer_id"], price_id="price_basic", metadata=METADATA, payment_method_id="pm_card_declined"
    )
    assert declined.status_code in {402, 422}
    return {**made, "second": second.json()}


async def check_all_gone(stack: Stack) -> None:
    """The whole way: before, everything is there; afterwards nothing personal, and every row."""
    made = await live(stack)

    async def here() -> bool:
        return "customers.name" in await found_in(stack.parts.database, LATER_NAME)

    await stack.until(here)
    for table in ("customers.email", "personal_data.content", "operations.request", "events.payload"):
        assert table in await found_in(stack.parts.database, *WORDS)
    assert {"outbox.before", "outbox.after"}.isdisjoint(await found_in(stack.parts.database, *WORDS))
    for stripe_id in (made["stripe_customer_id"], made["second"]["stripe_customer_id"]):
        await delete_at_stripe(stack, stripe_id)
    counted = {table.name: len(await stack.rows(table)) for table in (operations, outbox, events)}
    await erased(stack)
    assert await found_in(stack.parts.database, *WORDS) == set()
    assert {table.name: len(await stack.rows(table)) for table in (operations, outbox, events)} == counted
    audited = [row["object_id"] for row in await stack.rows(audit_log) if row["action"] == "customer.erase"]
    assert sorted(audited) == sorted({made["customer_id"], made["second"]["id"]})
    await check_replays(stack, made)


async def check_replays(stack: Stack, made: dict[str, Any]) -> None:
    body = {"email": ADDRESS, "name": NAME, "metadata": METADATA, "payment_method_id": CARD}
    charged = len(stack.charges())
    again = await stack.create(**body, headers={"Idempotency-Key": "first"})
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (201, "true")
    assert again.json() == {**{k: v for k, v in made.items() if k != "second"}, "metadata": {}}
    holder = {"email": ADDRESS, "name": NAME, "reference": REFERENCE, "metadata": METADATA}
    again = await stack.client.post("/api/v1/customers", json=holder, headers={"Idempotency-Key": "second"})
    assert again.status_code == 201
    assert again.json() == made["second"] | {"email": None, "name": None, "reference": None, "metadata": {}}
    assert len(stack.charges()) == charged
    assert await found_in(stack.parts.database, *WORDS) == set()


async def test_nothing_personal_is_left_of_a_customer_deleted_at_stripe(stack: Stack) -> None:
    await check_all_gone(stack)


async def test_nothing_is_left_where_the_service_runs_as_the_restricted_role(owner_url: str) -> None:
    url = owner_url.replace("payments_owner@", f"{ROLE}@")
    async with running_stack(url, DATABASE_MIGRATION_URL=owner_url) as stack:
        await check_all_gone(stack)


async def test_a_fetch_that_answers_deleted_counts_as_the_event(stack: Stack) -> None:
    made = (await stack.create(email=ADDRESS, name=NAME, payment_method_id=CARD)).json()
    for endpoint in list(stack.simulator.state.all("webhook_endpoint")):
        stack.simulator.routes.endpoints.delete(endpoint)
    stack.simulator.routes.customers.delete(stack.simulator.state.objects[made["stripe_customer_id"]])

    async def fetched() -> bool:
        """What an event has written meanwhile is left alone."""
        await stack.parts.selection.refresh(made["stripe_customer_id"])
        return all(row["deleted"] for row in await stack.rows(customers))

    await stack.until(fetched)
    await erased(stack)
    assert await found_in(stack.parts.database, *WORDS) == set()


async def test_another_customer_keeps_everything(stack: Stack) -> None:
    gone = (await stack.create(email=ADDRESS, payment_method_id=CARD)).json()
    kept = {"email": "kept@example.com", "name": "Kept", "metadata": {"note": "kept-note"}}
    answer = await stack.create(**kept, payment_method_id=CARD, headers={"Idempotency-Key": "kept"})
    await delete_at_stripe(stack, gone["stripe_customer_id"])
    places = await found_in(stack.parts.database, "kept@", "kept-note")
    await erased(stack)
    assert await found_in(stack.parts.database, "kept@", "kept-note") == places
    again = await stack.create(**kept, payment_method_id=CARD, headers={"Idempotency-Key": "kept"})
    assert again.json() == answer.json()


async def test_what_comes_later_is_erased_too(stack: Stack) -> None:
    """A dispute a month later names the charge alone, and holds the person's address as evidence."""
    made = (await stack.create(email=ADDRESS, payment_method_id=CARD)).json()
    await delete_at_stripe(stack, made["stripe_customer_id"])
    await erased(stack)
    (charge,) = stack.simulator.state.all("charge")
    lab = Laboratory(stack.parts, stack.clock)
    dispute = {
        "id": "dp_1",
        "object": "dispute",
        "charge": charge["id"],
        "payment_intent": charge["payment_intent"],
        "amount": 100,
        "currency": "usd",
        "reason": "fraudulent",
        "status": "needs_response",
        "metadata": METADATA,
        "evidence": {"customer_email_address": ADDRESS},
        "evidence_details": {"due_by": None},
        "created": int(stack.clock.timestamp()),
        "livemode": False,
    }
    event = {"id": "evt_late", "object": "event", "type": "charge.dispute.created", "livemode": False}
    await lab.receive([event | {"created": dispute["created"], "data": {"object": dispute}}])

    async def disputed() -> bool:
        return bool(await stack.rows(disputes)) and bool(await found_in(stack.parts.database, *WORDS))

    await stack.until(disputed)
    await erased(stack)
    assert await found_in(stack.parts.database, *WORDS) == set()


async def test_a_full_reconciliation_brings_nothing_back_and_sees_no_difference(stack: Stack) -> None:
    made = (await stack.create(email=ADDRESS, metadata=METADATA, payment_method_id=CARD)).json()
    await delete_at_stripe(stack, made["stripe_customer_id"])
    await erased(stack)
    report = Report()
    await stack.parts.reconciler._sweep.run(report, dry_run=False, progress=lambda _: None)
    assert report.drifted.keys() <= {"product", "price"}, "what was there before the first event"
    assert [row["metadata"] for row in await stack.rows(subscriptions)] == [{}]
    assert await found_in(stack.parts.database, *WORDS) == set()


async def test_an_unfinished_operation_is_waited_for(stack: Stack) -> None:
    made = (await stack.create(email=ADDRESS, payment_method_id=CARD)).json()

    async def unfinished(*, so: bool) -> None:
        lease = stack.clock.now() + timedelta(hours=1)
        async with stack.parts.database.transaction() as connection:
            await connection.execute(update(operations).values(finished=not so, lease_expires_at=lease))

    await unfinished(so=True)
    await delete_at_stripe(stack, made["stripe_customer_id"])
    stack.clock.advance(61)
    await do(stack.parts, Erasure)
    assert [row["erased_at"] for row in await stack.rows(customers)] == [None]
    await unfinished(so=False)
    await erased(stack)
    assert await found_in(stack.parts.database, *WORDS) == set()


class Killed(BaseException):
    """The process ends here."""


def killed_at(database: Database, number: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """End the process before this task commits that transaction of its own; the list counts them.

    What runs beside it, as numbering does after every commit, commits undisturbed and is not counted.
    """
    plain, killed, begun = database.transaction, asyncio.current_task(), [0]

    @asynccontextmanager
    async def transaction() -> AsyncIterator[Any]:
        mine = 0
        if asyncio.current_task() is killed:
            begun[0] += 1
            mine = begun[0]
        async with plain() as connection:
            yield connection
            if mine == number:
                raise Killed

    monkeypatch.setattr(database, "transaction", transaction)
    return begun


async def test_killed_at_any_commit_it_ends_later(lab: Laboratory) -> None:
    for number in range(1, 12):
        await leave_traces(lab, number)
        lab.clock.advance(61)
        with pytest.MonkeyPatch.context() as monkeypatch:
            begun = killed_at(lab.parts.database, number, monkeypatch)
            beside = asyncio.create_task(lab.parts.sequencer.number_all())
            try:
                await do(lab.parts, Erasure)
            except Killed:
                assert await erased_ids(lab) == [f"lpc_{earlier}" for earlier in range(1, number)]
            else:
                break
            finally:
                await beside
        assert begun[0] == number
        await do(lab.parts, Erasure)
        assert len(await erased_ids(lab)) == number
        assert await found_in(lab.parts.database, *WORDS) == set()
    assert 5 <= number < 12, "each step was hit"
    audited = [row["object_id"] for row in await lab.rows(audit_log) if row["action"] == "customer.erase"]
    assert sorted(audited) == sorted(f"lpc_{one}" for one in range(1, number + 1))


async def erased_ids(lab: Laboratory) -> list[str]:
    rows = [row for row in await lab.rows(customers) if row["erased_at"] is not None]
    return [row["id"] for row in sorted(rows, key=lambda row: int(row["id"].removeprefix("lpc_")))]


async def leave_traces(lab: Laboratory, number: int) -> None:
    """Make a customer known by events, with an operation that is finished, and delete it."""
    at = int(lab.clock.timestamp())
    person = {"id": f"cus_{number}", "object": "customer", "email": ADDRESS, "name": NAME, "metadata": METADATA}
    for offset, kind in enumerate(("created", "updated", "deleted")):
        obj = person | {"name": f"{NAME} {offset}", "created": at}
        event = {"id": f"evt_{number}_{kind}", "object": "event", "type": f"customer.{kind}", "livemode": False}
        await lab.receive([event | {"created": at - 10 + offset, "data": {"object": obj}}])
        await lab.settle()
    now = lab.clock.now()
    operation = {
        "id": f"lpo_{number}",
        "kind": "create_customer",
        "principal": "shop",
        "livemode": False,
        "request": {"email": ADDRESS, "name": NAME},
        "phase": "finished",
        "facts": {"customer_id": f"lpc_{number}"},
        "finished": True,
        "response_status": 201,
        "response_body": b'{"id":"lpc_%d","email":"%s"}' % (number, ADDRESS.encode()),
        "response_content_type": "application/json",
        "lease_expires_at": now,
        "fence": 1,
        "attempts": 1,
        "created_at": now,
        "updated_at": now,
    }
    async with lab.parts.database.transaction() as connection:
        await connection.execute(insert(operations), operation)


async def test_an_event_applied_during_the_last_step_makes_it_due_again(lab: Laboratory) -> None:
    await leave_traces(lab, 1)
    lab.clock.advance(61)
    await do(lab.parts, Erasure)
    assert await erased_ids(lab) == ["lpc_1"]
    at = int(lab.clock.timestamp())
    charge = {"id": "ch_1", "object": "charge", "customer": "cus_1", "amount": 1, "amount_captured": 1}
    charge |= {"amount_refunded": 0, "paid": True, "captured": True, "refunded": False, "disputed": False}
    charge |= {"status": "succeeded", "currency": "usd", "metadata": METADATA, "created": at}
    event = {"id": "evt_late", "object": "event", "type": "charge.updated", "created": at, "livemode": False}
    await lab.receive([event | {"data": {"object": charge}}])
    await lab.settle()
    assert await erased_ids(lab) == []
    assert [row["metadata"] for row in await lab.rows(charges)] == [METADATA]
    await do(lab.parts, Erasure)
    assert await erased_ids(lab) == ["lpc_1"]
    assert await found_in(lab.parts.database, *WORDS) == set()


async def test_a_replayed_event_of_an_erased_customer_fetches_it(stack: Stack) -> None:
    made = (await stack.create(email=ADDRESS, payment_method_id=CARD)).json()
    await delete_at_stripe(stack, made["stripe_customer_id"])
    await erased(stack)
    async with stack.parts.database.transaction() as connection:
        again = {"state": "pending", "attempts": 0, "available_at": stack.clock.now(), "settled_at": None}
        await connection.execute(update(events).values(again))

    async def applied() -> bool:
        return all(row["state"] in {"applied", "ignored"} for row in await stack.rows(events))

    await stack.until(applied)
    assert {row["last_error"] for row in await stack.rows(events)} <= {None, "not_mirrored", "gone"}
    await erased(stack)
    assert await found_in(stack.parts.database, *WORDS) == set()


async def test_after_its_key_an_operation_keeps_what_is_personal_in_its_place(stack: Stack) -> None:
    body = {"email": ADDRESS, "name": NAME, "metadata": METADATA}
    answer = (await stack.client.post("/api/v1/customers", json=body, headers={"Idempotency-Key": "k"})).json()
    await do(stack.parts, Mover)
    again = await stack.client.post("/api/v1/customers", json=body, headers={"Idempotency-Key": "k"})
    assert again.json() == answer
    stack.clock.advance(74 * 3600)
    await do(stack.parts, Mover)
    assert {place for place in await found_in(stack.parts.database, ADDRESS) if "operations" in place} == set()
    (row,) = [row for row in await stack.rows(personal_data) if row["id"].startswith("lpo_")]
    assert row["content"]["request"] == body
    assert row["content"]["answer"]["email"] == ADDRESS
    assert (row["customer_id"], row["stripe_customer_id"]) == (answer["id"], answer["stripe_customer_id"])
    await delete_at_stripe(stack, answer["stripe_customer_id"])
    await erased(stack)
    assert await found_in(stack.parts.database, *WORDS) == set()
    assert len(await stack.rows(operations)) == 1


async def test_what_is_removed_takes_its_personal_data_along(stack: Stack) -> None:
    await stack.client.post("/api/v1/customers", json={"email": ADDRESS})
    stack.clock.advance(74 * 3600)
    await do(stack.parts, Mover)
    kinds = {row["id"].partition("_")[0] for row in await stack.rows(personal_data)}
    assert kinds == {"lpo", "outbox"}
    stack.clock.advance(91 * 86400)
    await stack.parts.operations.remove_expired(limit=10)
    async with stack.parts.database.transaction() as connection:
        await connection.execute(text("DELETE FROM outbox"))
    assert await stack.rows(personal_data) == []


async def test_many_deletions_at_once_are_all_done(lab: Laboratory) -> None:
    for number in range(1, 56):
        at = int(lab.clock.timestamp())
        obj = {"id": f"cus_{number}", "object": "customer", "email": ADDRESS, "deleted": True}
        event = {"id": f"evt_{number}", "object": "event", "type": "customer.deleted", "livemode": False}
        await lab.receive([event | {"created": at, "data": {"object": obj}}])
    await lab.settle()
    lab.clock.advance(61)
    await asyncio.gather(do(lab.parts, Erasure), do(lab.parts, Erasure))
    assert len(await erased_ids(lab)) == 55
    audited = [row["object_id"] for row in await lab.rows(audit_log) if row["action"] == "customer.erase"]
    assert len(audited) == len(set(audited)) == 55
