"""Bodies: strict, and refused with every bad field at once."""

from __future__ import annotations

import time
import tracemalloc

import msgspec
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


def test_a_long_name_is_told_by_its_beginning_and_copied_for_none_of_its_members() -> None:
    name = "n" * 1_000_000
    body = msgspec.json.encode({name: {str(number): "\x00" if number == 1998 else "a" for number in range(1999)}})
    begun = time.process_time()
    with pytest.raises(BadRequest) as refused:
        decode_body(body, CreateSubscription)
    assert time.process_time() - begun < 1
    assert len(str(refused.value)) < 200


def test_of_thousands_of_unknown_fields_some_are_told_and_the_others_counted() -> None:
    body = msgspec.json.encode({f"field_{number}": 1 for number in range(1990)})
    with pytest.raises(Unprocessable) as refused:
        decode_body(body, CreateSubscription)
    unknown = [error for error in refused.value.extra["errors"] if "unknown" in error["message"]]
    assert unknown[-1] == {"field": "", "message": "1940 more fields are unknown"}
    assert len(unknown) == 51


def test_a_name_of_a_mebibyte_takes_no_more_memory_than_a_few_times_its_size() -> None:
    body = msgspec.json.encode({"price_id" * 131_072: 1})
    tracemalloc.start()
    try:
        assert len(str(errors(body))) < 2000
        assert tracemalloc.get_traced_memory()[1] < 8 * len(body)
    finally:
        tracemalloc.stop()
