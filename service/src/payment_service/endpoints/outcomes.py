"""What follows from an answer: for the delivery, and for the endpoint. Pure."""

from __future__ import annotations

from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, NamedTuple

from payment_service.deliveries.schedule import next_attempt

if TYPE_CHECKING:
    from datetime import datetime
    from random import Random

    from payment_service.deliveries.sender import Answer
    from payment_service.endpoints.rows import DeliveryRow, EndpointRow
    from payment_service.endpoints.schemas import DisabledReason

TRIP: Final = 5
"""So many failures in a row, and the endpoint is left alone for a while; then one attempt tells how it is."""
PAUSE_SECONDS: Final = 5.0
LONGEST_PAUSE_SECONDS: Final = 300.0
LONGEST_DOUBLING: Final = 10
FAILING: Final = timedelta(days=5)
"""An endpoint to which nothing was delivered for so long, while something waited for it, is disabled."""
REMOVED: Final = "event_removed"
"""Why a delivery failed whose event is past its retention."""
_BUSY: Final = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
"""Answers whose `Retry-After` is about the whole endpoint (RFC 9110, section 10.2.3; RFC 6585, section 4)."""


class Tried(NamedTuple):
    """An attempt that has ended."""

    delivery: DeliveryRow
    answer: Answer | None
    """None: its event is kept no more."""
    began: datetime
    ours: bool = False
    """Whether a fault of this service kept it from being made."""


class Health(NamedTuple):
    """How an endpoint does, as its row says it."""

    failures: int = 0
    """In a row."""
    failing_since: datetime | None = None
    resume_at: datetime | None = None
    """Nothing is sent before; None: it may be."""
    disabled: DisabledReason | None = None

    @classmethod
    def of(cls, row: EndpointRow) -> Health:
        """Return what a row says of an endpoint that is held, so nothing keeps it from being sent to."""
        return cls(row.failures, row.failing_since)

    def unsigned(self, *, until: datetime) -> Health:
        """Return how it does while nothing can be signed for it, which is no fault of the endpoint's."""
        return self._replace(failing_since=None, resume_at=until)

    def after(self, answer: Answer, *, now: datetime, random: Random, again: bool = False) -> Health:
        """Return how it does after an answer.

        What is sent again (`again`) may be what an endpoint takes no more: it fails for itself, and what is new goes
        on. Unless the endpoint is left alone anyway: then any attempt tells how it is.
        """
        if self.disabled == "gone" or answer.outcome == "gone":
            return self._replace(disabled="gone")
        if again and self.failures < TRIP:
            return self._replace(resume_at=self._resume_at(answer, failures=0, now=now, random=random))
        if answer.outcome == "delivered":
            return Health(disabled=self.disabled)
        since = self.failing_since or now
        disabled: DisabledReason | None = "failing" if now - since >= FAILING else None
        failures = self.failures + 1
        resume_at = self._resume_at(answer, failures=failures, now=now, random=random)
        return Health(failures, since, resume_at, disabled)

    def _resume_at(self, answer: Answer, *, failures: int, now: datetime, random: Random) -> datetime | None:
        seconds = 0.0
        if failures >= TRIP:
            doubled = PAUSE_SECONDS * 2 ** min(failures - TRIP, LONGEST_DOUBLING)
            seconds = min(doubled, LONGEST_PAUSE_SECONDS) * random.uniform(0.8, 1.2)
        if answer.status in _BUSY and answer.retry_after is not None:
            seconds = max(seconds, answer.retry_after)
        ends = [moment for moment in (self.resume_at, now + timedelta(seconds=seconds) if seconds else None) if moment]
        return max(ends, default=None)


def result(tried: Tried, *, now: datetime, random: Random) -> dict[str, object]:
    """Return what a delivery's row says after an attempt; a test is given up after one."""
    delivery, answer, began, _ = tried
    if answer is None:
        return removed(delivery, now=now)
    return outcome(delivery, answer, began=began, now=now, random=random, once=delivery.sequence is None)


def removed(delivery: DeliveryRow, *, now: datetime) -> dict[str, object]:
    """Return what a delivery's row says when its event is kept no more."""
    return {
        "state": "failed",
        "attempts": delivery.attempts,
        "due_at": delivery.due_at,
        "last_status": delivery.last_status,
        "last_error": REMOVED,
        "last_ms": delivery.last_ms,
        "attempted_at": delivery.attempted_at,
        "settled_at": now,
    }


def outcome(
    delivery: DeliveryRow, answer: Answer, *, began: datetime, now: datetime, random: Random, once: bool
) -> dict[str, object]:
    """Return what a delivery's row says after an attempt.

    Args:
        delivery: as it was before.
        answer: what came of it.
        began: when the attempt began.
        now: when it had ended.
        random: where jitter comes from.
        once: it is given up after one attempt, as a test is.
    """
    made, delivered = delivery.attempts + 1, answer.outcome == "delivered"
    again = None
    if not delivered and not once:
        again = next_attempt(made, now=now, retry_after=answer.retry_after, random=random)
    if answer.outcome == "gone" and not once:
        again = now  # when somebody enables the endpoint
    state = "delivered" if delivered else "pending" if again else "failed"
    return {
        "state": state,
        "attempts": made,
        "due_at": again or delivery.due_at,
        "last_status": answer.status,
        "last_error": None if delivered else answer.reason,
        "last_ms": round(answer.seconds * 1000),
        "attempted_at": began,
        "settled_at": None if again else now,
    }
