"""Numbers of payment cards are found, and hardly anything else is taken for one."""

from __future__ import annotations

import random
import uuid

import pytest

from payment_service.platform.card_refusal import holds_card_number
from payment_service.platform.ids import new_id

CARDS = {
    "Visa": "4242424242424242",
    "Visa, 13 digits": "4222222222222",
    "Visa, 19 digits": "4917610000000000003",
    "Mastercard": "5555555555554444",
    "Mastercard, 2 series": "2223003122003222",
    "American Express": "378282246310005",
    "Discover": "6011111111111117",
    "Diners Club": "3056930009020004",
    "Diners Club, 14 digits": "36227206271667",
    "JCB": "3566002020360505",
    "UnionPay": "6200000000000005",
    "UnionPay, 19 digits": "6205500000000000004",
}
"""docs.stripe.com/testing#cards, and the issuers' own of other lengths."""


@pytest.mark.parametrize("number", CARDS.values(), ids=CARDS)
@pytest.mark.parametrize("text", ["{}", "card {}.", "order-{}", "({})", "a\n{}\nb"])
def test_a_card_number_is_found_wherever_it_stands_alone(number: str, text: str) -> None:
    assert holds_card_number(text.format(number))


@pytest.mark.parametrize(
    "text",
    [
        "4242 4242 4242 4242",
        "4242-4242-4242-4242",
        "4242.4242.4242.4242",
        "4242\u00a04242\u00a04242\u00a04242",
        "3782 822463 10005",
        "3622 720627 1667",
        "4917 6100 0000 0000 003",
        "4242/4242/4242/4242",
        "4242_4242_4242_4242",
        "4242\u20094242\u20094242\u20094242",
        "4242 - 4242 - 4242 - 4242",
        "4242 4242-4242.4242",
        "42424242 42424242",
        "4242\u200b4242\u200b4242\u200b4242",
        "4\u200d2\u200d42424242424242",
        "\uff14\uff12" * 8,  # full-width digits
        "\u0664\u0662" * 8,  # Arabic-Indic digits
    ],
)
def test_a_card_number_is_found_as_people_write_it(text: str) -> None:
    assert holds_card_number(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Ada Lovelace",
        "4242424242424241",  # Luhn's test fails
        "424242424242",  # too short
        "42424242424242424242",  # too long
        "9999999999999995",  # no issuer's
        "1234567890123452",
        "4006381333931",  # an article number
        "1790000000000",  # milliseconds
        "+49 151 23456789",
        "pi_4242424242424242",
        "a4242424242424242",
        "4242424242424242b",
        "2026-01-31T12:00:00Z",
    ],
)
def test_other_texts_are_let_through(text: str) -> None:
    assert not holds_card_number(text)


def test_no_id_and_no_uuid_is_taken_for_a_card_number() -> None:
    dice = random.Random(4242)
    made = (str(uuid.UUID(int=dice.getrandbits(128), version=4)) for _ in range(5_000))
    assert not any(holds_card_number(text) for text in made)
    assert not any(holds_card_number(new_id("lps")) for _ in range(5_000))


def test_few_order_numbers_of_sixteen_digits_are_refused() -> None:
    dice = random.Random(4242)
    numbers = [str(dice.randrange(10**15, 10**16)) for _ in range(20_000)]
    assert sum(map(holds_card_number, numbers)) / len(numbers) < 0.04
