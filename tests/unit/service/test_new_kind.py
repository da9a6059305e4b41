"""A kind of object that is described, listed in the registry and has its table is known everywhere, by nothing else."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import pytest
from sqlalchemy import BigInteger, Boolean, Column, MetaData, Table, Text, select
from tests.registered import registered
from tests.servers.stack import development_settings

from payment_service.clock import Clock
from payment_service.customers.people import clear_mirror, objects_of
from payment_service.events.payloads import Unreadable
from payment_service.events.rows import row_of, to_event
from payment_service.events.schemas import ClaimedEvent
from payment_service.events.silent_changes import consequence
from payment_service.events.snapshots import fetch_current, kind_of
from payment_service.mirror.kind import Columns, Kind, Part, Reference, Shape, ends
from payment_service.mirror.person import Person, named_in
from payment_service.mirror.registry import KINDS, event_types, guarding, label_of
from payment_service.reconcile.drift import DriftSweep, differs
from payment_service.reconcile.importing import Importer
from payment_service.reconcile.polling import EventPoller
from payment_service.reconcile.schemas import Report
from payment_service.storage import tables
from payment_service.storage.column_types import UtcDateTime
from payment_service.storage.database import Database
from payment_service.storage.mirror import NeedsFetch, Provenance
from payment_service.stripe_api.call_budget import StripeBudget
from payment_service.stripe_api.gateway import StripeGateway
from payment_service.stripe_api.objects import Id, Integer, id_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from payment_service.events.schemas import InboxEvent
    from payment_service.json_types import JsonObject

NOW = datetime(2026, 11, 29, tzinfo=UTC)
PERSON = Person("lpc_1", "cus_1", frozenset({"lpc_1"}))
vouchers: Final = Table(
    "vouchers",
    MetaData(),
    Column("id", Text, primary_key=True),
    Column("stripe_customer_id", Text),
    Column("status", Text),
    Column("amount", BigInteger, nullable=False),
    Column("note", Text),
    Column("livemode", Boolean, nullable=False),
    Column("stripe_updated", BigInteger, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
)


class Voucher(Shape, kw_only=True):
    """What is read of one."""

    amount: Integer
    customer: Id | None = None
    status: str | None = None
    note: str | None = None

    def columns(self) -> Columns:
        """Return what the row holds."""
        return {
            "stripe_customer_id": id_of(self.customer),
            "status": self.status,
            "amount": self.amount,
            "note": self.note,
            "livemode": self.livemode,
        }


def silent_change(obj: JsonObject) -> Reference | None:
    return Reference("charge", "ch_1") if obj.get("status") == "spent" else None


VOUCHER: Final = Kind(
    name="voucher",
    collection="gift/vouchers",
    table=vouchers,
    shape=Voucher,
    events=("voucher.created", "voucher.deleted"),
    deletion="voucher.deleted",
    left={"status": "deleted"},
    ended=ends("spent", "deleted"),
    part=Part("uses", "voucher_uses", "voucher"),
    silent_change=silent_change,
    listing={"status": "all"},
    guards=True,
    of_person=named_in(vouchers),
    personal={"note": None},
)
OBJECT: dict[str, Any] = {
    "id": "vou_1",
    "object": "voucher",
    "customer": "cus_1",
    "amount": 500,
    "status": "open",
    "note": "for Ada",
    "livemode": False,
}


@pytest.fixture(autouse=True)
def voucher() -> Iterator[None]:
    with registered(VOUCHER):
        yield


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    url = f"sqlite+aiosqlite:///{tmp_path}/vouchers.db"
    made = Database.from_settings(development_settings(database_url=url, stripe_url="http://127.0.0.1:1").database)
    async with made.engine.begin() as connection:
        await connection.run_sync(tables.metadata.create_all)
        await connection.run_sync(vouchers.create)
    yield made
    await made.close()


class Listing(StripeGateway):
    """An account whose lists are empty, but for one voucher, or the event of it."""

    def __init__(self) -> None:
        self.asked: list[tuple[tuple[str, ...], dict[str, Any]]] = []

    async def request(self, operation: str, method: str, *segments: str, **more: Any) -> dict[str, Any]:
        """Answer with a page, or with the object."""
        assert (method, "idempotency_key" in more) == ("get", False), operation
        params = more.get("params") or {}
        self.asked.append((segments, params))
        if segments[-1] == "vou_1":
            return OBJECT | {"uses": {"data": [], "has_more": True}}
        found = {("gift", "vouchers"): [OBJECT], ("voucher_uses",): [{"id": "use_1"}], ("events",): [event()]}
        return {"object": "list", "data": found.get(segments, []), "has_more": False}


def event(name: str = "voucher.created", obj: dict[str, Any] = OBJECT, *, thin: bool = False) -> dict[str, Any]:
    told: dict[str, Any] = {"id": "evt_1", "type": name, "livemode": False}
    if thin:
        related = {"id": obj["id"], "type": obj["object"]}
        return told | {"object": "v2.core.event", "created": "2026-11-29T00:00:00Z", "related_object": related}
    return told | {"object": "event", "created": 1_800_000_000, "data": {"object": obj}}


def received(content: dict[str, Any]) -> InboxEvent:
    row = row_of(json.dumps(content).encode(), source="webhook", livemode=False, now=NOW)
    assert row["state"] == "pending"
    names = ("id", "type", "object_id", "livemode", "stripe_created", "attempts", "payload")
    claimed: dict[str, Any] = {name: row[name] for name in names}  # type: ignore[literal-required]
    return to_event(ClaimedEvent(**claimed))


def test_its_events_are_asked_for_counted_by_name_and_taken() -> None:
    assert set(VOUCHER.events) <= set(event_types())
    assert label_of("voucher.created") == "voucher.created"
    assert kind_of(received(event())) is VOUCHER
    assert kind_of(received(event(thin=True))) is VOUCHER
    assert received(event("voucher.deleted")).object["deleted"] is True


def test_an_object_that_fits_no_row_is_dead_with_the_member() -> None:
    with pytest.raises(Unreadable, match="the voucher's amount is a string, not an integer"):
        received(event(obj=OBJECT | {"amount": "500"}))


async def test_the_newest_state_wins_and_an_end_stays(database: Database) -> None:
    def at(second: int) -> Provenance:
        return Provenance("evt_1", second, NOW)

    async with database.transaction() as connection:
        await VOUCHER.write(connection, OBJECT, provenance=at(5))
        await VOUCHER.write(connection, OBJECT | {"status": "spent"}, provenance=at(6))
        await VOUCHER.write(connection, OBJECT, provenance=at(6))
        assert (await connection.execute(select(vouchers.c.status))).scalar_one() == "spent"
        with pytest.raises(NeedsFetch):
            await VOUCHER.write(connection, OBJECT, provenance=at(7))
        gone: dict[str, Any] = {"id": "vou_1", "object": "voucher", "livemode": False, "deleted": True}
        await VOUCHER.write(connection, gone, provenance=at(8))
        row = (await connection.execute(select(vouchers))).one()
    assert (row.status, row.amount) == ("deleted", 500)


def test_what_changed_in_silence_is_fetched() -> None:
    told = received(event(obj=OBJECT | {"status": "spent"}))
    row = consequence(told, told.object, now=NOW)
    assert row is not None
    assert (row["type"], row["object_id"], row["fetch"]) == ("reconcile.charge", "ch_1", True)
    assert consequence(received(event()), OBJECT, now=NOW) is None


async def test_a_fetch_asks_for_it_and_for_what_it_shows_in_part() -> None:
    gateway = Listing()
    found = await fetch_current(gateway, VOUCHER, [received(event())])
    assert found == OBJECT | {"uses": {"data": [{"id": "use_1"}]}}
    assert gateway.asked[1][1]["voucher"] == "vou_1"


async def test_import_sweep_and_list_of_events_bring_it(database: Database) -> None:
    gateway, clock = Listing(), Clock()
    budget = StripeBudget(database, clock=clock, per_second=1000)
    assert guarding() == ("customer", "subscription", "voucher")
    place = await Importer(database, gateway, budget=budget, clock=clock, livemode=False).run()
    assert place["counts"]["voucher"] == 1
    async with database.transaction() as connection:
        assert (await connection.execute(select(vouchers.c.amount))).scalars().all() == [500]
        await connection.execute(vouchers.update().values(amount=1))
    swept, polled = Report(), Report()
    sweep = DriftSweep(database, gateway, budget=budget, clock=clock, livemode=False)
    await sweep.run(swept, dry_run=False, progress=lambda _: None)
    assert swept.drifted == {"voucher": 1}
    poller = EventPoller(database, gateway, budget=budget, clock=clock, livemode=False)
    await poller.undelivered(polled, dry_run=False)
    assert polled.missed == {"voucher": 1}
    async with database.read() as connection:
        found = (await connection.execute(select(tables.events.c.type, tables.events.c.object_id))).all()
    assert sorted(map(tuple, found)) == [("reconcile.voucher", "vou_1"), ("voucher.created", "vou_1")]


async def test_drift_and_erasure_know_what_of_it_is_personal(database: Database) -> None:
    async with database.transaction() as connection:
        await VOUCHER.write(connection, OBJECT, provenance=Provenance("evt_1", 5, NOW))
        assert await objects_of(connection, PERSON) == ["cus_1", "vou_1"]
        await clear_mirror(connection, PERSON)
        row = (await connection.execute(select(vouchers))).one()
    assert (row.note, row.amount) == (None, 500)
    assert differs(VOUCHER, row, OBJECT)
    assert not differs(VOUCHER, row, OBJECT, erased=True)


def test_the_order_of_the_kinds_stays_what_it_is() -> None:
    before = list(KINDS)
    with registered(without=("customer",)):
        assert "customer" not in KINDS
    assert list(KINDS) == before
    with pytest.raises(TypeError):
        del KINDS["customer"]  # type: ignore[attr-defined] # a read-only mapping
