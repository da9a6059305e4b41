"""Objects of wrong types, from events, fetches and lists: dead at the first attempt, by the member's name; no other."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import insert
from tests.servers.hostile import snapshot
from tests.servers.laboratory import Laboratory, laboratory
from tests.wrong_types import SHAPES, declared, whole, wrong

from payment_service.events.rows import row_of
from payment_service.mirror.registry import KINDS
from payment_service.storage.tables import customers, events
from stripe_simulator.shapes import shape

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def lab(database_url: str) -> AsyncIterator[Laboratory]:
    async with laboratory(database_url) as found:
        yield found


def event(name: str, obj: dict[str, Any]) -> dict[str, Any]:
    """Return an event that shows the object, named after itself."""
    return snapshot(f"evt_{name}", name, type="thing.updated", data={"object": obj | {"id": name}})


async def write(lab: Laboratory, content: list[dict[str, Any]]) -> None:
    now = lab.clock.now()
    rows = [row_of(json.dumps(one).encode(), source="webhook", livemode=False, now=now) for one in content]
    async with lab.parts.database.transaction() as connection:
        await connection.execute(insert(events), rows)


async def apply_once(lab: Laboratory) -> dict[str, dict[str, Any]]:
    """Let each event be attempted once, and return all by id."""
    while await lab.parts.worker.apply_batch() + await lab.parts.worker.fetch_doubtful():
        pass
    return {row["id"]: row for row in await lab.rows(events)}


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("kind", SHAPES)
async def test_each_member_of_a_wrong_type_beside_good_events(lab: Laboratory, kind: str) -> None:
    bad = {f"bad_{number}": pair for number, pair in enumerate(wrong(kind))}
    unread = shape(kind.replace(".", "_")).keys() - {path[0] for path in declared(kind)} - {"id", "object", "deleted"}
    good = {f"good_{number}": whole(kind) for number in range(20)}
    good |= {f"odd_{name}": whole(kind) | {name: [{"x": 10**30}]} for name in unread}
    content = [event(name, obj) for name, obj in good.items()] + [event(name, obj) for name, (_, obj) in bad.items()]
    content.sort(key=lambda one: hash(one["id"]))
    await write(lab, content)
    found = await apply_once(lab)
    assert {found[f"evt_{name}"]["state"] for name in good} == {"applied"}
    assert {row[KINDS[kind].key] for row in await lab.rows(KINDS[kind].table)} == good.keys()
    for name, (member, _) in bad.items():
        row = found[f"evt_{name}"]
        assert (row["state"], row["attempts"]) == ("dead", 1), (member, row)
        assert row["last_error"].startswith("unreadable: the ")
        assert f"'s {member}" in row["last_error"]


def spoil(lab: Laboratory, count: int) -> tuple[str, list[str]]:
    """Make customers at Stripe and give one of them a number for an address; return it and the others."""
    made = [lab.simulator.routes.customers.create({"name": f"C{number}"})["id"] for number in range(count)]
    lab.simulator.state.get("customer", made[1])["email"] = 7
    return made[1], made[:1] + made[2:]


def of_the_same_second(event_id: str, object_id: str) -> dict[str, Any]:
    """Return an event that shows the customer otherwise: which is newer, only a fetch tells."""
    told = snapshot(event_id, object_id)
    told["data"]["object"]["name"] = "otherwise"
    return told


REASON = "unreadable: the customer's email is an integer, not a string"


async def test_a_fetched_object_of_a_wrong_type_ends_its_events_and_no_others(lab: Laboratory) -> None:
    bad, good = spoil(lab, 3)
    content = [snapshot(f"evt_{name}", name) for name in (bad, *good)]
    again = [of_the_same_second(f"evt_again_{name}", name) for name in (bad, *good)]
    await write(lab, content)
    await apply_once(lab)
    await write(lab, again)
    await apply_once(lab)
    lab.clock.advance(1)
    found = await apply_once(lab)
    assert {found[f"evt_again_{name}"]["state"] for name in good} == {"applied"}
    row = found[f"evt_again_{bad}"]
    assert (row["state"], row["attempts"], row["last_error"]) == ("dead", 1, REASON)


async def test_one_of_an_objects_events_takes_none_of_its_others_along(lab: Laboratory) -> None:
    made = lab.simulator.routes.customers.create({"name": "Ada"})["id"]
    await write(lab, [snapshot("evt_1", made)])
    await apply_once(lab)
    shown = whole("customer") | {"id": made}
    await write(lab, [snapshot("evt_2", made, data={"object": shown | {"email": 7}}), snapshot("evt_3", made)])
    await apply_once(lab)
    lab.clock.advance(1)
    found = await apply_once(lab)
    assert {name: row["state"] for name, row in found.items()} == {
        "evt_1": "applied",
        "evt_2": "dead",
        "evt_3": "applied",
    }
    assert (found["evt_2"]["attempts"], found["evt_2"]["last_error"]) == (1, REASON)


async def test_an_object_of_another_id_than_was_fetched_is_not_written(lab: Laboratory) -> None:
    made = lab.simulator.routes.customers.create({"name": "Ada"})["id"]
    await write(lab, [snapshot("evt_1", made)])
    await apply_once(lab)
    lab.simulator.state.get("customer", made)["id"] = "cus_of_somebody_else"
    await write(lab, [of_the_same_second("evt_2", made)])
    await apply_once(lab)
    lab.clock.advance(1)
    found = await apply_once(lab)
    assert (found["evt_2"]["state"], found["evt_2"]["attempts"]) == ("dead", 1)
    assert [row["stripe_customer_id"] for row in await lab.rows(customers)] == [made]


@pytest.mark.parametrize("how", ["sweep", "import"])
async def test_a_listed_object_of_a_wrong_type_is_dead_in_the_inbox_and_the_others_have_rows(
    lab: Laboratory, how: str
) -> None:
    bad, good = spoil(lab, 5)
    if how == "import":
        await lab.parts.importer.run()
    else:
        await lab.parts.reconciler.run(full=True)
    found = await apply_once(lab)
    assert {row["stripe_customer_id"] for row in await lab.rows(customers)} == set(good)
    dead = [(row["object_id"], row["attempts"], row["last_error"]) for row in found.values() if row["state"] == "dead"]
    assert dead == [(bad, 1, REASON)]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_texts_in_the_metadata_that_fit_no_index_keep_no_state_from_being_known(lab: Laboratory) -> None:
    """Anybody with the Dashboard can write where this service tells its own objects by."""
    long = "".join(chr(0x4E00 + number * 7 % 20_000) for number in range(3_000))
    ours = {"lean_payments_customer": "lpc_1", "lean_payments_reference": long, "lean_payments_operation": long}
    content = [event(kind, whole(kind) | {"metadata": ours}) for kind in SHAPES if kind != "invoice"]
    await write(lab, content)
    found = await apply_once(lab)
    assert {row["state"] for row in found.values() if row["source"] == "webhook"} == {"applied"}
    assert [row["reference"] for row in await lab.rows(customers)] == [None]


@pytest.mark.parametrize("named", [".", ".."])
async def test_a_hint_of_an_id_that_no_path_has_is_dead_and_asks_nothing(lab: Laboratory, named: str) -> None:
    hint = {"id": "evt_1", "object": "v2.core.event", "type": "v1.customer.updated", "created": "2026-01-01T00:00:00Z"}
    await write(lab, [hint | {"related_object": {"id": named, "type": "customer"}}])
    found = await apply_once(lab)
    assert found["evt_1"]["last_error"] == "unreadable: related_object.id is not an id"
