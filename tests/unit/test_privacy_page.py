"""docs/privacy.md names every column that could hold something of a person."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from sqlalchemy import JSON, Column, LargeBinary, MetaData, String, Table, Text

from payment_service.migrations import schema
from payment_service.mirror.registry import KINDS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/privacy.md").read_text()
TABLES = schema.metadata
PERSONAL = {kind.table: kind.personal for kind in KINDS.values()}
PLAIN = re.compile(
    r"(.*_)?id|(.*_)?(status|type|kind|phase|state|source|mode|interval|currency|version|scope|value|behavior)"
    r"|origin|number|billing_reason|reason|disabled_reason|failure_reason|paused_reason|cancellation_reason|usage|mark|method|route"
    r"|lease_owner|cause|action|revision|response_content_type|database_role|lookup_key|group_key|allow_redisplay|failure_code|last_error_code"
)
"""Ids, words of Stripe's lists and ours: short texts that nobody fills in about a person."""


def unsorted(tables: MetaData) -> set[str]:
    """Return the columns that are neither plain nor named on the page."""
    named = set(re.findall(r"`(\w+\.\w+)`", PAGE))
    return {str(column) for table in tables.sorted_tables for column in table.columns if may_hold(column)} - named


def may_hold(column: Column[Any]) -> bool:
    if isinstance(column.type, JSON | LargeBinary):
        return True
    plain = PLAIN.fullmatch(column.name)
    return isinstance(column.type, String) and not plain


def test_every_column_that_could_hold_something_of_a_person_stands_on_the_page() -> None:
    assert schema.personal_data.name in TABLES.tables
    assert unsorted(TABLES) == set()


def test_a_new_column_cannot_pass_by() -> None:
    for name, kind in (("nickname", Text()), ("phone", String(20)), ("shipping", JSON()), ("photo", LargeBinary())):
        new = MetaData()
        Table("customers", new, Column(name, kind), Column("email", Text))
        assert unsorted(new) == {f"customers.{name}"}


def test_the_page_names_no_column_that_is_not_there() -> None:
    there = {str(column) for table in TABLES.sorted_tables for column in table.columns}
    tables = {table.name for table in TABLES.sorted_tables}
    named = {name for name in re.findall(r"`(\w+\.\w+)`", PAGE) if name.partition(".")[0] in tables}
    assert named <= there | {"customer.erase"}


def test_what_an_erasure_empties_stands_in_the_first_table() -> None:
    rows = PAGE.partition("Of the same names")[0]
    emptied = {f"{table.name}.{name}" for table, fields in PERSONAL.items() for name in fields}
    assert {name for name in emptied if f"`{name}`" not in rows} == set()


def test_every_mirrored_metadata_of_a_person_is_emptied() -> None:
    """A new mirrored table with metadata is of a person unless the page says the contrary."""
    of_nobody = PAGE.partition("Of the same names")[2].partition("\n\n")[0]
    with_metadata = {table.name for table in TABLES.sorted_tables if "metadata" in table.c}
    emptied = {table.name for table, fields in PERSONAL.items() if "metadata" in fields}
    assert with_metadata - emptied == set(re.findall(r"`(\w+)\.metadata`", of_nobody))
