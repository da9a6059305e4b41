"""Rows of the outbox as no version of the service writes them, each with what an application is told in its place."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Text, cast, func, insert, literal, null, select, type_coerce, update
from sqlalchemy.dialects.postgresql import JSONB

from payment_service.feed.samples import AT, CHARGE, CUSTOMER, PAYMENT_METHOD, PRODUCT
from payment_service.mirror.charge import charges
from payment_service.mirror.payment_method import payment_methods
from payment_service.storage.personal_tables import personal_data
from payment_service.storage.tables import customers, outbox, products

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import ColumnElement, Table
    from sqlalchemy.ext.asyncio import AsyncConnection

Side = dict[str, Any] | list[Any] | str | None
"""Text is JSON, or is meant to be."""
CAUSE = "evt_1"
ADDRESS = "eve@example.com"
CHANGED = "v{}"
VERSIONS = 4


class Row(NamedTuple):
    """A row and what is told of it."""

    object_type: str
    object_id: str
    before: Side
    after: Side
    type: str
    object: dict[str, Any] | None
    """Members that the event's object has; None: all that is told are kind and id."""
    previous: dict[str, Any] | None = None
    cause: str = CAUSE
    created_at: str | None = None
    whole: bool = True
    """Whether everything of it can be told."""

    @property
    def least(self) -> dict[str, str]:
        """What is told of an object that cannot be shown."""
        kinds = {"subscription.duplicate": "subscription_duplicate", "credit_notes": "credit_notes"}
        return {"id": self.object_id, "kind": kinds.get(self.object_type, self.object_type.removesuffix("s"))}


def other(object_type: str, object_id: str, before: Side, after: Side) -> Row:
    """Return a row of which nothing can be shown."""
    return Row(object_type, object_id, before, after, "other.updated", None, whole=False)


def charge(name: str, before: Side, after: Side, **told: Any) -> Row:
    """Return a row about a charge that there is: what is told is the row of the charge."""
    expected: dict[str, Any] = {"type": "charge.updated", "object": {"amount": 2900, "status": "succeeded"}, **told}
    return Row("charges", f"ch_{name}", before, after, **expected)


def good(number: int) -> Row:
    """Return a change of the product that every odd row stands beside."""
    now = CHANGED.format(number)
    if number == 0:
        whole = {"name": now, "active": True, "deleted": False, "metadata": {}, "livemode": False}
        return Row("products", "prod_good", None, whole, "product.created", {"name": now})
    was = {"name": CHANGED.format(number - 1)}
    return Row("products", "prod_good", was, {"name": now}, "product.updated", {"name": now}, was)


def odd(database: str) -> list[Row]:
    """Return the odd rows, by what is wrong with them; some can stand in SQLite alone, one not in MariaDB."""
    digits, deep = '{"amount": ' + "9" * 5_000 + "}", "[" * 2_000 + "]" * 2_000
    partly: dict[str, Any] = {"previous": {}, "whole": False}
    rows = [
        charge("missing", {}, {"amount": 2900}, **partly),
        charge("renamed", {"betrag": 1}, {"sum": 2900}, previous={}),
        charge("ill", {"amount": "many", "status": "pending"}, {"amount": 2900, "status": "succeeded"})._replace(
            type="charge.succeeded", previous={"status": "pending"}, whole=False
        ),
        charge("true", {"amount": True}, {"amount": 2900}, **partly),
        charge("large", {"amount": 10**30}, {"amount": 2900}, **partly),
        charge("digits", digits, {"amount": 2900}, **partly),
        charge("list", [{"amount": 1}], {"amount": 2900}, **partly),
        charge("both", "[]", '"text"', type="charge.succeeded", **partly),
        charge("early", {"created_at": "yesterday"}, {"created_at": AT.isoformat()}, **partly),
        charge("naive", {"created_at": "2026-01-01T00:00:00"}, {"created_at": AT.isoformat()}, **partly),
        charge("status", {"status": "failed"}, {"status": "wibble"}, object={"status": "wibble"})._replace(
            previous={"status": "failed"}
        ),
        charge("cause", {"amount": 1}, {"amount": 2900}, previous={"amount": 1}, cause=f"of {ADDRESS}"),
        charge("causeless", {"amount": 1}, {"amount": 2900}, previous={"amount": 1}, cause=""),
        other("charges", "ch_gone", {"amount": 4}, {"amount": 5}),
        other("charges", "ch_nothing", None, None),
        other("charges", "ch_removed", {"amount": 4}, None),
        other("charges", "\u202e ch\x1b[31m/../" + "x" * 200, {"amount": 4}, {"amount": 5}),
        other("payment_methods", "pm_raises", None, {"type": "card"}),
        other("products", "prod_metadata", None, {"active": True}),
        other("credit_notes", "cn_1", None, {"amount": 5}),
        other("subscription.duplicate", "lps_1", None, {"subscription_id": "lps_1"}),
        other("subscription.duplicate", "lps_2", None, ["lps_2"]),
        Row(
            "customers", "lpc_odd", {"name": None}, {"name": None}, "customer.updated", {"name": "Ada"}, {}, whole=False
        ),
        Row("products", "prod_good", [], {"name": "v4"}, "product.updated", {"name": "v4"}, {"name": "v3"}),
        Row("products", "prod_good", None, None, "product.updated", {"name": "v4"}, {}),
    ]
    if database != "mysql":  # it takes no JSON of more than 32 levels
        rows.append(charge("deep", {"amount": 5}, deep, previous={"amount": 5}))
    if database != "sqlite":
        return rows
    return [
        *rows,
        charge("torn", '{"amount": ', {"amount": 2900}, **partly),
        charge("half", '{"failure_code": "\\ud800"}', {"failure_code": None}, **partly),
        charge("whenever", {"amount": 1}, {"amount": 2900}, previous={"amount": 1}, created_at="whenever"),
    ]


def mixed(database: str) -> list[Row]:
    """Return odd rows that the database of this name can hold, with good ones before, between and behind them."""
    found = [good(number) for number in range(VERSIONS)]
    for row in odd(database):
        between = charge(f"good_{len(found)}", {"amount": 1}, {"amount": 2900}, previous={"amount": 1})
        found += [row] if row.object_id == "prod_good" else [row, between]
    return [*found, good(VERSIONS + 1)]


async def write(connection: AsyncConnection, rows: list[Row], *, now: datetime) -> None:
    """Write the rows, as of now, and the objects that they are about."""
    for row in rows:
        if row.object_type == "charges" and row.object is not None:
            present = {name: value for name, value in row.object.items() if name in charges.c}
            await _add(connection, charges, {**CHARGE, **present, "id": row.object_id})
    await _add(connection, products, {**PRODUCT, "id": "prod_good", "name": CHANGED.format(VERSIONS + 1)})
    await _add(connection, products, {**PRODUCT, "id": "prod_metadata", "metadata": {"a": 1}})
    await _add(connection, payment_methods, {**PAYMENT_METHOD, "id": "pm_raises", "billing_details": "text"})
    await _add(connection, customers, {**CUSTOMER, "id": "lpc_odd", "name": "Ada", "origin": "stripe"})
    content = {"id": "odd", "content": ["text"], "created_at": AT}
    await connection.execute(insert(personal_data).values(**content))
    for row in rows:
        await _write(connection, row, now=now)


async def _add(connection: AsyncConnection, table: Table, values: dict[str, Any]) -> None:
    known = {name: value for name, value in values.items() if name in table.c}
    await connection.execute(insert(table).values(**{**known, "livemode": False, "updated_at": AT}))


async def _write(connection: AsyncConnection, row: Row, *, now: datetime) -> None:
    """Write a row, then what it says past the triggers, which would not take all of it."""
    names = {"object_type": row.object_type, "object_id": row.object_id, "cause": row.cause}
    await connection.execute(insert(outbox).values(**names, before={}, after={}, created_at=now))
    values = {side: _json(connection, getattr(row, side)) for side in ("before", "after")}
    if row.object_type == "customers":
        values["personal_id"] = literal("odd")
    if row.created_at is not None:
        values["created_at"] = type_coerce(literal(row.created_at), Text)
    seq = (await connection.execute(select(func.max(outbox.c.seq)))).scalar_one()
    await connection.execute(update(outbox).where(outbox.c.seq == seq).values(values))


def _json(connection: AsyncConnection, side: Side) -> ColumnElement[Any]:
    """Return JSON as it was written, for a database that looks whether it is any and for one that does not."""
    if side is None:
        return null()
    written = literal(side if isinstance(side, str) else json.dumps(side))
    return cast(written, JSONB) if connection.dialect.name == "postgresql" else type_coerce(written, Text)
