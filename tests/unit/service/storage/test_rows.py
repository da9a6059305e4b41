"""The types of rows say what the tables hold."""

from __future__ import annotations

import types
from datetime import datetime
from typing import TYPE_CHECKING, Any, get_args, get_origin, get_type_hints

import pytest
from sqlalchemy import BigInteger, Boolean, Integer, LargeBinary, Text

from payment_service.storage import rows, tables
from payment_service.storage.column_types import UtcDateTime

if TYPE_CHECKING:
    from sqlalchemy import Table

IN_MAPPING = {"metadata", "items"}
"""Columns with the name of a method of the row's."""
PYTHON = {Text: str, Boolean: bool, Integer: int, BigInteger: int, LargeBinary: bytes, UtcDateTime: datetime}


@pytest.mark.parametrize(
    ("row", "table"),
    [
        (rows.CustomerRow, tables.customers),
        (rows.SubscriptionRow, tables.subscriptions),
        (rows.PriceRow, tables.prices),
        (rows.OperationRow, tables.operations),
    ],
)
def test_a_row_s_type_has_each_column_with_its_type(row: type, table: Table) -> None:
    hints = get_type_hints(row, {"datetime": datetime, **vars(rows)})
    assert table.c.keys() - hints.keys() <= IN_MAPPING | {"personal_id"}
    assert hints.keys() <= set(table.c.keys())
    wrong = [name for name, hint in hints.items() if not _fits(hint, table.c[name])]
    assert wrong == []


def _fits(hint: Any, column: Any) -> bool:
    parts = get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if (type(None) in parts) is not column.nullable:
        return False
    kind = PYTHON.get(type(column.type))
    told = next(part for part in parts if part is not type(None))
    return get_origin(told) is dict if kind is None else told is kind
