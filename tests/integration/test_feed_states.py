"""What events say an object was then is what its row was when the change was committed."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest
from tests.servers.histories import Account
from tests.servers.laboratory import Laboratory, laboratory

from payment_service.feed.catalogue import shown
from payment_service.feed.filters import Filters
from payment_service.feed.kinds import BY_OBJECT_TYPE
from payment_service.feed.service import Feed
from payment_service.mirror.registry import KINDS
from payment_service.storage.tables import customers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from payment_service.feed.schemas import FeedEvent

ACTIONS = (
    "create customer",
    "change customer",
    "subscribe",
    "change subscription",
    "refund",
    "cancel",
    "check out",
    "set up a card",
    "change a card",
    "choose a card",
    "detach a card",
)
STEPS = 14
LATER = {"stripe_customer_id", "customer_id", "as_of", "is_default"}
"""Ids, which are told as they are now; `as_of` is of the event, and an event about a customer tells of a default."""


@pytest.fixture
async def lab(database_url: str) -> AsyncIterator[Laboratory]:
    async with laboratory(database_url) as running:
        yield running


async def all_events(lab: Laboratory) -> list[FeedEvent]:
    await lab.parts.sequencer.number_all()
    feed, found, after = Feed(lab.parts.database, livemode=False), [], None
    while True:
        page = (await feed.page(after=after, filters=Filters(), limit=7)).page
        found += page.data
        if not page.has_more:
            return found
        after = page.next


async def present(lab: Laboratory) -> dict[str, dict[str, Any]]:
    """Return all objects as the API shows them."""
    found: dict[str, dict[str, Any]] = {}
    owners = {row["stripe_customer_id"]: row for row in await lab.rows(customers)}
    for kind in KINDS.values():
        told = BY_OBJECT_TYPE[kind.table.name]
        for row in await lab.rows(kind.table):
            owner = owners.get(row[told.customer]) if told.customer else None
            found[row["id"]] = shown(told, {**row, "customer": owner}) or {}
    return found


def without_ids(obj: dict[str, Any] | None) -> dict[str, Any]:
    return {name: value for name, value in (obj or {}).items() if name not in LATER}


async def test_each_event_shows_the_object_as_it_was_then(lab: Laboratory) -> None:
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    account = Account(lab.simulator, lab.clock, chance)
    for _ in range(STEPS):
        account.do(chance.choice(ACTIONS))
    states: list[dict[str, dict[str, Any]]] = [{}]
    for event in lab.history():
        await lab.receive([event])
        await lab.settle()
        states.append(await present(lab))
    events = await all_events(lab)
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    for object_id in {event.object_id for event in events}:
        mine = [without_ids(event.data.object) for event in events if event.object_id == object_id]
        seen = [without_ids(state[object_id]) for state in states if object_id in state]
        changes = [new for old, new in zip([{}, *seen], seen, strict=False) if new != old]
        told = [new for old, new in zip([{}, *mine], mine, strict=False) if new != old]
        assert [change for change in changes if change not in told] == [], (seed, object_id)
        assert mine[-1] == seen[-1], (seed, object_id)


async def test_previous_is_what_the_event_before_showed(lab: Laboratory) -> None:
    chance = random.Random(7)
    account = Account(lab.simulator, lab.clock, chance)
    for action in ("create customer", "subscribe", "change subscription", "change customer", "cancel"):
        account.do(action)
    await lab.receive(lab.history())
    await lab.settle()
    last: dict[str, dict[str, Any]] = {}
    for event in await all_events(lab):
        was, now = last.get(event.object_id), event.data.object
        assert now is not None
        if was is None:
            assert event.data.previous is None
        else:
            known = without_ids(was)
            assert without_ids(event.data.previous) == {
                name: value for name, value in known.items() if now[name] != value
            }
        last[event.object_id] = now


def about(events: list[FeedEvent], object_id: str) -> list[FeedEvent]:
    return [event for event in events if event.object_id == object_id]


async def test_a_batch_that_changes_an_object_several_times_tells_each_change(lab: Laboratory) -> None:
    catalog = lab.simulator.routes.catalog
    price = Account(lab.simulator, lab.clock, random.Random(1)).price
    product = lab.simulator.state.get("product", price["product"])
    for change in ({"name": "Plus"}, {"name": "Max", "active": "false"}, {"name": "Max", "active": "true"}):
        lab.clock.advance(2)
        catalog.update_product(product, change)
    history = [event for event in lab.history() if event["data"]["object"]["id"] == product["id"]]
    await lab.receive(history)
    assert await lab.parts.worker.apply_batch() == len(history) == 4
    told = about(await all_events(lab), product["id"])
    assert [(event.type, event.data.previous, event.cause.id) for event in told] == [
        ("product.created", None, history[0]["id"]),
        ("product.updated", {"name": "Pro"}, history[1]["id"]),
        ("product.updated", {"name": "Plus", "active": True}, history[2]["id"]),
        ("product.updated", {"active": False}, history[3]["id"]),
    ]
    shown_then = [event.data.object or {} for event in told]
    assert [(obj["name"], obj["active"]) for obj in shown_then] == [
        ("Pro", True),
        ("Plus", True),
        ("Max", False),
        ("Max", True),
    ]


async def test_a_payment_method_is_told_with_the_customer_and_the_default_of_its_time(lab: Laboratory) -> None:
    world = lab.simulator.routes
    customer = world.customers.create({"email": "ada@example.com"})
    first, second = (world.methods.attach(card, customer["id"]) for card in ("pm_card_visa", "pm_card_mastercard"))

    def choose(method: dict[str, Any]) -> None:
        lab.clock.advance(2)
        world.customers.update(customer, {"invoice_settings": {"default_payment_method": method["id"]}})

    def note(text: str) -> None:
        lab.clock.advance(2)
        world.methods.update(first, {"metadata": {"note": text}})

    choose(first)
    note("default")
    choose(second)
    note("not any more")
    lab.clock.advance(2)
    world.methods.detach(first)
    for event in lab.history():
        await lab.receive([event])
        await lab.settle()
    (owner,) = await lab.rows(customers)
    told = about(await all_events(lab), first["id"])
    objects = [event.data.object or {} for event in told]
    assert [(obj["customer_id"], obj["is_default"], obj["metadata"].get("note")) for obj in objects] == [
        (owner["id"], False, None),
        (owner["id"], True, "default"),
        (owner["id"], False, "not any more"),
        (None, False, None),
    ]
    previous = [event.data.previous for event in told]
    assert previous[0] is None
    assert previous[1] == {"metadata": {}}
    assert previous[3] is not None
    assert previous[3]["customer_id"] == owner["id"]
    assert "is_default" not in previous[3]
