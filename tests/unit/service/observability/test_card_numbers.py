"""Numbers of payment cards are found in each disguise, to refuse and to redact; what looks like them is not."""

from __future__ import annotations

import random
import sys
import time
import tracemalloc

import pytest
from tests.cards import DISGUISES, ISSUED, LOOK_ALIKES, card

from payment_service.observability.card_numbers import _PLAIN, card_numbers, holds_card_number
from payment_service.observability.redaction import redact

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
    "Maestro": "6759649826438453",
    "Maestro, 5018": "5018000000000009",
}
"""docs.stripe.com/testing#cards, and the issuers' own."""
EXAMPLES = 10_000
OF_AN_ISSUER = 100
SIZE = 65_536


@pytest.mark.parametrize("number", CARDS.values(), ids=CARDS)
@pytest.mark.parametrize("text", ["{}", "card {}.", "order-{}", "({})", "a\n{}\nb", "x{}y"])
def test_a_card_number_is_found_wherever_it_stands(number: str, text: str) -> None:
    assert holds_card_number(text.format(number))


@pytest.mark.parametrize(
    "text",
    [
        "3782 822463 10005",
        "3622 720627 1667",
        "4917 6100 0000 0000 003",
        "4242 - 4242 - 4242 - 4242",
        "4242 4242-4242.4242",
        "42424242 42424242",
        "4\u200d2\u200d42424242424242",
        "4242\\u00a04242\\u00a04242\\u00a04242",
        "4242424242424242/12/26/123",
    ],
)
def test_a_card_number_is_found_as_people_write_it(text: str) -> None:
    assert holds_card_number(text)


@pytest.mark.parametrize("disguise", DISGUISES)
def test_each_issuers_numbers_are_found_in_each_disguise(disguise: str) -> None:
    chance = random.Random(disguise)
    for _ in range(OF_AN_ISSUER):
        for issuer in ISSUED:
            text = DISGUISES[disguise](card(chance, issuer=issuer), chance)
            assert holds_card_number(text), (issuer, text)
            if not disguise.startswith(("with the date", "in a sentence")):
                left = redact(text)
                assert sum(map(str.isdigit, left)) <= 1, (issuer, text, left)


@pytest.mark.parametrize("kind", LOOK_ALIKES)
def test_nothing_that_looks_alike_is_refused_by_chance(kind: str) -> None:
    chance = random.Random(kind)
    made = {LOOK_ALIKES[kind](chance) for _ in range(EXAMPLES)}
    assert {text for text in made if holds_card_number(text)} == set()
    assert len(made) > EXAMPLES * 0.9


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Ada Lovelace",
        "4242424242424241",  # Luhn's test fails
        "42424242424",  # too short
        "42424242424242424242",  # too long
        "9999999999999995",  # no issuer's
        "1234567890123452",
        "4006381333931",  # an article number
        "1790000000000",  # milliseconds
        "sizes 38, 40, 42, 44, 46, 48, 50, 52, 54",
        "2026-01-31T12:00:00Z",
        "lps_0192b1f0c3a24242424242424242d3e8",  # a hexadecimal id
    ],
)
def test_other_texts_are_let_through(text: str) -> None:
    assert not holds_card_number(text)


def test_few_order_numbers_of_sixteen_digits_are_refused() -> None:
    dice = random.Random(4242)
    numbers = [str(dice.randrange(10**15, 10**16)) for _ in range(20_000)]
    assert sum(map(holds_card_number, numbers)) / len(numbers) < 0.05


@pytest.mark.parametrize(
    "disguise", [name for name in DISGUISES if not name.startswith(("with the date", "in a sent"))]
)
def test_logs_lose_what_is_refused(disguise: str) -> None:
    chance = random.Random(disguise)
    for _ in range(50):
        text = f"tried {DISGUISES[disguise](card(chance), chance)} again"
        assert sum(map(str.isdigit, redact(text))) <= 1, text


HOSTILE = (
    "4 ",
    "4",
    "4444 ",
    "4x",
    "\uff14 ",
    "44444444444x",
    "444444444444x",
    "4\u200b",
    "4 - ",
    "4\\u0020",
    "4   ",
    "a1",
    "4242424242424242 ",
    "4" * 19 + " ",
    "4" * 20 + " ",
)


@pytest.mark.parametrize("piece", [*HOSTILE, "4444444444444444-4444-4444-4444-444444444444 "])
def test_the_time_grows_with_the_text_and_no_faster(piece: str) -> None:
    def seconds(size: int) -> float:
        text = (piece * size)[:size]
        begun = time.process_time()
        holds_card_number(text)
        return time.process_time() - begun

    small, large = (min(seconds(size) for _ in range(3)) for size in (8192, 8192 * 8))
    assert large < max(24 * small, 0.05)


@pytest.mark.parametrize("piece", HOSTILE)
def test_a_run_of_digits_takes_no_more_memory_than_a_few_times_the_text(piece: str) -> None:
    text = (piece * SIZE)[:SIZE]
    tracemalloc.start()
    try:
        holds_card_number(text)
        assert tracemalloc.get_traced_memory()[1] < 4 * sys.getsizeof(text) + SIZE * 8
    finally:
        tracemalloc.stop()


def test_what_characters_count_as_is_not_kept_of_all_of_unicode() -> None:
    for begin in range(0x100, 0x8000, 0x1000):
        holds_card_number("".join(map(chr, range(begin, begin + 0x1000))))
    assert len(_PLAIN) <= 8192


@pytest.mark.parametrize("gap", ["", " ", "-", "x"])
@pytest.mark.parametrize("before", range(230, 260))
def test_a_card_number_is_found_wherever_it_stands_in_a_long_run(before: int, gap: str) -> None:
    text = "9 " * before + gap + "4242-4242-4242-4242" + gap + " 9" * 300
    assert next(card_numbers(text)) == (2 * before + len(gap), 2 * before + len(gap) + 19)
