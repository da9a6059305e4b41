"""A customer whom Stripe has deleted, and which rows are about such a person."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import false, select

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import ColumnElement, Table
    from sqlalchemy.engine import Row


class Person(NamedTuple):
    """A customer that Stripe has deleted."""

    id: str
    """Our id."""
    stripe_id: str | None
    ids: frozenset[str]
    """Under which rows name it: a subscription's event may have come before the customer's row."""

    @classmethod
    def of(cls, row: Row[*tuple[object, ...]]) -> Person:
        """Read it from its row."""
        stripe_id: str | None = row.stripe_customer_id
        return cls(row.id, stripe_id, frozenset({row.id, foreign_id(stripe_id)} if stripe_id else {row.id}))


if TYPE_CHECKING:
    OfPerson = Callable[[Person], ColumnElement[bool]]


def foreign_id(stripe_customer_id: str) -> str:
    """Return our id of a customer that was not made here; it is the same before its row exists."""
    return f"lpc_{stripe_customer_id.removeprefix('cus_')}"


def is_filled(column: ColumnElement[object], value: str | None) -> ColumnElement[bool]:
    """Return the condition that the column has the value, which None never is."""
    return false() if value is None else column == value


def named_in(table: Table) -> OfPerson:
    """Return the condition of rows that name the person by Stripe's id."""

    def condition(person: Person) -> ColumnElement[bool]:
        return is_filled(table.c.stripe_customer_id, person.stripe_id)

    return condition


def through(column: ColumnElement[object], table: Table, rows: OfPerson) -> OfPerson:
    """Return the condition of rows that name a row of another table, which is about the person."""

    def condition(person: Person) -> ColumnElement[bool]:
        return column.in_(select(table.c.id).where(rows(person)))

    return condition
