"""Which numbers are waited for, and when they are given up."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from payment_service.feed.gaps import Missing, asks, between, settle, without

PATIENCE = 1.0
LATER = PATIENCE + 1
numbers = st.lists(st.integers(1, 60), unique=True).map(sorted)


def spread(ranges: tuple[tuple[int, int], ...]) -> list[int]:
    return [number for low, high in ranges for number in range(low, high + 1)]


@given(found=numbers)
def test_what_lies_between_is_what_was_not_found(found: list[int]) -> None:
    top = found[-1] if found else 0
    assert spread(between(0, found)) == [number for number in range(1, top) if number not in found]


@given(found=numbers, come=numbers)
def test_what_has_come_is_no_more_missing(found: list[int], come: list[int]) -> None:
    ranges = between(0, found)
    left = without(ranges, come)
    assert spread(left) == [number for number in spread(ranges) if number not in come]
    assert all(low <= high for low, high in left)


def test_nobody_is_asked_for_what_may_come_by_itself() -> None:
    young = Missing(since=0, ranges=((3, 4),))
    assert not asks((young,), patience=PATIENCE, now=PATIENCE / 2)
    assert asks((young,), patience=PATIENCE, now=LATER)


def test_what_nobody_can_have_taken_is_given_up() -> None:
    old = Missing(since=0, ranges=((3, 4),))
    assert settle((old,), [], writers=frozenset(), patience=PATIENCE, now=LATER) == ()


def test_it_is_waited_for_as_long_as_one_of_those_who_wrote_then_writes() -> None:
    old = Missing(since=0, ranges=((3, 4),))
    (asked,) = settle((old,), [], writers=frozenset({"1/7", "2/9"}), patience=PATIENCE, now=LATER)
    assert asked.writers == ("1/7", "2/9")
    (kept,) = settle((asked,), [], writers=frozenset({"2/9", "3/1"}), patience=PATIENCE, now=LATER)
    assert kept.writers == ("2/9",)
    assert settle((kept,), [], writers=frozenset({"3/1"}), patience=PATIENCE, now=LATER) == ()


def test_it_is_not_given_up_while_nobody_was_asked() -> None:
    old = Missing(since=0, ranges=((3, 4),))
    assert settle((old,), [], writers=None, patience=PATIENCE, now=1e9) == (old,)


def test_a_young_hole_is_not_given_up_with_an_old_one() -> None:
    young = Missing(since=LATER, ranges=((8, 8),))
    assert settle((young,), [], writers=frozenset(), patience=PATIENCE, now=LATER) == (young,)
