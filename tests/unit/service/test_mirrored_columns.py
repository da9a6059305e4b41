"""No constraint of the schema judges what Stripe says: each of a mirrored table stands here with its reason."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Integer, String, Table, Text, UniqueConstraint

import stripe_simulator as simulator
from payment_service.mirror.registry import KINDS
from stripe_simulator.shapes import shape

if TYPE_CHECKING:
    from payment_service.mirror.kind import Kind

UNIQUE = {
    ("customers", ("stripe_customer_id",)): "Stripe's id: one object, one row",
    ("customers", ("livemode", "reference")): "the caller's, never written from what an event says of another's",
    ("customers", ("livemode", "email_key")): "ours: set for customers made here, taken back when the address changes",
    ("subscriptions", ("stripe_subscription_id",)): "Stripe's id",
    (
        "subscriptions",
        ("livemode", "customer_id", "product_id"),
    ): "of rows that hold a slot; one that moves gives it up",
}
SMALL = {
    ("prices", "interval_count"): "three years at most (docs.stripe.com/api/prices/create)",
    ("invoices", "attempt_count"): "a count of attempts",
}
"""Numbers of 32 bits."""
OURS = {"id", "origin", "exclusive", "stripe_updated", "created_at", "updated_at"}
ALWAYS = {
    "id",
    "object",
    "livemode",
    "created",
    "currency",
    "amount",
    "customer",
    "status",
    "active",
    "product",
    "items",
    "deleted",
    "metadata",
    "type",
}
"""Members that Stripe's reference never calls nullable where a row needs them."""


def unique_sets(table: Table) -> set[tuple[str, ...]]:
    """Return the columns of each unique constraint and index."""
    found = [c for c in table.constraints if isinstance(c, UniqueConstraint)]
    indexes = [index for index in table.indexes if index.unique]
    return {tuple(part.columns.keys()) for part in found} | {tuple(part.columns.keys()) for part in indexes}


def test_unique_references_are_ours_or_stripes_ids() -> None:
    tables = {target.table for target in KINDS.values()}
    assert {(table.name, names) for table in tables for names in unique_sets(table)} == UNIQUE.keys()


def test_no_mirrored_table_checks_values_or_refers_to_rows_of_others() -> None:
    for target in KINDS.values():
        assert not [c for c in target.table.constraints if isinstance(c, CheckConstraint)]
        assert not target.table.foreign_keys


def test_texts_have_no_length_and_numbers_have_room() -> None:
    small = set()
    for table in {target.table for target in KINDS.values()}:
        for column in table.columns:
            if isinstance(column.type, String):
                assert type(column.type) is Text, column
                assert column.type.length is None, column
            elif isinstance(column.type, Integer) and not isinstance(column.type, BigInteger | Boolean):
                small.add((table.name, column.name))
    assert small == SMALL.keys()


def objects(kind: str) -> list[dict[str, Any]]:
    """Return objects of a kind: all null that may be, and with each other member missing."""
    full = shape(kind.replace(".", "_")) | {"livemode": False}
    full |= {name: 0 for name in ("amount", "created") if name in full} | {"id": "x_1", "currency": "usd"}
    full |= {name: "y_1" for name in ("customer", "product", "status") if name in full and full[name] is None}
    bare = {name: value if name in ALWAYS else None for name, value in full.items()}
    found = [full, bare, {name: value for name, value in full.items() if name in ALWAYS}]
    found += [{k: v for k, v in full.items() if k != name} for name in full.keys() - ALWAYS]
    return found + [full | {name: None} for name in full.keys() - ALWAYS]


def test_no_column_that_must_have_a_value_is_without_one_whatever_stripe_leaves_out() -> None:
    for kind, target in KINDS.items():
        for obj in objects(kind):
            assert missing(target, target.columns(obj)) == [], (kind, obj)


def missing(kind: Kind, columns: dict[str, object]) -> list[str]:
    """Return the NOT NULL columns that would be null: none of them may be left to Stripe."""
    return [
        column.name
        for column in kind.table.columns
        if not column.nullable and column.name not in OURS and columns.get(column.name) is None
        if column.server_default is None or column.name in columns
    ]


def test_every_kind_has_a_shape() -> None:
    folder = Path(simulator.__file__).parent / "shapes"
    kinds = {re.sub(r"\.json$", "", file.name) for file in folder.iterdir()}
    assert {kind.replace(".", "_") for kind in KINDS} <= kinds
