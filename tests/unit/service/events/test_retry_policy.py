"""When a failed event is tried again, and when it is given up."""

from __future__ import annotations

from random import Random

import pytest
from sqlalchemy.exc import DBAPIError

from payment_service.errors import StripeMisconfigured, StripeTimeout, StripeUnavailable
from payment_service.events.retry_policy import CAP_SECONDS, judge
from payment_service.stripe_api.gateway import StripeRejected


def waits(attempts: int) -> list[float]:
    chance = Random(1)
    return [judge(KeyError(), attempts=attempts, maximum=99, chance=chance).wait_seconds for _ in range(500)]


@pytest.mark.parametrize(("attempts", "cap"), [(1, 2), (5, 32), (9, 512), (10, CAP_SECONDS), (60, CAP_SECONDS)])
def test_the_wait_is_anything_up_to_a_cap_that_doubles(attempts: int, cap: float) -> None:
    found = waits(attempts)
    assert 0 <= min(found) < cap * 0.1
    assert cap * 0.9 < max(found) <= cap


def test_after_the_last_attempt_the_event_is_dead() -> None:
    assert not judge(KeyError(), attempts=11, maximum=12, chance=Random(1)).dead
    last = judge(KeyError(), attempts=12, maximum=12, chance=Random(1))
    assert (last.dead, last.reason) == (True, "KeyError")


@pytest.mark.parametrize("code", ["22003", "22P05", "54000"])
def test_what_no_database_holds_is_dead_at_once(code: str) -> None:
    found = judge(refused(code), attempts=1, maximum=12, chance=Random(1))
    assert (found.dead, found.reason) == (True, "unreadable: the database cannot hold a value of the object")


@pytest.mark.parametrize("code", ["23505", "57014", "53100"])
def test_what_another_attempt_may_do_is_tried_again(code: str) -> None:
    assert not judge(refused(code), attempts=1, maximum=12, chance=Random(1)).dead


def refused(code: str) -> DBAPIError:
    """Return an error of the database's with a SQLSTATE."""
    original = Exception()
    original.sqlstate = code  # type: ignore[attr-defined] # as asyncpg's errors have it
    return DBAPIError("INSERT", {}, original)


@pytest.mark.parametrize("error", [StripeUnavailable(retry_after=5), StripeTimeout(), StripeMisconfigured()])
def test_a_fault_of_stripes_uses_up_no_attempt(error: Exception) -> None:
    found = judge(error, attempts=99, maximum=12, chance=Random(1))
    assert (found.dead, found.forgive) == (False, True)


def rejected(*, status: int = 400, param: str | None = "id", code: str | None = None) -> StripeRejected:
    return StripeRejected(
        "Invalid id: sk_live_51AbCdEfGhIjKlMnOpQrStUv", param=param, stripe_code=code, http_status=status
    )


@pytest.mark.parametrize("param", ["id", "invoice"])
def test_an_id_that_stripe_refuses_in_itself_is_dead_at_once_in_stripes_words(param: str) -> None:
    found = judge(rejected(param=param), attempts=1, maximum=12, chance=Random(1), object_type="invoice")
    assert (found.dead, found.forgive) == (True, False)
    assert found.reason.startswith("refused by Stripe: Invalid id: ")
    assert "AbCdEf" not in found.reason


@pytest.mark.parametrize(
    "error",
    [
        rejected(param=None),
        rejected(param="expand[0]"),
        rejected(param="limit"),
        rejected(param="customer"),
        rejected(code="livemode_mismatch"),
        rejected(code="resource_missing"),
        rejected(status=404),
    ],
)
def test_what_is_no_proof_against_the_event_is_tried_again(error: StripeRejected) -> None:
    assert not judge(error, attempts=1, maximum=12, chance=Random(1), object_type="invoice").dead
