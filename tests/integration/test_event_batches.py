"""Workers that apply at the same moment share what waits; a batch costs a handful of statements."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event, select
from structlog.testing import capture_logs
from tests.servers.laboratory import Laboratory, laboratory

from payment_service.events import store
from payment_service.mirror.batch import RowTaken
from payment_service.mirror.registry import KINDS
from payment_service.storage.statements import LockRows
from payment_service.storage.tables import customers, events, outbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

STATEMENTS = 16
"""Of a batch of one kind, whatever its size; a commit is none of them."""


@pytest.fixture
async def lab(database_url: str) -> AsyncIterator[Laboratory]:
    async with laboratory(database_url) as found:
        yield found


def told(lab: Laboratory, number: int, **changes: Any) -> dict[str, Any]:
    obj: dict[str, Any] = {
        "object": "customer",
        "id": f"cus_{number}",
        "email": None,
        "name": f"Ada {number}",
        "metadata": {},
    }
    return {
        "id": f"evt_{number}",
        "object": "event",
        "api_version": "2026-10-28.endive",
        "created": int(lab.clock.timestamp()),
        "livemode": False,
        "type": "customer.updated",
        "data": {"object": {**obj, "livemode": False, **changes}},
    }


async def test_two_claims_at_the_same_moment_take_different_objects(lab: Laboratory) -> None:
    if not lab.parts.database.dialect.is_server:
        pytest.skip("one transaction at a time writes")
    await lab.receive([told(lab, number) for number in range(40)])
    due: dict[str, Any] = {"now": lab.clock.now(), "lease_seconds": 60, "limit": 20, "fetch": False}
    async with lab.parts.database.transaction() as one, lab.parts.database.transaction() as other:
        taken = [{found.id for found in await store.claim(each, owner=str(each), **due)} for each in (one, other)]
    assert [len(ids) for ids in taken] == [20, 20]
    assert not taken[0] & taken[1]


async def test_a_batch_costs_a_handful_of_statements(lab: Laboratory) -> None:
    if not lab.parts.database.dialect.is_server:
        pytest.skip("rows are written one by one")
    await lab.receive([told(lab, number) for number in range(200)])
    run: list[str] = []
    event.listen(lab.parts.database.engine.sync_engine, "before_cursor_execute", lambda *given: run.append(given[2]))
    assert await lab.parts.worker.apply_batch() == 200
    assert len(run) <= STATEMENTS, run
    assert len(await lab.rows(customers)) == len(await lab.rows(outbox)) == 200


async def test_a_row_that_another_transaction_made_meanwhile_is_decided_on_as_any_other(
    lab: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first look finds no row: as when another transaction commits it just after."""
    kind, plain = KINDS["product"], LockRows.run
    now = int(lab.clock.timestamp())
    obj = {"id": "prod_1", "object": "product", "name": "new", "active": True, "livemode": False}
    shown = {**told(lab, 1), "type": "product.updated", "data": {"object": obj}}
    old = {**shown, "id": "evt_2", "created": now - 9, "data": {"object": obj | {"name": "old"}}}
    await lab.receive([old])
    await lab.parts.worker.apply_batch()
    looks = 0

    async def late(self: Any, connection: Any, keys: Any) -> Any:
        nonlocal looks
        looks += 1
        return {} if looks == 1 else await plain(self, connection, keys)

    monkeypatch.setattr(LockRows, "run", late)
    await lab.receive([shown])
    await lab.parts.worker.apply_batch()
    assert [row["name"] for row in await lab.rows(kind.table)] == ["new"]
    assert [row["after"] for row in await lab.rows(outbox)][1:] == [{"name": "new"}]


async def test_an_object_whose_row_would_take_another_s_value_fails_alone(lab: Laboratory) -> None:
    await lab.receive([told(lab, number) for number in range(3)])
    async with lab.parts.database.transaction() as connection:
        await connection.execute(
            customers.insert().values(
                id="lpc_1",
                origin="api",
                metadata={},
                livemode=False,
                created_at=lab.clock.now(),
                updated_at=lab.clock.now(),
            )
        )
    await lab.parts.worker.apply_batch()
    found = {row["id"]: (row["state"], row["last_error"]) for row in await lab.rows(events)}
    assert found.pop("evt_1") in {("pending", RowTaken.__name__), ("pending", "IntegrityError")}
    assert found == {"evt_0": ("applied", None), "evt_2": ("applied", None)}


async def test_so_many_events_of_a_batch_have_a_line_as_the_setting_says(database_url: str) -> None:
    async with laboratory(database_url, PAYMENTS_EVENT_LINES="3") as lab:
        await lab.receive([told(lab, number) for number in range(8)])
        with capture_logs() as lines:
            await lab.parts.worker.apply_batch()
        assert [line["event"] for line in lines if line["event"].startswith("event")] == [
            *["event_settled"] * 3,
            "events_settled",
        ]
        assert lines[-1]["count"] == 5
        async with lab.parts.database.read() as connection:
            assert (await connection.execute(select(events.c.state).distinct())).scalars().all() == ["applied"]


async def test_claims_beside_each_other_apply_all_once(lab: Laboratory) -> None:
    await lab.receive([told(lab, number) for number in range(60)])
    await asyncio.gather(*(lab.parts.worker.apply_batch() for _ in range(3)))
    await lab.settle()
    assert sorted(row["cause"] for row in await lab.rows(outbox)) == sorted(f"evt_{n}" for n in range(60))
