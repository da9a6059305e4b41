"""Which events tell of a declined card, and what they count for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from payment_service.config.caller_settings import DeclineSettings
from payment_service.config.secrets import Secret
from payment_service.errors import TooManyDeclines
from payment_service.payment_methods.browser_declines import WAITS_SECONDS, Failure, is_decline, of_payment
from payment_service.payment_methods.store import Maker, Order
from payment_service.payments.declines import HOUR, Declines, Payer
from payment_service.ratelimit.limiter import WINDOW_SECONDS, LocalLimiter

if TYPE_CHECKING:
    from payment_service.json_types import JsonObject

LIMITS = DeclineSettings(card_per_hour=1, end_user_per_hour=1, setup_intent_per_hour=1, key_per_minute=1, key_percent=1)
FAILED = "setup_intent.setup_failed"
CARD_ERROR: JsonObject = {"type": "card_error", "code": "card_declined"}


@pytest.fixture
def declines() -> Declines:
    return Declines(LocalLimiter(), LIMITS, secret_key=Secret("key-of-declines-" * 2))


async def refuses(declines: Declines, payer: Payer) -> bool:
    try:
        await declines.admit(payer)
    except TooManyDeclines:
        return True
    return False


@pytest.mark.parametrize(
    ("event_type", "error", "counts"),
    [
        (FAILED, CARD_ERROR, True),
        (f"v1.{FAILED}", CARD_ERROR, True),
        ("setup_intent.succeeded", CARD_ERROR, False),
        ("reconcile.setup_intent", CARD_ERROR, False),
        (FAILED, {"type": "invalid_request_error", "code": "setup_intent_authentication_failure"}, False),
        (FAILED, None, False),
        (FAILED, {}, False),
        (FAILED, "card_error", False),
        (FAILED, {"type": ["card_error"]}, False),
    ],
)
def test_a_failure_counts_where_stripe_says_that_the_card_was_declined(
    event_type: str, error: Any, *, counts: bool
) -> None:
    assert is_decline(Failure("evt_1", event_type, 0, {"last_setup_error": error})) is counts


@pytest.mark.parametrize(
    ("event_type", "error", "counts"),
    [
        ("payment_intent.payment_failed", CARD_ERROR, True),
        ("v1.payment_intent.payment_failed", CARD_ERROR, True),
        ("payment_intent.payment_failed", {"type": "invalid_request_error"}, False),
        ("payment_intent.succeeded", CARD_ERROR, False),
        (FAILED, CARD_ERROR, False),
    ],
)
def test_a_payment_counts_by_its_own_error(event_type: str, error: Any, *, counts: bool) -> None:
    assert is_decline(Failure("evt_1", event_type, 0, {"last_payment_error": error})) is counts


ADA, EVE = Maker("shop", "ada"), Maker("support", "eve")
AT = 1_800_000_000
WAITING = Order(ADA, secret=True, payment_method=None, at=AT)
PAID_HERE = Order(EVE, secret=False, payment_method="pm_1", at=AT)


@pytest.mark.parametrize(
    ("orders", "after", "payer"),
    [
        ([WAITING], 60, Payer("shop", "pm_1", "ada")),
        ([WAITING, WAITING._replace(at=AT + 5)], 60, Payer("shop", "pm_1", "ada")),
        ([WAITING, WAITING._replace(maker=EVE)], 60, Payer(None, "pm_1", None)),
        ([WAITING, PAID_HERE._replace(payment_method="pm_2")], 60, Payer("shop", "pm_1", "ada")),
        ([WAITING._replace(payment_method="pm_1")], 60, Payer("shop", "pm_1", "ada")),
        ([PAID_HERE], 60, None),
        ([WAITING, PAID_HERE], 60, None),
        ([WAITING], WAITS_SECONDS + 3600, None),
        ([WAITING], -3600, None),
        ([], 60, None),
    ],
)
def test_a_payment_counts_for_whoever_got_the_secret_that_a_browser_used(
    orders: list[Order], after: int, payer: Payer | None
) -> None:
    error: JsonObject = {"type": "card_error", "payment_method": {"id": "pm_1", "type": "card"}}
    failed: JsonObject = {"customer": "cus_1", "last_payment_error": error}
    found = of_payment(Failure("evt_1", "payment_intent.payment_failed", AT + after, failed), {"cus_1": orders})
    assert (found and found.payer) == payer


async def test_a_setup_intent_is_used_up_by_its_own_declines_alone(declines: Declines) -> None:
    nobody = Payer(None, None, None)
    await declines.count_once("evt_1", nobody, None, age_seconds=0, setup_intent="seti_1")
    assert await declines.is_used_up("seti_1")
    assert not await declines.is_used_up("seti_2")
    await declines.count_once("evt_2", nobody, None, age_seconds=HOUR, setup_intent="seti_2")
    assert not await declines.is_used_up("seti_2")


@pytest.mark.parametrize(
    ("age", "key", "end_user", "card"),
    [
        (0, True, True, True),
        (WINDOW_SECONDS - 1, True, True, True),
        (WINDOW_SECONDS, False, True, True),
        (HOUR - 1, False, True, True),
        (HOUR, False, False, False),
        (-5, True, True, True),
    ],
)
async def test_what_was_declined_before_the_time_that_a_limit_counts_is_not_counted(
    declines: Declines, age: float, *, key: bool, end_user: bool, card: bool
) -> None:
    payer = Payer("shop", "pm_1", "someone")
    await declines.count_once("evt_1", payer, None, age_seconds=age)
    assert await refuses(declines, Payer("shop", None, None)) is key
    assert await refuses(declines, Payer("other", None, "someone")) is end_user
    assert await refuses(declines, Payer("other", "pm_1", None)) is card


async def test_an_event_counts_once_and_another_one_again() -> None:
    declines = Declines(
        LocalLimiter(),
        DeclineSettings(
            card_per_hour=2, end_user_per_hour=0, setup_intent_per_hour=0, key_per_minute=0, key_percent=50
        ),
        secret_key=Secret("key-of-declines-" * 2),
    )
    payer = Payer(None, "pm_1", None)
    for _ in range(3):
        await declines.count_once("evt_1", payer, "finger", age_seconds=0)
    assert not await refuses(declines, Payer("shop", "pm_1", None))
    await declines.count_once("evt_2", payer, "finger", age_seconds=0)
    assert await refuses(declines, Payer("shop", "pm_1", None))
    with pytest.raises(TooManyDeclines):
        await declines.admit_card(Payer("shop", "pm_2", None), "finger")


async def test_what_was_made_elsewhere_counts_for_its_card_alone(declines: Declines) -> None:
    await declines.count_once("evt_1", Payer(None, "pm_1", None), None, age_seconds=0)
    assert await refuses(declines, Payer("shop", "pm_1", None))
    assert not await refuses(declines, Payer("shop", None, "someone"))
