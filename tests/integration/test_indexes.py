"""What a background duty asks for again and again, it finds by an index, however many rows there are."""

from __future__ import annotations

import asyncio
import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event
from tests.integration.test_erasure import delete_at_stripe, do, live

from payment_service.customers.erasure import Erasure
from payment_service.mirror.registry import KINDS
from payment_service.storage import tables
from payment_service.storage.personal_tables import personal_data
from payment_service.subscriptions import duplicates

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Table
    from tests.servers.stack import Stack

POSTGRESQL = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
SMALL = {"cursors"}
"""Tables of a few rows."""
WALKED = {
    "ix_customers_erased_at": "partial: the customers whose erasure is not done",
    "ix_operations_lease_expires_at": "partial: unfinished operations",
}
"""Indexes that are read as a whole, for they hold little."""

ROWS = 20_000
"""Rows enough in each table that the database looks for a way around them."""
FILLED = (
    tables.customers,
    tables.subscriptions,
    tables.operations,
    tables.events,
    personal_data,
    KINDS["invoice"].table,
)
OF_NOBODY = ("product", "price")
MORE = tuple(kind.table for kind in KINDS.values() if kind.name not in OF_NOBODY and kind.table not in FILLED)
VALUES = {
    "finished": "true",
    "exclusive": "false",
    "facts": "jsonb_build_object('customer_id', 'customer_id_' || n, 'stripe_subscription_id', 'sub_' || n)",
    "created_at": "now() - interval '1 year'",
    "status": "'active'",
    "state": "CASE n % 4 WHEN 0 THEN 'pending' ELSE 'applied' END",
    "available_at": "now() + interval '1 year'",
}
OF_KIND = {"BIGINT": "0", "INTEGER": "0", "BOOLEAN": "false", "DATETIME": "now()", "JSON": "'{}'", "BLOB": "'x'"}


def fill(table: Table) -> str:
    """Return the statement that adds rows, each with ids of its own."""
    wanted = {
        column.name: VALUES.get(column.name, OF_KIND.get(str(column.type), f"'{column.name}_' || n"))
        for column in table.columns
        if not column.nullable or column.name in VALUES or column.name.endswith("customer_id")
    }
    names = ", ".join(f'"{name}"' for name in wanted)
    return (
        f"INSERT INTO {table.name} ({names}) SELECT {', '.join(wanted.values())} FROM generate_series(1, {ROWS}) AS n"
    )


def scans(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the nodes of a plan that read a table."""
    if ("Relation Name" in node and node["Node Type"] != "ModifyTable") or node["Node Type"] == "Bitmap Index Scan":
        yield node
    for child in node.get("Plans", ()):
        yield from scans(child)


def is_found(node: dict[str, Any]) -> bool:
    """Tell whether the rows are found by an index, and not by a look at all of them."""
    if node.get("Relation Name") in SMALL or node["Node Type"] == "Bitmap Heap Scan" or "Index Cond" in node:
        return True
    return node.get("Index Name") in WALKED


async def not_found_by_an_index(stack: Stack, told: list[tuple[str, Any]]) -> list[tuple[str, ...]]:
    """Explain the statements in a database with many rows, and return those that look at all rows of a table."""
    found: list[tuple[str, ...]] = []
    async with stack.parts.database.transaction() as connection:
        for statement in (*map(fill, (*FILLED, *MORE)), "ANALYZE"):
            await connection.exec_driver_sql(statement)
        for statement, parameters in dict.fromkeys(told):
            answer = await connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters)
            plan = answer.scalar_one()
            (plan,) = json.loads(plan) if isinstance(plan, str) else plan
            whole = [node for node in scans(plan["Plan"]) if not is_found(node)]
            found += [
                (node.get("Relation Name", ""), node["Node Type"], node.get("Index Name", ""), statement)
                for node in whole
            ]
    return found


@contextmanager
def heard(stack: Stack) -> Iterator[list[tuple[str, Any]]]:
    """Note what this task asks for meanwhile."""
    told: list[tuple[str, Any]] = []
    mine = asyncio.current_task()

    def note(_connection: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        if asyncio.current_task() is mine and statement.startswith(("SELECT", "UPDATE", "DELETE")):
            sets = parameters if isinstance(parameters, list) else [parameters]
            told.append((statement, tuple(tuple(value) if isinstance(value, list) else value for value in sets[0])))

    engine = stack.parts.database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    yield told
    event.remove(engine, "before_cursor_execute", note)


@POSTGRESQL
async def test_what_is_about_a_person_is_found_by_indexes(stack: Stack) -> None:
    made = await live(stack)
    await delete_at_stripe(stack, made["stripe_customer_id"])
    stack.clock.advance(61)
    with heard(stack) as told:
        await do(stack.parts, Erasure)
    assert {"personal_data", "operations", "events", "invoices"} <= set(" ".join(said for said, _ in told).split())
    assert await not_found_by_an_index(stack, told) == []


@POSTGRESQL
async def test_what_could_be_a_duplicate_is_found_by_indexes(stack: Stack) -> None:
    await live(stack)
    with heard(stack) as told:
        await duplicates.watch(stack.parts.database, livemode=False, now=stack.clock.now())
    assert len(told) == 2
    assert await not_found_by_an_index(stack, told) == []
