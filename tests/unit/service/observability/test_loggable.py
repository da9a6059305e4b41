"""What callers and events call things is logged only when it looks as such names do."""

from __future__ import annotations

import random
from typing import Any

import pytest
from tests.cards import DISGUISES, card
from tests.redacting import KINDS

from payment_service.http.gate import REQUEST_ID, _request_id
from payment_service.mirror.registry import event_types
from payment_service.observability.loggable import event_type, object_id
from payment_service.observability.redaction import MARK

OTHERS = (
    "ada@example.com",
    "ada\uff20example.com",
    "203.0.113.7",
    "2001:db8::7",
    "invoice.203.0.113.7",
    "Ada Lovelace",
    "+49 151 23456789",
    "invoice.paid\n",
    "\x1b[2J",
    "",
    ".",
    "a" * 256,
)


def request_id(value: str) -> str:
    scope: Any = {"headers": [(REQUEST_ID, value.encode("utf-8", "surrogateescape"))]}
    return _request_id(scope).decode()


@pytest.mark.parametrize(
    "text", [*event_types(), "v1.customer.updated", "v2.core.account[configuration.merchant].updated"]
)
def test_types_of_stripes_are_logged(text: str) -> None:
    assert event_type(text) == text


@pytest.mark.parametrize("text", OTHERS)
def test_no_other_text_is_logged_as_a_type_or_an_id(text: str) -> None:
    assert (event_type(text), object_id(text)) == (MARK, MARK)


@pytest.mark.parametrize(
    "value", ["a", "from-the-caller-1", "4f6c2d1e-7b3a-4c5d-9e8f-0a1b2c3d4e5f", "x" * 128, "1.2.3"]
)
def test_a_callers_request_id_is_kept(value: str) -> None:
    assert request_id(value) == value


@pytest.mark.parametrize(
    "value", [*(other for other in OTHERS if other != "."), "x" * 129, "id-203.0.113.7", "203-0-113-7"]
)
def test_a_request_id_of_another_form_or_with_an_address_is_replaced(value: str) -> None:
    assert len(request_id(value)) == 32


@pytest.mark.parametrize("kind", KINDS)
def test_a_request_id_that_holds_a_secret_is_replaced(kind: str) -> None:
    chance = random.Random(kind)
    for _ in range(20):
        secret = KINDS[kind](chance)
        for value in (secret, f"req-{secret}", f"{secret}.1"):
            assert secret not in request_id(value)


@pytest.mark.parametrize("disguise", DISGUISES)
def test_a_request_id_that_holds_a_card_number_is_replaced(disguise: str) -> None:
    chance = random.Random(disguise)
    for _ in range(20):
        text = DISGUISES[disguise](card(chance), chance)
        assert text not in request_id(text)
