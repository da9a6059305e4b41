"""Which events a reader wants."""

from __future__ import annotations

import pytest

from payment_service.errors import Unprocessable
from payment_service.feed.filters import ALL_TYPES, OTHER_UPDATED, Filters, wanted_types


def test_what_follows_from_the_types_is_found_once_for_all_who_ask_for_them() -> None:
    filters, same = (Filters(types=("invoice.*", "charge.succeeded") * 300) for _ in range(2))
    assert filters.object_types == ("charges", "invoices")
    assert filters.object_types is same.object_types
    assert wanted_types(filters.types) is wanted_types(same.types)


def test_without_types_every_kind_passes_also_one_that_is_not_known() -> None:
    assert Filters().object_types is None
    assert wanted_types(()) == ALL_TYPES
    assert Filters().wants(OTHER_UPDATED, object_type="credit_notes", certain=False)


def test_a_kind_that_is_not_asked_for_passes_neither_for_sure_nor_in_doubt() -> None:
    filters = Filters(types=("invoice.paid",))
    assert filters.wants("invoice.paid", object_type="invoices", certain=True)
    assert filters.wants(OTHER_UPDATED, object_type="invoices", certain=False)
    assert filters.wants("invoice.updated", object_type="invoices", certain=False)
    assert not filters.wants("invoice.updated", object_type="invoices", certain=True)
    assert not filters.wants(OTHER_UPDATED, object_type="charges", certain=False)
    assert not filters.wants(OTHER_UPDATED, object_type="credit_notes", certain=False)


def test_what_cannot_be_shown_can_be_asked_for_whatever_its_kind() -> None:
    for types in (("other.updated",), ("other.*",)):
        assert Filters(types=types).object_types is None
        assert wanted_types(types) == {OTHER_UPDATED}


@pytest.mark.parametrize("types", [("invoice.paied",), ("invoice.paid", "nothing.*"), ("invoice",)])
def test_a_type_that_there_is_not_is_refused(types: tuple[str, ...]) -> None:
    filters = Filters(types=types)
    with pytest.raises(Unprocessable, match="there is no type"):
        assert filters.object_types
