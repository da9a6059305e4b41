"""What follows from an answer, for the delivery and for the endpoint."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from payment_service.deliveries.schedule import ATTEMPTS
from payment_service.deliveries.sender import Answer
from payment_service.endpoints.outcomes import FAILING, LONGEST_PAUSE_SECONDS, TRIP, Health, outcome, removed

if TYPE_CHECKING:
    from payment_service.deliveries.sender import Outcome

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


def answer(status: int | None = 500, *, told: Outcome = "retry", after: float | None = None) -> Answer:
    return Answer(told, "ok" if told == "delivered" else "status", status, after, 0.25)


OK = answer(200, told="delivered")
GONE = answer(410, told="gone")


def delivery(attempts: int = 0) -> Any:
    return SimpleNamespace(attempts=attempts, due_at=NOW, last_status=None, last_ms=None, attempted_at=None)


def after(*answers: Answer, health: Health | None = None, now: datetime = NOW) -> Health:
    health = health or Health()
    for one in answers:
        health = health.after(one, now=now, random=Random(1))
    return health


def settled(one: Answer, *, attempts: int = 0, once: bool = False) -> dict[str, Any]:
    return outcome(delivery(attempts), one, began=NOW, now=NOW, random=Random(1), once=once)


def test_what_is_taken_is_delivered() -> None:
    found = settled(OK)
    assert (found["state"], found["attempts"], found["last_status"], found["last_error"]) == ("delivered", 1, 200, None)
    assert (found["settled_at"], found["last_ms"]) == (NOW, 250)


def test_what_fails_is_tried_again_and_given_up_after_the_last_attempt() -> None:
    first, last = settled(answer()), settled(answer(), attempts=ATTEMPTS - 1)
    assert (first["state"], first["settled_at"]) == ("pending", None)
    assert NOW + timedelta(seconds=4) <= first["due_at"] <= NOW + timedelta(seconds=6)
    assert (last["state"], last["settled_at"]) == ("failed", NOW)


def test_a_test_is_tried_once() -> None:
    assert settled(answer(), once=True)["state"] == "failed"
    assert settled(GONE, once=True)["state"] == "failed"


def test_what_met_a_receiver_that_is_gone_waits_for_it_to_be_enabled() -> None:
    assert settled(GONE, attempts=ATTEMPTS - 1)["state"] == "pending"


def test_what_is_kept_no_more_has_failed() -> None:
    assert (removed(delivery(), now=NOW)["state"], removed(delivery(), now=NOW)["last_error"]) == (
        "failed",
        "event_removed",
    )


def test_a_success_forgets_failures() -> None:
    assert after(answer(), answer(), OK) == Health()


def test_failures_in_a_row_pause_an_endpoint_for_longer_and_longer() -> None:
    assert after(*[answer()] * (TRIP - 1)).resume_at is None
    pauses = [(after(*[answer()] * count).resume_at or NOW) - NOW for count in (TRIP, TRIP + 2, TRIP + 50)]
    assert pauses == sorted(pauses)
    assert timedelta(seconds=4) <= pauses[0] <= timedelta(seconds=6)
    assert pauses[-1] <= timedelta(seconds=LONGEST_PAUSE_SECONDS * 1.2)


@pytest.mark.parametrize("status", [429, 503])
def test_who_is_busy_is_left_alone_as_long_as_asked(status: int) -> None:
    assert after(answer(status, after=120)).resume_at == NOW + timedelta(seconds=120)
    assert after(answer(status, after=120), answer()).resume_at == NOW + timedelta(seconds=120)


def test_what_another_status_asks_for_is_of_that_delivery_alone() -> None:
    assert after(answer(500, after=120)).resume_at is None
    assert settled(answer(500, after=120))["due_at"] >= NOW + timedelta(seconds=120)


def test_410_disables() -> None:
    assert after(GONE).disabled == "gone"
    assert after(GONE, OK).disabled == "gone"


def test_five_days_without_a_success_disable() -> None:
    failing = after(answer())
    assert after(answer(), health=failing, now=NOW + FAILING - timedelta(seconds=1)).disabled is None
    assert after(answer(), health=failing, now=NOW + FAILING).disabled == "failing"
    assert after(OK, answer(), health=failing, now=NOW + FAILING).disabled is None


def test_what_is_sent_again_fails_for_itself_unless_the_endpoint_is_left_alone_anyway() -> None:
    working, failing = Health(1, NOW), Health(TRIP, NOW)
    assert working.after(answer(), now=NOW, random=Random(1), again=True) == working
    assert working.after(OK, now=NOW, random=Random(1), again=True) == working
    assert failing.after(answer(), now=NOW, random=Random(1), again=True).failures == TRIP + 1
    assert failing.after(OK, now=NOW, random=Random(1), again=True) == Health()
    busy = working.after(answer(429, after=60), now=NOW, random=Random(1), again=True)
    assert busy == working._replace(resume_at=NOW + timedelta(seconds=60))
    assert working.after(GONE, now=NOW, random=Random(1), again=True).disabled == "gone"
