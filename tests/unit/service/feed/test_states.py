"""What an object was, when some of what was told of it cannot be read."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from payment_service.feed.samples import PRODUCT
from payment_service.feed.states import Change, ToldChange, changes, holes, joined, present
from payment_service.storage.column_types import UNREADABLE
from payment_service.storage.tables import products

NOW: dict[str, Any] = {**PRODUCT, "name": "d", "stripe_updated": 4, "updated_at": datetime(2026, 1, 31, tzinfo=UTC)}
MADE: dict[str, Any] = {"name": "a", "active": True, "deleted": False, "metadata": {}, "livemode": True}


def renamed(seq: int, before: Any, after: Any) -> ToldChange:
    return ToldChange(seq, {"name": before}, {"name": after})


def names(told: list[ToldChange], now: dict[str, Any] | None = NOW) -> list[tuple[object, object]]:
    made = changes(products, now=now, told=told)
    sides = [(made[one.seq].before, made[one.seq].after) for one in told]
    return [(None if a is None else a["name"], None if b is None else b["name"]) for a, b in sides]


def test_what_cannot_be_read_is_what_an_earlier_row_said_of_it() -> None:
    told = [ToldChange(1, None, MADE), renamed(2, "a", "b"), renamed(3, 5, "d")]
    assert names(told) == [(None, "a"), ("a", "b"), ("b", "d")]


@pytest.mark.parametrize("bad", [UNREADABLE, {}, {"name": 5}, {"name": "\ud800"}, {"name": {}}])
def test_it_is_not_known_when_no_earlier_row_says_it(bad: Any) -> None:
    told = [ToldChange(2, {"active": False}, {"active": True}), ToldChange(3, bad, {"name": "d"})]
    assert names(told) == [(UNREADABLE, UNREADABLE), (UNREADABLE, "d")]
    before = changes(products, now=NOW, told=told)[2].before
    assert before is not None
    assert before["active"] is False


def test_what_a_row_may_have_changed_is_not_taken_from_rows_before_it() -> None:
    told = [ToldChange(1, None, MADE), ToldChange(2, UNREADABLE, UNREADABLE), renamed(3, "c", "d")]
    assert names(told) == [(None, "a"), ("a", "c"), ("c", "d")]
    told = [ToldChange(1, None, MADE), ToldChange(2, UNREADABLE, {"name": 5}), renamed(3, 5, "d")]
    assert names(told) == [(None, "a"), ("a", UNREADABLE), (UNREADABLE, "d")]


def test_a_row_that_says_nothing_leaves_the_object_there() -> None:
    told = [ToldChange(1, None, MADE), ToldChange(2, None, None), renamed(3, "a", "d")]
    assert names(told) == [(None, "a"), ("a", "a"), ("a", "d")]
    assert names([ToldChange(2, None, None)], now=None) == [(None, None)]


def test_nothing_is_invented_of_an_object_that_is_not_there() -> None:
    made = changes(products, now=None, told=[renamed(2, "a", "b")])
    assert made[2].after is not None
    assert {name for name, value in made[2].after.items() if value is UNREADABLE} == {
        *("id", "active", "metadata", "livemode", "deleted", "stripe_updated", "created_at", "updated_at")
    }


def test_an_object_that_another_row_saw_later_is_told_although_one_says_it_went() -> None:
    told = [ToldChange(1, None, MADE), ToldChange(2, {"name": "a"}, None), renamed(3, "c", "d")]
    assert names(told) == [(None, "a"), ("a", None), ("c", "d")]
    before = changes(products, now=NOW, told=told)[2].before
    assert before is not None
    assert (before["id"], before["created_at"]) == (NOW["id"], NOW["created_at"])


@pytest.mark.parametrize(
    ("column", "value"),
    [("active", "yes"), ("stripe_updated", 2**63), ("stripe_updated", True), ("created_at", "2026"), ("id", None)],
)
def test_a_row_may_hold_what_its_columns_cannot(column: str, value: object) -> None:
    assert [name for name, held in present(products, {**NOW, column: value}).items() if held is UNREADABLE] == [column]
    assert holes([Change(None, present(products, {**NOW, column: value}))])
    assert not holes([Change(None, present(products, NOW))])


@pytest.mark.parametrize("personal", [UNREADABLE, [], "text", {"before": "text"}])
def test_personal_fields_that_cannot_be_read_are_not_taken_for_erased(personal: object) -> None:
    assert joined({"name": None}, personal=personal, side="before") is UNREADABLE
    assert joined({"name": None}, personal=None, side="before") == {"name": None}
    assert joined({"name": None}, personal={"before": {"name": "Ada"}}, side="before") == {"name": "Ada"}


def test_nobody_decides_by_what_cannot_be_read() -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        bool(UNREADABLE)
