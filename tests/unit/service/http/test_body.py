"""Bodies: strict, and refused with every bad field at once."""

from __future__ import annotations

import pytest

from payment_service.errors import BadRequest, Unprocessable
from payment_service.http.body import decode_body
from payment_service.subscriptions.schemas import CreateSubscription


def errors(raw: bytes) -> dict[str, str]:
    with pytest.raises(Unprocessable) as caught:
        decode_body(raw, CreateSubscription)
    return {error["field"]: error["message"] for error in caught.value.extra["errors"]}


def test_a_good_body_is_decoded() -> None:
    request = decode_body(b'{"price_id": "price_1", "email": "a@b.c"}', CreateSubscription)
    assert request.quantity == 1


def test_all_bad_fields_are_named_at_once() -> None:
    found = errors(b'{"price_id": 5, "quantity": "many", "trial_days": 0, "colour": "red", "email": "a@b.c"}')
    assert set(found) == {"price_id", "quantity", "trial_days", "colour"}


def test_a_misspelt_field_is_told_the_nearest_one_and_another_one_all() -> None:
    found = errors(b'{"lookup_key": "pro", "emial": "a@b.c", "zzz": 1}')
    assert found["emial"] == "unknown field; did you mean email?"
    assert found["zzz"].startswith("unknown field; known: price_id, lookup_key, ")


def test_what_spans_fields_is_named() -> None:
    assert "price_id" in errors(b'{"email": "a@b.c"}')


def test_a_number_in_quotes_is_no_number() -> None:
    assert "quantity" in errors(b'{"price_id": "p", "email": "a@b.c", "quantity": "2"}')


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"[]", b"null", b"5", b'"text"', b"\xff\xfe", b'{"email": "a\\u0000@b.c"}', b'{"quantity": 1e400}'],
)
def test_what_is_no_json_object_is_a_bad_request(raw: bytes) -> None:
    with pytest.raises(BadRequest):
        decode_body(raw, CreateSubscription)
