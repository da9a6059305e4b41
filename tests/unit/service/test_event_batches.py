"""What several events make of one row, decided without a database; what is written is held to one in `integration`."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import permutations
from typing import Any

from payment_service.mirror.batch import Folded, fold
from payment_service.mirror.kind import Told
from payment_service.mirror.registry import KINDS
from payment_service.storage.mirror import Provenance, State

NOW = datetime(2026, 11, 30, tzinfo=UTC)
PRODUCT = KINDS["product"]


def product(name: str, **more: Any) -> dict[str, Any]:
    return {"id": "prod_1", "object": "product", "name": name, "active": True, "livemode": False, **more}


def told(second: int, obj: dict[str, Any]) -> Told:
    return Told(obj, PRODUCT.shape_of(obj), Provenance(f"evt_{second}", second, NOW))


def folded(row: dict[str, Any] | None, *several: Told) -> Folded:
    return fold(PRODUCT, row, several, lambda one, _: State(one.shape.columns()))


def test_each_change_of_state_is_told_with_its_cause_and_the_row_is_written_once() -> None:
    found = folded(None, told(1, product("Ada")), told(2, product("Ada")), told(3, product("Grace")))
    assert found.taken == 3
    assert found.row is not None
    assert (found.row["name"], found.row["stripe_updated"]) == ("Grace", 3)
    assert [change["cause"] for change in found.changes] == ["evt_1", "evt_3"]
    assert found.changes[0]["before"] is None
    assert (found.changes[1]["before"], found.changes[1]["after"]) == ({"name": "Ada"}, {"name": "Grace"})


def test_from_the_first_doubt_on_nothing_is_taken() -> None:
    found = folded(None, told(1, product("Ada")), told(1, product("Grace")), told(2, product("Bob")))
    assert found.taken == 1
    assert found.row is not None
    assert found.row["name"] == "Ada"
    assert [change["cause"] for change in found.changes] == ["evt_1"]


def test_a_row_that_no_event_changes_is_not_written() -> None:
    row = folded(None, told(5, product("Ada"))).row
    assert folded(row, told(5, product("Grace"))) == Folded(None, 0, [])
    assert folded(row, told(4, product("Grace"))) == Folded(None, 0, [])


def test_one_batch_and_one_event_at_a_time_make_the_same_of_a_row() -> None:
    several = [told(1, product("Ada")), told(2, product("Bob")), told(3, product("", deleted=True))]
    for order in permutations(several):
        together = folded(None, *order)
        row: dict[str, Any] | None = None
        changes: list[dict[str, object]] = []
        for one in order:
            alone = folded(row, one)
            if not alone.taken:
                break
            row, changes = alone.row or row, changes + alone.changes
        assert (together.row, together.changes) == (row, changes)


def test_a_new_row_has_a_value_for_every_column() -> None:
    row = folded(None, told(1, product("Ada"))).row
    assert row is not None
    assert row.keys() == set(PRODUCT.table.c.keys())
    empty = [name for name, value in row.items() if value is None and not PRODUCT.table.c[name].nullable]
    assert empty == []
