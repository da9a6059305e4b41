"""Which environment a database is of: the decision alone."""

from __future__ import annotations

import pytest

from payment_service.migrations.naming import MOST_FORMER, DatabaseTaken, Named, admit, move

SHOP = Named("prod/shop", "uid-1")
ANEW = Named("prod/shop", "uid-2")
HELM = Named("prod/shop")
OTHER = Named("staging/shop", "uid-9")


def test_the_first_one_has_it() -> None:
    assert admit(None, SHOP) == SHOP


@pytest.mark.parametrize("row", [SHOP, HELM])
def test_another_name_is_refused_naming_both_and_the_way_out(row: Named) -> None:
    with pytest.raises(DatabaseTaken, match="payments database claim --reason") as caught:
        admit(row, OTHER)
    assert str(row) in str(caught.value)
    assert str(OTHER) in str(caught.value)


@pytest.mark.parametrize(
    ("row", "here", "expected"),
    [
        pytest.param(SHOP, SHOP, SHOP, id="the same"),
        pytest.param(SHOP, HELM, SHOP, id="Helm alone keeps the UID that is known"),
        pytest.param(HELM, HELM, HELM, id="Helm alone"),
        pytest.param(HELM, SHOP, SHOP, id="the operator was switched on"),
        pytest.param(SHOP, ANEW, Named("prod/shop", "uid-2", ("uid-1",)), id="made anew"),
    ],
)
def test_the_same_name_goes_on(row: Named, here: Named, expected: Named) -> None:
    assert admit(row, here) == expected


def test_one_that_comes_back_after_it_was_made_anew_is_refused() -> None:
    row = admit(SHOP, ANEW)
    with pytest.raises(DatabaseTaken, match="there are two"):
        admit(row, SHOP)


def test_a_claim_is_never_refused_and_the_one_that_lost_it_is() -> None:
    row = move(admit(SHOP, ANEW), SHOP)
    assert row == Named("prod/shop", "uid-1", ("uid-2",))
    assert admit(row, SHOP) == row
    with pytest.raises(DatabaseTaken):
        admit(row, ANEW)
    assert move(row, OTHER) == OTHER
    with pytest.raises(DatabaseTaken):
        admit(OTHER, SHOP)


def test_the_row_does_not_grow_without_end() -> None:
    row = SHOP
    for number in range(2, 100):
        row = admit(row, Named("prod/shop", f"uid-{number}"))
    assert len(row.former) == MOST_FORMER
    assert row.former[-1] == "uid-98"
