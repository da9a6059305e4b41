"""What the service does to its database, on a real MariaDB: the parts that its other integration tests stand on."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import bindparam, func, insert, select, text
from sqlalchemy.exc import DBAPIError
from tests.servers.events import event_row
from tests.servers.stack import development_settings, migrate

from payment_service.events import store
from payment_service.operations.schemas import IdempotencyKey, Operation, StoredResponse
from payment_service.operations.state import State, Stored
from payment_service.operations.store import (
    claim_key,
    insert_operation,
    remove_expired_keys,
    remove_operations,
    save,
    take,
)
from payment_service.storage import audit_log as audit
from payment_service.storage.cursors import read_cursor, write_cursor
from payment_service.storage.database import Database
from payment_service.storage.expressions import Among, HasMember
from payment_service.storage.ids import first_id
from payment_service.storage.mirror import NeedsFetch, Provenance, mirror, write_outbox
from payment_service.storage.mirror import State as RowState
from payment_service.storage.personal_tables import personal_data
from payment_service.storage.tables import audit_log, customers, events, outbox, products, subscriptions
from payment_service.subscriptions import slots
from payment_service.subscriptions.slots import Slot, Wanted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.servers.mariadb import MariaDBServer

    from payment_service.config.settings import DatabaseSettings

NOW = datetime(2026, 11, 29, 12, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture(scope="module")
def migrated(mariadb_server: MariaDBServer) -> DatabaseSettings:
    """One database for all tests here, each of which uses ids of its own."""
    url = mariadb_server.new_database()
    migrate(url)
    return development_settings(database_url=url, stripe_url="http://127.0.0.1:1").database


@pytest.fixture
async def database(migrated: DatabaseSettings) -> AsyncIterator[Database]:
    made = Database.from_settings(migrated)
    yield made
    await made.close()


def key(value: str) -> IdempotencyKey:
    return IdempotencyKey(
        principal="anonymous", livemode=False, method="POST", route="/x", key=value, fingerprint=b"\x00\xff"
    )


def begun(phase: str) -> State:
    return Stored(phase=phase, values={"learnt": 1})


async def bind(database: Database, value: str, operation_id: str) -> bool:
    async with database.transaction() as connection:
        made = await claim_key(
            connection, key(value), operation_id=operation_id, now=NOW, expires_at=NOW + timedelta(days=1)
        )
        await asyncio.sleep(0.05)
        return made


async def test_of_copies_at_once_one_binds_the_key_and_none_deadlocks(database: Database) -> None:
    made = await asyncio.gather(*(bind(database, "order-1", f"lpo_{number}") for number in range(6)))
    assert sorted(made) == [False] * 5 + [True]


async def test_keys_that_differ_in_case_accent_or_a_space_behind_are_different(database: Database) -> None:
    made = [await bind(database, value, "lpo_1") for value in ("order", "Order", "ordér", "order ", "order")]
    assert made == [True, True, True, True, False]


async def test_values_come_back_as_they_were(database: Database) -> None:
    value = {"text": "ünïcode ☃ 𝄞", "nested": [1, None, {"true": True}]}
    async with database.transaction() as connection:
        await write_cursor(connection, "kept", {"former": 1}, now=NOW)
        await write_cursor(connection, "kept", value, now=NOW)
        assert await read_cursor(connection, "kept", lock=True) == value
    row = event_row(9001, received_at=NOW, payload=bytes(range(256)))
    async with database.transaction() as connection:
        await store.insert_events(connection, [row])
        held = (await connection.execute(select(events).where(events.c.id == row["id"]))).one()
    assert (held.received_at, bytes(held.payload), held.livemode) == (NOW, bytes(range(256)), False)


async def test_what_is_too_long_is_refused_and_not_cut_off(database: Database) -> None:
    with pytest.raises(DBAPIError, match="too long"):
        await bind(database, "x" * 256, "lpo_1")


async def test_a_dead_event_that_comes_again_is_armed_and_an_applied_one_is_not(database: Database) -> None:
    rows = [event_row(number, state=state, attempts=3) for number, state in ((9101, "dead"), (9102, "applied"))]
    async with database.transaction() as connection:
        await store.insert_events(connection, rows)
        await store.insert_events(connection, [event_row(9101), event_row(9102)])
        found = await connection.execute(
            select(events.c.state, events.c.attempts).where(events.c.id.in_(["evt_9101", "evt_9102"]))
        )
    assert sorted(map(tuple, found)) == [("applied", 3), ("pending", 0)]


async def test_two_workers_never_hold_events_of_one_object(database: Database) -> None:
    rows = [event_row(number, group_key=f"group_{number % 4}", available_at=NOW) for number in range(9200, 9220)]
    async with database.transaction() as connection:
        await store.insert_events(connection, rows)
    both = asyncio.Barrier(2)

    async def work(owner: str) -> set[str]:
        async with database.transaction() as connection:
            claimed = await store.claim(connection, owner=owner, now=NOW, lease_seconds=60, limit=10, fetch=False)
            await both.wait()
        return {event.id for event in claimed}

    one, other = await asyncio.gather(work("one"), work("other"))
    groups = {row["id"]: row["group_key"] for row in rows}
    assert one | other
    assert {groups[event] for event in one}.isdisjoint(groups[event] for event in other)
    async with database.transaction() as connection:  # the locks went with the transactions, the leases stay
        again = await store.claim(connection, owner="three", now=NOW, lease_seconds=60, limit=100, fetch=False)
        settled = await store.settle(connection, one, state="applied", now=NOW, owner="one")
    assert {event.id for event in again}.isdisjoint(one | other)
    assert settled == one


async def test_of_two_orders_at_once_one_gets_the_slot(database: Database) -> None:
    async def reserve(number: int, *, product_id: str = "prod_1", exclusive: bool = True) -> bool:
        slot = Slot(livemode=False, customer_id="lpc_1", stripe_customer_id="cus_1", product_id=product_id)
        wanted = Wanted(
            subscription_id=f"lps_{number}",
            operation_reference=f"lpo_{number}",
            price_id="price_1",
            quantity=1,
            metadata={},
            exclusive=exclusive,
        )
        async with database.transaction() as connection:
            return await slots.reserve(connection, slot, wanted, now=NOW)

    made = await asyncio.gather(*(reserve(number) for number in range(4)))
    assert sorted(made) == [False, False, False, True]
    assert await reserve(10, exclusive=False)  # allow_multiple
    assert await reserve(11, product_id="prod_2")


async def test_of_two_who_take_an_operation_one_drives_it_and_the_former_saves_nothing(database: Database) -> None:
    operation: Operation[State] = Operation(
        id="lpo_taken", kind="x", principal="anonymous", livemode=False, request={}, request_id=None, state=begun("a")
    )
    async with database.transaction() as connection:
        await insert_operation(connection, operation, now=NOW, lease_seconds=1)

    async def take_it(owner: str) -> Operation[State] | None:
        async with database.transaction() as connection:
            return await take(
                connection, "lpo_taken", fence=1, owner=owner, now=NOW + timedelta(seconds=2), lease_seconds=9
            )

    (driven,) = filter(None, await asyncio.gather(take_it("one"), take_it("other")))
    assert (driven.fence, driven.attempts) == (2, 2)
    answer = StoredResponse.of(200, {"ok": True})
    async with database.transaction() as connection:
        for one, saved in ((operation, False), (driven, True)):
            held = await save(connection, one, state=begun("b"), response=answer, now=NOW, lease_seconds=9)
            assert held is saved


async def test_no_more_than_a_batch_is_removed_at_a_time(database: Database) -> None:
    later = NOW + timedelta(days=2)
    async with database.transaction() as connection:
        for number in range(3):
            await claim_key(connection, key(f"old-{number}"), operation_id="lpo_none", now=NOW, expires_at=NOW)
        await store.insert_events(
            connection, [event_row(number, state="applied", settled_at=NOW) for number in range(9300, 9303)]
        )
        operation: Operation[State] = Operation(
            id=first_id("lpo", NOW - timedelta(days=1)),
            kind="x",
            principal="anonymous",
            livemode=False,
            request={},
            request_id=None,
            state=begun("a"),
            response=StoredResponse.of(200, {}),
        )
        await insert_operation(connection, operation, now=NOW, lease_seconds=1)
    async with database.transaction() as connection:
        soon = NOW + timedelta(seconds=1)
        keys = [await remove_expired_keys(connection, before=soon, limit=2) for _ in range(3)]
        removed = [await store.remove_settled(connection, before=later, limit=2) for _ in range(2)]
        assert await remove_operations(connection, before=NOW, limit=2) == 1
    assert (keys, removed[0]) == ([2, 1, 0], 2)


async def test_a_mirrored_row_takes_what_is_newer_and_asks_when_it_is_not(database: Database) -> None:
    async def show(name: str, as_of: int) -> Any:
        columns = {"name": name, "active": True, "metadata": {"a": "é"}, "livemode": False, "deleted": False}
        async with database.transaction() as connection:
            return await mirror(
                connection,
                products,
                key={"id": "prod_m"},
                state=RowState(columns),
                provenance=Provenance("evt_1", as_of, NOW),
            )

    assert [(await show(name, as_of)).name for name, as_of in (("one", 10), ("two", 11))] == ["one", "two"]
    with pytest.raises(NeedsFetch):
        await show("three", 11)
    async with database.transaction() as connection:
        row = (await connection.execute(select(products).where(products.c.id == "prod_m"))).one()
        told = select(outbox.c.before, outbox.c.after).where(outbox.c.object_id == "prod_m").order_by(outbox.c.seq)
        changes = (await connection.execute(told)).all()
    assert (row.name, row.metadata, row.stripe_updated) == ("two", {"a": "é"}, 11)
    assert changes[1] == ({"name": "one"}, {"name": "two"})


async def test_lists_and_members_of_json_are_found(database: Database) -> None:
    row = {
        "id": "lps_json",
        "product_id": "prod_9",
        "price_id": "price_9",
        "status": "active",
        "exclusive": False,
        "items": [{"product_id": "prod_a"}, {"product_id": "prod_b", "quantity": 2}],
        "metadata": {},
        "livemode": True,
        "created_at": NOW,
        "updated_at": NOW,
    }
    has = select(subscriptions.c.id).where(HasMember(subscriptions.c["items"], "product_id", bindparam("product")))
    among = select(subscriptions.c.id).where(Among(subscriptions.c.id, "ids"))
    async with database.transaction() as connection:
        await connection.execute(insert(subscriptions), row)
        found = [(await connection.execute(has, {"product": f"prod_{one}"})).scalars().all() for one in "abc"]
        listed = (await connection.execute(among, {"ids": ["lps_json", "lps_other", 'quo"te']})).scalars().all()
        none = (await connection.execute(among, {"ids": []})).scalars().all()
    assert found == [["lps_json"], ["lps_json"], []]
    assert (listed, none) == (["lps_json"], [])


async def test_the_audit_log_says_who_wrote_and_refuses_every_change(database: Database) -> None:
    async with database.transaction() as connection:
        await audit.record(
            connection, actor="worker:test", action="x.y", object_type="x", object_id="audit_1", now=NOW, after={"a": 1}
        )
        row = (await connection.execute(select(audit_log).where(audit_log.c.object_id == "audit_1"))).one()
    assert (row.actor, row.on_behalf_of, row.details) == ("database:payments", "worker:test", {"after": {"a": 1}})
    assert row.created_at > NOW
    for statement in ("UPDATE audit_log SET action = 'z'", "DELETE FROM audit_log"):
        with pytest.raises(DBAPIError, match="append-only"):
            async with database.transaction() as connection:
                await connection.execute(text(statement))
    with pytest.raises(DBAPIError, match="nobody is known as that"):
        async with database.transaction() as connection:
            await audit.record(
                connection, actor="api:nobody", action="x.y", object_type="x", object_id="audit_2", now=NOW
            )


async def test_personal_fields_are_parted_from_the_outbox_and_go_with_its_row(database: Database) -> None:
    person = {
        "id": "lpc_ada",
        "stripe_customer_id": "cus_ada",
        "metadata": {},
        "origin": "api",
        "livemode": False,
        "created_at": NOW,
        "updated_at": NOW,
    }
    after = {"email": "ada@example.com", "metadata": {"team": "blue"}, "name": None, "deleted": False}
    mine = outbox.c.object_id == "lpc_ada"
    async with database.transaction() as connection:
        await connection.execute(insert(customers), person)
        await write_outbox(
            connection, object_type="customers", object_id="lpc_ada", before=None, after=after, cause="lpo_1", now=NOW
        )
        row = (await connection.execute(select(outbox).where(mine))).one()
        held = (await connection.execute(select(personal_data).where(personal_data.c.id == row.personal_id))).one()
        assert row.after == {"email": None, "metadata": None, "name": None, "deleted": False}
        assert (held.customer_id, held.stripe_customer_id) == ("lpc_ada", "cus_ada")
        assert held.content == {
            "before": {},
            "after": {"email": "ada@example.com", "metadata": {"team": "blue"}, "name": None},
        }
        await connection.execute(outbox.delete().where(mine))
        left = select(func.count()).select_from(personal_data).where(personal_data.c.id == row.personal_id)
        assert (await connection.execute(left)).scalar_one() == 0
