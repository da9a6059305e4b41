"""Which types of events an endpoint may ask for."""

from __future__ import annotations

import pytest

from payment_service.endpoints.filters import check_types, known_types
from payment_service.errors import Unprocessable
from payment_service.feed.filters import ALL_TYPES


def test_every_type_and_every_kind_may_be_asked_for() -> None:
    check_types(ALL_TYPES)
    check_types({f"{known.partition('.')[0]}.*" for known in ALL_TYPES})


@pytest.mark.parametrize(
    ("wanted", "near"),
    [("invoice.payed", "invoice.paid"), ("subscriptions.*", "subscription.*"), ("payment.sucess", "payment.succeeded")],
)
def test_a_misspelt_type_is_told_the_nearest(wanted: str, near: str) -> None:
    with pytest.raises(Unprocessable, match=f"there is no type {wanted}; did you mean {near}".replace("*", r"\*")):
        check_types([wanted])


def test_a_type_of_another_version_is_left_out_and_never_means_all() -> None:
    assert known_types([]) == ()
    assert known_types(["invoice.paid", "parcel.sent"]) == ("invoice.paid",)
    assert known_types(["parcel.sent"]) is None
