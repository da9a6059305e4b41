"""Payloads that cannot be read cost nothing to any other event, are dead with their reason, and have a way out."""

from __future__ import annotations

import json
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import insert
from tests.servers.hostile import HOSTILE, snapshot
from tests.servers.laboratory import Laboratory, laboratory

from payment_service.events.administration import InboxAdministration
from payment_service.events.rows import row_of
from payment_service.events.schemas import DiscardRequest
from payment_service.storage.tables import customers, events

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

BAD_OF_A_KIND = 100
GOOD = 300


@pytest.fixture
async def lab(database_url: str) -> AsyncIterator[Laboratory]:
    async with laboratory(database_url) as found:
        yield found


def stored(lab: Laboratory, event_id: str, object_id: str, body: bytes, **changes: Any) -> dict[str, Any]:
    """Return a row as if an earlier version, or a person with SQL, had stored these bytes."""
    good = json.dumps(snapshot(event_id, object_id)).encode()
    return row_of(good, source="webhook", livemode=False, now=lab.clock.now()) | {"payload": body} | changes


async def write(lab: Laboratory, rows: Iterable[dict[str, Any]]) -> None:
    async with lab.parts.database.transaction() as connection:
        await connection.execute(insert(events), list(rows))


async def test_a_thousand_hostile_payloads_among_good_ones(lab: Laboratory) -> None:
    bad: list[dict[str, Any]] = []
    for number, bodies in enumerate(HOSTILE.values()):
        for index, body in enumerate(islice(cycle(bodies), BAD_OF_A_KIND)):
            name = f"{number}_{index}"
            bad.append(stored(lab, f"evt_bad_{name}", f"cus_bad_{name}", body(f"evt_bad_{name}", f"cus_bad_{name}")))
    good = [
        stored(lab, f"evt_{n}", f"cus_{n}", json.dumps(snapshot(f"evt_{n}", f"cus_{n}")).encode()) for n in range(GOOD)
    ]
    mixed = [row for pair in zip(bad, islice(cycle([*good, None]), len(bad)), strict=True) for row in pair]
    unique = {row["id"]: row for row in mixed if row is not None}
    await write(lab, unique.values())
    rounds = 0
    while await lab.parts.worker.apply_batch() + await lab.parts.worker.fetch_doubtful():
        rounds += 1
    rows = {row["id"]: row for row in await lab.rows(events)}
    assert len(bad) == len(HOSTILE) * BAD_OF_A_KIND == 1000
    assert {rows[row["id"]]["state"] for row in good} == {"applied"}
    assert {rows[row["id"]]["state"] for row in bad} == {"dead"}
    assert {row["stripe_customer_id"] for row in await lab.rows(customers)} == {row["object_id"] for row in good}
    assert all(rows[row["id"]]["last_error"].startswith("unreadable: ") for row in bad)
    assert {rows[row["id"]]["attempts"] for row in bad} == {1}
    assert rounds <= len(unique) // 100 + 2


WEIRD: tuple[dict[str, Any], ...] = (
    {"id": "X", "object": "subscription"},
    {"id": "X", "object": "subscription", "items": [], "customer": {}, "status": []},
    {"id": "X", "object": "customer", "email": {"a": 1}, "metadata": [1]},
    {"id": "X", "object": "customer", "email": "e" * 20_000, "name": 5},
    {"id": "X", "object": "invoice", "currency": "usd", "amount_due": 10**30, "status": "open"},
    {"id": "X", "object": "subscription", "customer": "cus_1", "status": "active", "cancel_at": 10**17, "items": {}},
    {"id": "X", "object": "dispute", "amount": 1, "charge": [1], "status": "lost"},
    {"id": "X", "object": "price", "product": 5, "currency": None, "active": "yes"},
    {"id": "X", "object": "checkout.session", "expires_at": 2**62, "livemode": False},
    {"id": "X", "object": "payment_intent", "amount": "12", "charges": {"data": [None]}},
)
"""Objects that can be read but not written."""


async def test_objects_that_cannot_be_written_take_no_other_with_them(lab: Laboratory) -> None:
    rows = []
    for number, obj in enumerate(WEIRD):
        content = snapshot(f"evt_bad_{number}", f"bad_{number}", data={"object": obj | {"id": f"bad_{number}"}})
        rows.append(stored(lab, f"evt_bad_{number}", f"bad_{number}", json.dumps(content).encode()))
    for number in range(30):
        body = json.dumps(snapshot(f"evt_{number}", f"cus_{number}")).encode()
        rows.append(stored(lab, f"evt_{number}", f"cus_{number}", body))
    await write(lab, rows)
    await lab.parts.worker.apply_batch()
    states = {row["id"]: row["state"] for row in await lab.rows(events)}
    assert {states[f"evt_{number}"] for number in range(30)} == {"applied"}
    found = {row["id"]: row for row in await lab.rows(events) if row["id"].startswith("evt_bad")}
    assert {(row["state"], row["attempts"]) for row in found.values()} == {("dead", 1)}
    assert all(row["last_error"].startswith("unreadable: the ") for row in found.values())


async def test_an_event_with_a_nul_is_applied_with_the_replacement_character(lab: Laboratory) -> None:
    body = json.dumps(snapshot("evt_1", "cus_1")).replace("NAME", "a\\u0000b").encode()
    await write(lab, [stored(lab, "evt_1", "cus_1", body)])
    await lab.settle()
    assert [row["state"] for row in await lab.rows(events)] == ["applied"]
    assert [row["name"] for row in await lab.rows(customers)] == ["a\ufffdb"]


async def test_a_payload_of_another_event_than_its_row_is_not_applied(lab: Laboratory) -> None:
    await write(lab, [stored(lab, "evt_1", "cus_1", json.dumps(snapshot("evt_1", "cus_2")).encode())])
    await lab.settle()
    assert [row["state"] for row in await lab.rows(events)] == ["dead"]
    assert await lab.rows(customers) == []


async def test_a_full_reconciliation_takes_up_the_object_of_a_discarded_event(lab: Laboratory) -> None:
    made = lab.simulator.routes.customers.create({"name": "Ada"})["id"]
    await write(lab, [stored(lab, "evt_1", made, b"\xff")])
    await lab.settle()
    inbox = InboxAdministration(lab.parts.database, clock=lab.clock, livemode=False)
    async with lab.parts.database.transaction() as connection:
        await inbox.discard(connection, "evt_1", DiscardRequest(reason="not to be read"), actor="cli:test")
    assert await lab.rows(customers) == []
    lab.clock.advance(40 * 86400)  # Stripe lists no event of it any more
    await lab.parts.reconciler.run(full=True)
    await lab.settle()
    assert [row["name"] for row in await lab.rows(customers)] == ["Ada"]
    (kept,) = [row for row in await lab.rows(events) if row["id"] == "evt_1"]
    assert (kept["state"], kept["payload"]) == ("discarded", b"\xff")


def refusing(lab: Laboratory, object_id: str, status: int, error: dict[str, Any]) -> list[str]:
    """Let Stripe refuse to show an object from now on, and note how often it is asked."""
    asked: list[str] = []
    plain = lab.simulator.api

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        if not scope["path"].endswith(f"/{object_id}"):
            await plain(scope, receive, send)
            return
        asked.append(scope["path"])
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps({"error": error}).encode()})

    lab.simulator.api = answer  # type: ignore[assignment] # an ASGI application
    return asked


async def receive_hints(lab: Laboratory) -> tuple[str, str]:
    """Receive hints about two customers; return their ids."""
    made = [lab.simulator.routes.customers.create({"name": name})["id"] for name in ("Ada", "Bob")]
    created = lab.clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
    hint = {"object": "v2.core.event", "type": "v1.customer.updated", "created": created, "livemode": False}
    for name in made:
        related = {"id": name, "type": "customer", "url": f"/v1/customers/{name}"}
        await lab.receive([{**hint, "id": f"evt_{name}", "related_object": related}])
    return made[0], made[1]


WORDS = "Invalid string; it is no id of a customer"


@pytest.mark.parametrize("param", ["id", "customer"])
async def test_what_stripe_refuses_to_show_for_its_id_is_dead_at_once_in_its_words(lab: Laboratory, param: str) -> None:
    bad, good = await receive_hints(lab)
    asked = refusing(lab, bad, 400, {"type": "invalid_request_error", "message": WORDS, "param": param})
    await lab.settle()
    rows = {row["object_id"]: (row["state"], row["last_error"], row["attempts"]) for row in await lab.rows(events)}
    assert rows == {bad: ("dead", f"refused by Stripe: {WORDS}", 1), good: ("applied", None, 1)}
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, {"type": "invalid_request_error", "message": "Invalid API Key provided: sk_test_***"}),
        (403, {"type": "invalid_request_error", "message": "This key lacks a permission", "param": "id"}),
        (400, {"type": "invalid_request_error", "message": "Invalid Stripe API version"}),
        (400, {"type": "invalid_request_error", "message": "Other mode", "code": "livemode_mismatch", "param": "id"}),
    ],
)
async def test_a_fault_of_the_settings_kills_no_event(lab: Laboratory, status: int, error: dict[str, Any]) -> None:
    bad, good = await receive_hints(lab)
    plain = lab.simulator.api
    asked = refusing(lab, bad, status, error)
    lab.clock.advance(5)  # a hint waits for the rest of its burst
    await lab.parts.worker.fetch_doubtful()
    assert len(asked) == 1
    assert {row["object_id"]: row["state"] for row in await lab.rows(events)} == {bad: "pending", good: "applied"}
    lab.simulator.api = plain
    await lab.settle()
    assert {row["state"] for row in await lab.rows(events)} == {"applied"}
