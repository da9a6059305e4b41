"""What many rows are changed or removed by: one statement, where the database has `RETURNING`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import bindparam, select

from payment_service.storage import dialects
from payment_service.storage.dialects.on_conflict import OnConflict
from payment_service.storage.statements import ChangeRows, RemoveRows
from payment_service.storage.tables import idempotency_keys, operations

if TYPE_CHECKING:
    from sqlalchemy import Executable

BOTH = [dialect for dialect in dialects.DIALECTS if isinstance(dialect, OnConflict)]
SOME = select(operations.c.id).where(operations.c.finished)


def words(statement: Executable) -> str:
    return " ".join(str(statement).split())


@pytest.mark.parametrize("dialect", BOTH, ids=lambda dialect: dialect.name)
def test_rows_are_changed_and_told_by_one_statement(dialect: OnConflict) -> None:
    values = {"phase": bindparam("v_phase"), "fence": operations.c.fence + 1}
    mine = (operations.c.id == bindparam("o_id"),)
    change = ChangeRows(operations, values, returning=(operations.c.id,), where=mine)
    assert words(dialect.change_of(change)) == (
        "UPDATE operations SET phase=:v_phase, fence=(operations.fence + :fence_1) WHERE operations.id = :o_id "
        "RETURNING operations.id"
    )
    assert dialect.change_of(change) is dialect.change_of(change)
    chosen = ChangeRows(operations, {"phase": None}, returning=(operations.c.id,), chosen=SOME)
    assert words(dialect.change_of(chosen)).endswith(f"WHERE operations.id IN ({words(SOME)}) RETURNING operations.id")


@pytest.mark.parametrize("dialect", BOTH, ids=lambda dialect: dialect.name)
def test_rows_are_removed_by_one_statement_whatever_their_key(dialect: OnConflict) -> None:
    assert words(dialect.removal(RemoveRows(operations, SOME))) == (
        f"DELETE FROM operations WHERE operations.id IN ({words(SOME)})"
    )
    key = tuple(idempotency_keys.primary_key)
    removal = RemoveRows(idempotency_keys, select(*key), where=(idempotency_keys.c.expires_at < bindparam("before"),))
    assert words(dialect.removal(removal)) == (
        "DELETE FROM idempotency_keys WHERE idempotency_keys.expires_at < :before AND "
        f"({', '.join(map(str, key))}) IN ({words(select(*key))})"
    )
