"""Counts the cards that setup intents fail with, as events tell: the customer's browser has Stripe try them.

The operation that made the setup intent knows for whom, as long as its idempotency key is kept. What was made elsewhere
(Checkout, Dashboard) or before that counts for the card alone. A failure that is no decline counts for nothing: the
customer did not pass the bank's window (`last_setup_error` of docs.stripe.com/api/setup_intents/object).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from payment_service.payment_methods import store
from payment_service.payments.declines import Payer, card_fingerprint
from payment_service.stripe_api.metadata import OPERATION
from payment_service.stripe_api.objects import member

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.clock import Clock
    from payment_service.json_types import JsonObject
    from payment_service.payments.declines import Declines

FAILED: Final = frozenset({"setup_intent.setup_failed", "v1.setup_intent.setup_failed"})
DECLINED: Final = "card_error"
"""docs.stripe.com/api/errors#errors-type."""


class Failure(NamedTuple):
    """An event and the setup intent that it tells of."""

    event_id: str
    event_type: str
    at: int
    """In Stripe's seconds."""
    obj: JsonObject


class SetupDecline(NamedTuple):
    """A card that was declined, and who bears it."""

    event_id: str
    at: int
    """In Stripe's seconds."""
    payer: Payer
    fingerprint: str | None


class SetupDeclines:
    """Finds them among events and counts them.

    Args:
        declines: the limits that they count for.
        clock: the time.
    """

    def __init__(self, declines: Declines, *, clock: Clock) -> None:
        self._declines = declines
        self._clock = clock

    async def find(self, connection: AsyncConnection, failures: Sequence[Failure]) -> list[SetupDecline]:
        """Return those among events that tell of a declined card; asks the database only when there are some."""
        found = [failure for failure in failures if is_decline(failure)]
        if not found:
            return []
        makers = await store.find_makers(
            connection,
            marks={mark for failure in found if (mark := _operation(failure.obj))},
            stripe_customers={customer for failure in found if (customer := _customer(failure.obj))},
        )
        return [_declined(failure, makers.get(_operation(failure.obj))) for failure in found]

    async def count(self, found: Sequence[SetupDecline], *, held: Collection[str]) -> None:
        """Count them, those of events that another worker settles left out; after the commit, for it may fail."""
        now = self._clock.now().timestamp()
        for decline in found:
            if decline.event_id in held:
                await self._declines.count_once(
                    decline.event_id, decline.payer, decline.fingerprint, age_seconds=now - decline.at
                )


def is_decline(failure: Failure) -> bool:
    """Return whether an event tells of a declined card. Pure."""
    return failure.event_type in FAILED and member(failure.obj, "last_setup_error").get("type") == DECLINED


def _declined(failure: Failure, maker: store.Maker | None) -> SetupDecline:
    method = member(member(failure.obj, "last_setup_error"), "payment_method")
    payer = Payer(maker and maker.principal, _text(method.get("id")), maker and maker.end_user)
    return SetupDecline(failure.event_id, failure.at, payer, card_fingerprint(method))


def _operation(obj: JsonObject) -> str | None:
    return _text(member(obj, "metadata").get(OPERATION))


def _customer(obj: JsonObject) -> str | None:
    return _text(obj.get("customer")) or _text(member(obj, "customer").get("id"))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
