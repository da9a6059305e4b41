"""Thin events are hints: the object is fetched once, by a path of ours, beside snapshots or without them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import stripe
import stripe.events
from tests.registered import registered
from tests.servers.canaries import whole
from tests.servers.histories import Account, unsaved
from tests.servers.laboratory import Laboratory, laboratory, seen
from tests.servers.stack import Stack, running_stack

from payment_service.config.settings import DEVELOPMENT_WEBHOOK_SECRET
from payment_service.events.administration import InboxAdministration
from payment_service.events.rows import row_of
from payment_service.mirror.registry import KINDS
from payment_service.storage.personal_tables import personal_data
from payment_service.storage.tables import customers, events, outbox, products
from stripe_simulator.thin_events import thin_event

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

UNTOLD = {"invoice_payment", "checkout.session"}
"""Open ones of these are told of by no event."""
HISTORY = ("subscribe", "change customer", "change price", "refund", "pay once", "set up a card", "cancel", "dispute")


@pytest.fixture
async def lab(database_url: str) -> AsyncIterator[Laboratory]:
    async with laboratory(database_url) as found:
        yield found


def hint(lab: Laboratory, event_id: str, related: dict[str, Any] | None, **changes: Any) -> dict[str, Any]:
    created = lab.clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {
        "id": event_id,
        "object": "v2.core.event",
        "type": "v1.customer.updated",
        "created": created,
        "livemode": False,
        "context": None,
        "reason": None,
        "related_object": related,
    } | changes


def customer(name: str) -> dict[str, Any]:
    return {"id": name, "type": "customer", "url": f"/v1/customers/{name}"}


def count_paths(lab: Laboratory) -> list[str]:
    """Note the paths that are asked of Stripe from now on."""
    asked: list[str] = []
    plain = lab.simulator.api

    async def noting(scope: Any, receive: Any, send: Any) -> None:
        asked.append(scope["raw_path"].decode())
        await plain(scope, receive, send)

    lab.simulator.api = noting  # type: ignore[assignment] # an ASGI application
    return asked


def sdk_types() -> dict[str, str | None]:
    """Return the types of thin events that the SDK names, with the class of the object that each is about.

    Its sources are read, for importing all of them takes seconds.
    """
    found: dict[str, str | None] = {}
    for source in Path(stripe.events.__path__[0]).glob("_v*_event.py"):
        text = source.read_text()
        name = re.search(r'LOOKUP_TYPE = "([^"]+)"', text)
        returns = re.search(r'def fetch_related_object\(self\) -> "(\w+)"', text)
        if name is not None:
            found[name.group(1)] = returns.group(1) if returns else None
    return found


def test_every_type_that_the_sdk_names_is_taken() -> None:
    types = sdk_types()
    assert len(types) > 300
    states: dict[str, set[str]] = {}
    for number, (name, owner) in enumerate(types.items()):
        kind = (
            "checkout.session"
            if name.startswith("v1.checkout.session.")
            else getattr(getattr(stripe, owner or "", None), "OBJECT_NAME", None)
        )
        plain = name.split(".")[1] not in {"climate", "issuing_dispute", "billing_portal", "financial_connections"}
        body = {"id": f"evt_{number}", "object": "v2.core.event", "type": name, "livemode": False}
        body |= {"created": "2026-11-28T22:00:00.123Z", "related_object": None}
        if kind is not None:
            body["related_object"] = {"id": "x_1", "type": kind if plain else f"other.{kind}", "url": "/v1/x"}
        stored = row_of(msgspec.json.encode(body), source="webhook", livemode=False, now=datetime.now(UTC))
        states.setdefault(stored["state"], set()).add(name)
        assert stored["stripe_created"] == 1_795_903_200
        assert stored["fetch"] == (stored["state"] == "pending")
        assert stored["last_error"] == (None if stored["fetch"] else "not_mirrored")
    assert states.keys() == {"pending", "ignored"}
    prefixes = {
        "checkout.session": "v1.checkout.session.",
        "dispute": "v1.charge.dispute.",
        "subscription": "v1.customer.subscription.",
    }
    for kind in KINDS:
        prefix = prefixes.get(kind, f"v1.{kind}.")
        assert any(name.startswith(prefix) for name in states["pending"]), kind


async def test_a_hint_fetches_the_object_once_for_its_burst_and_its_address_is_never_followed(lab: Laboratory) -> None:
    made = lab.simulator.routes.customers.create({"name": "Ada"})["id"]
    asked = count_paths(lab)
    related = customer(made) | {"url": "/v1/balance"}
    hints = [hint(lab, f"evt_{n}", related | {"url": url}) for n, url in enumerate(("//evil.example/x", "/v1/balance"))]
    await lab.receive([*hints, hint(lab, "evt_2", related, type="v1.customer.something_new")])
    await lab.settle()
    assert asked == [f"/v1/customers/{made}"]
    rows = await lab.rows(events)
    assert {(row["state"], row["object_id"]) for row in rows} == {("applied", made)}
    assert [row["name"] for row in await lab.rows(customers)] == ["Ada"]


@pytest.mark.parametrize(
    "bad",
    [
        {"related_object": {"id": "cus_1/../../balance", "type": "customer"}},
        {"related_object": {"id": "..%2f", "type": "customer"}},
        {"related_object": {"id": ["cus_1"], "type": "customer"}},
        {"related_object": {"id": "cus_1", "type": ["customer"]}},
        {"related_object": []},
        {"related_object": "cus_1"},
        {"created": 1_790_000_000},
        {"created": "yesterday"},
        {"created": "2026-11-28T22:00:00"},
        {"livemode": "no"},
    ],
)
async def test_a_hint_that_cannot_be_read_is_dead_and_asks_nothing(lab: Laboratory, bad: dict[str, Any]) -> None:
    asked = count_paths(lab)
    await lab.receive([hint(lab, "evt_1", customer("cus_1")) | bad])
    await lab.settle()
    (row,) = await lab.rows(events)
    if bad.get("related_object") == []:
        assert (row["state"], row["last_error"]) == ("ignored", "not_mirrored")
    else:
        assert row["state"] == "dead"
        assert row["last_error"].startswith("unreadable: ")
    assert asked == []


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"context": "acct_other"}, "other_account"),
        ({"livemode": True}, "other_mode"),
        ({"related_object": {"id": "tmr_1", "type": "terminal.reader", "url": "/v1/x"}}, "not_mirrored"),
        ({"related_object": {"type": "balance", "url": "/v1/balance"}}, "not_mirrored"),
        ({"related_object": None, "type": "v2.core.event_destination.ping"}, "not_mirrored"),
    ],
)
async def test_what_is_not_ours_is_kept_and_says_why(lab: Laboratory, changes: dict[str, Any], why: str) -> None:
    asked = count_paths(lab)
    await lab.receive([hint(lab, "evt_1", customer("cus_1")) | changes])
    await lab.settle()
    assert [(row["state"], row["last_error"]) for row in await lab.rows(events)] == [("ignored", why)]
    assert asked == []


async def test_a_hint_that_was_kept_before_its_kind_was_known_is_fetched_when_it_is_applied_again(
    lab: Laboratory,
) -> None:
    made = lab.simulator.routes.customers.create({"name": "Ada"})["id"]
    with registered(without=("customer",)):
        await lab.receive([hint(lab, "evt_1", customer(made))])
    assert [row["last_error"] for row in await lab.rows(events)] == ["not_mirrored"]
    inbox = InboxAdministration(lab.parts.database, clock=lab.clock, livemode=False)
    async with lab.parts.database.transaction() as connection:
        await inbox.retry(connection, "evt_1", actor="cli:test")
    await lab.settle()
    assert [row["state"] for row in await lab.rows(events)] == ["applied"]
    assert [row["name"] for row in await lab.rows(customers)] == ["Ada"]


async def test_a_hint_of_an_object_that_is_gone_marks_its_row_and_makes_none(lab: Laboratory) -> None:
    kept = lab.simulator.routes.catalog.create_product({"name": "gone soon"})
    await lab.receive(lab.history())
    await lab.settle()
    lab.simulator.state.remove(kept)
    gone = [("product", kept["id"]), ("price", "price_none"), ("invoice", "in_none"), ("charge", "ch_none")]
    await lab.receive(
        hint(lab, f"evt_{n}", {"id": name, "type": kind, "url": "/v1/x"}, type=f"v1.{kind}.deleted")
        for n, (kind, name) in enumerate(gone)
    )
    await lab.settle()
    found = {row["object_id"]: (row["state"], row["last_error"]) for row in await lab.rows(events)}
    assert found[kept["id"]] == ("applied", None)
    assert {found[name] for _, name in gone[1:]} == {("ignored", "gone")}
    assert [(row["id"], row["deleted"]) for row in await lab.rows(products)] == [(kept["id"], True)]


async def test_hints_and_snapshots_in_any_order_end_in_what_stripe_has(lab: Laboratory) -> None:
    account, chance = Account(lab.simulator, lab.clock, Random(11)), Random(5)
    for action in HISTORY:
        account.do(action)
    deliveries = lab.history()
    deliveries += [thin_event(event) for event in deliveries]
    chance.shuffle(deliveries)
    while deliveries:
        size = chance.choice((1, 3, 10, 30))
        await lab.receive(deliveries[:size])
        deliveries = deliveries[size:]
        await lab.parts.worker.apply_batch()
        await lab.parts.worker.fetch_doubtful()
    await lab.settle()
    assert await true_mirror(lab) == set()
    assert {row["state"] for row in await lab.rows(events)} <= {"applied", "ignored"}


async def true_mirror(lab: Laboratory) -> set[str]:
    """Return the objects whose rows are not what Stripe has."""
    mirrored = await lab.mirror()
    wrong = set()
    for kind, target in KINDS.items():
        for obj in lab.simulator.state.all(kind) if kind not in UNTOLD else ():
            if unsaved(obj):
                continue
            wanted = seen(target.columns({"livemode": False, **obj}))
            row = mirrored[kind].get(obj["id"], {})
            if {name: row.get(name) for name in wanted} != wanted:
                wrong.add(obj["id"])
    return wrong


def test_what_the_simulator_sends_is_what_the_sdk_reads() -> None:
    snapshot = {"id": "evt_1", "type": "customer.created", "created": 1_790_000_000, "livemode": False}
    snapshot |= {
        "request": {"id": "req_1", "idempotency_key": "k"},
        "data": {"object": {"id": "cus_1", "object": "customer"}},
    }
    client = stripe.StripeClient("sk_test_x")
    read: Any = client.parse_event_notification_without_verification(msgspec.json.encode(thin_event(snapshot)))
    assert (read.id, read.type, read.created) == ("evt_1_thin", "v1.customer.created", "2026-09-21T14:13:20.000Z")
    assert (read.related_object.id, read.related_object.type, read.related_object.url) == (
        "cus_1",
        "customer",
        "/v1/customers/cus_1",
    )


async def all_told(stack: Stack) -> bool:
    """Tell whether every event was delivered and settled."""
    made = stack.simulator.state.all("event")
    if any(stack.simulator.state.hidden(event)["pending"] for event in made):
        return False
    return all(row["state"] != "pending" for row in await stack.rows(events))


async def differing(stack: Stack) -> set[str]:
    """Return the objects that have no row as Stripe has them now."""
    wrong = set()
    for kind, target in KINDS.items():
        rows = {row[target.key]: row for row in await stack.rows(target.table)}
        for obj in stack.simulator.state.all(kind) if kind not in UNTOLD else ():
            if unsaved(obj):
                continue
            wanted = target.columns({"livemode": False, **obj})
            row = rows.get(obj["id"], {})
            if {name: row.get(name) for name in wanted} != wanted:
                wrong.add(obj["id"])
    return wrong


async def test_a_second_destination_with_thin_events_is_added_and_either_removed(database_url: str) -> None:
    """Real deliveries of both kinds: nothing is lost, and the outbox has one row for each change."""
    async with running_stack(database_url, PAYMENTS_STRIPE_BACKGROUND_RATE="1000") as stack:
        endpoints = stack.simulator.routes.endpoints
        (snapshots,) = stack.simulator.state.all("webhook_endpoint")
        seeded = set(stack.simulator.state.objects)  # no event told of these
        params = {"url": snapshots["url"], "enabled_events": ["*"]}
        account = Account(stack.simulator, stack.clock, Random(2), cards=("pm_card_visa",))

        async def live(*actions: str) -> None:
            for action in actions:
                account.do(action)
            stack.simulator.state.flush()
            await stack.until(lambda: all_told(stack))

        await live("subscribe")
        thin = endpoints.create(params, secret=DEVELOPMENT_WEBHOOK_SECRET, thin=True)
        await live("change customer", "refund")
        endpoints.delete(snapshots)
        await live("subscribe", "cancel", "change product")
        endpoints.create(params, secret=DEVELOPMENT_WEBHOOK_SECRET)
        await live("change customer", "dispute")
        endpoints.delete(thin)
        await live("change customer")
        assert await differing(stack) - seeded == set()
        rows = await stack.rows(events)
        assert {row["state"] for row in rows} <= {"applied", "ignored"}
        assert {row["last_error"] for row in rows if row["state"] == "ignored"} <= {"not_mirrored"}
        await check_outbox(stack)


async def check_outbox(stack: Stack) -> None:
    """Each object begins once, and each row leads from the state before it to another one."""
    changes: dict[tuple[str, str], list[dict[str, Any]]] = {}
    rows = whole(await stack.rows(outbox), await stack.rows(personal_data))
    for row in sorted(rows, key=lambda row: row["seq"]):
        changes.setdefault((row["object_type"], row["object_id"]), []).append(row)
    assert changes
    for rows in changes.values():
        assert [row["before"] is None for row in rows] == [True] + [False] * (len(rows) - 1)
        state = dict(rows[0]["after"])
        for _, row in pairwise(rows):
            assert row["before"] == {name: state[name] for name in row["before"]}
            assert row["before"] != row["after"]
            state |= row["after"]
