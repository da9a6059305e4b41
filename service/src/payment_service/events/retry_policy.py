"""When a failed event is tried again, and when it is given up. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from payment_service.errors import PaymentsError, StripeMisconfigured, StripeTimeout, StripeUnavailable
from payment_service.observability.redaction import redact
from payment_service.storage.database import is_busy, is_refused_value
from payment_service.stripe_api.gateway import StripeRejected
from payment_service.stripe_api.objects import StripeUnreadable

if TYPE_CHECKING:
    import random

BASE_SECONDS: Final = 1.0
CAP_SECONDS: Final = 600.0
UNREADABLE: Final = "unreadable"
"""How the reason begins of an event that no attempt can read."""
REFUSED: Final = "refused by Stripe"
"""How the reason begins of an event whose object Stripe never shows: its words follow."""
LONGEST_WORDS: Final = 300
REFUSED_VALUE: Final = "the database cannot hold a value of the object"
OUTAGE_SECONDS: Final = 30.0
"""Until Stripe is asked again after it did not answer, at most."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a failed event."""

    dead: bool
    forgive: bool
    """The attempt does not count: Stripe or the database failed, not the event."""
    wait_seconds: float
    reason: str


def judge(error: Exception, *, attempts: int, maximum: int, chance: random.Random, object_type: str = "") -> Verdict:
    """Decide by the error and the attempts made; full jitter (aws.amazon.com/builders-library: timeouts, retries).

    Stripe calls the id of an object `id`, or as the kind of the object.
    """
    if isinstance(error, StripeUnreadable):
        return Verdict(dead=True, forgive=False, wait_seconds=0, reason=f"{UNREADABLE}: {error.problem}")
    if is_refused_value(error):
        return Verdict(dead=True, forgive=False, wait_seconds=0, reason=f"{UNREADABLE}: {REFUSED_VALUE}")
    if isinstance(error, StripeRejected) and error.refuses("id", object_type):
        words = redact(error.detail)[:LONGEST_WORDS]
        return Verdict(dead=True, forgive=False, wait_seconds=0, reason=f"{REFUSED}: {words}")
    reason = error.code if isinstance(error, PaymentsError) else type(error).__name__
    if isinstance(error, StripeUnavailable | StripeTimeout | StripeMisconfigured):
        cap = max(OUTAGE_SECONDS, error.retry_after or 0)
        return Verdict(dead=False, forgive=True, wait_seconds=chance.uniform(0, cap), reason=reason)
    if is_busy(error):
        return Verdict(dead=False, forgive=True, wait_seconds=chance.uniform(0, OUTAGE_SECONDS), reason="database_busy")
    cap = min(CAP_SECONDS, BASE_SECONDS * 2 ** min(attempts, 30))
    dead = attempts >= maximum
    return Verdict(dead=dead, forgive=False, wait_seconds=chance.uniform(0, cap), reason=reason)
