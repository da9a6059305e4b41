"""Which keys need which value of SECRET_KEY."""

from __future__ import annotations

import pytest

from payment_service.access.needs import Need, add_up, need


@pytest.mark.parametrize(
    ("known_under", "in_use", "expected"),
    [
        (["a"], ["a"], Need("a", lost=False)),
        (["a"], ["b", "a"], Need("a", lost=False)),
        (["b", "a"], ["b", "a"], Need(None, lost=False)),
        (["b", "a"], ["b"], Need("b", lost=False)),
        (["b", "a"], ["a"], Need("a", lost=False)),
        (["b", "a"], ["c"], Need("b", lost=True)),
        ([], ["a"], Need("", lost=True)),
    ],
)
def test_a_key_needs_the_only_value_that_finds_it(known_under: list[str], in_use: list[str], expected: Need) -> None:
    assert need(known_under, in_use=in_use) == expected


def test_the_keys_are_added_up_by_value() -> None:
    counts = [("a", None, 3), ("b", "a", 5), ("b", "x", 2), ("x", None, 1), (None, None, 4)]
    needs = add_up(counts, in_use=["b", "a"])
    assert needs.in_use == {"b": 2, "a": 3}
    assert needs.missing == {"x": 1, "": 4}
