"""Counts the cards that a customer's browser has Stripe try, as events tell, and ends a setup intent that tries many.

A client secret lets a browser try one card after another: on a setup intent until that is canceled, on the first
payment of a subscription until that expires. The operation that handed the secret out knows for whom, as long as its
idempotency key is kept. A setup intent that was made elsewhere (Checkout, Dashboard) or before that counts for the card
alone, and is not ours to cancel. A failure that is no decline counts for nothing: the customer did not pass the bank's
window (`last_setup_error` of docs.stripe.com/api/setup_intents/object, `last_payment_error` of payment intents).

A payment is looked at for the 23 hours that a subscription may wait for its first one (docs.stripe.com/billing/
subscriptions/overview#subscription-statuses), and only of a customer for whom a secret was handed out in them: a
renewal is nobody's attempt. What a request names itself is charged, and counted, by its operation. Stripe does not say
in the event which subscription a payment is of: where several callers or end users wait for one customer's, its card
alone bears the decline.

Counting comes after the commit, for it may fail; what a crash loses there is one decline. Whatever is at its limit then
is canceled by an operation that is recorded first, and each further decline looks again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import structlog

from payment_service.errors import PaymentsError
from payment_service.payment_methods import setup_cancellation, store
from payment_service.payments.declines import Payer, card_fingerprint
from payment_service.storage.database import is_unavailable
from payment_service.stripe_api.metadata import OPERATION
from payment_service.stripe_api.objects import member

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.clock import Clock
    from payment_service.json_types import JsonObject
    from payment_service.operations.unattended import Unattended
    from payment_service.payment_methods.store import Maker, Order
    from payment_service.payments.declines import Declines

SETUP_FAILED: Final = frozenset({"setup_intent.setup_failed", "v1.setup_intent.setup_failed"})
PAYMENT_FAILED: Final = frozenset({"payment_intent.payment_failed", "v1.payment_intent.payment_failed"})
FAILED: Final = SETUP_FAILED | PAYMENT_FAILED
DECLINED: Final = "card_error"
"""docs.stripe.com/api/errors#errors-type."""
WAITS_SECONDS: Final = 23 * 3600
"""How long a subscription waits for its first payment."""

log = structlog.get_logger("payments")


class Failure(NamedTuple):
    """An event of the types `FAILED` and the intent that it tells of."""

    event_id: str
    event_type: str
    at: int
    """In Stripe's seconds."""
    obj: JsonObject

    @property
    def is_of_setup(self) -> bool:
        """Whether a card was to be saved, and not charged."""
        return self.event_type in SETUP_FAILED

    @property
    def error(self) -> JsonObject:
        """Why it failed; empty where Stripe does not say."""
        return member(self.obj, "last_setup_error" if self.is_of_setup else "last_payment_error")

    @property
    def method(self) -> JsonObject:
        """The payment method that failed; empty where Stripe does not say."""
        return member(self.error, "payment_method")

    @property
    def operation(self) -> str | None:
        """The operation that made the intent, as it is named at Stripe."""
        return _text(member(self.obj, "metadata").get(OPERATION))

    @property
    def customer(self) -> str | None:
        """Stripe's id of whose it is."""
        return _text(self.obj.get("customer")) or _text(member(self.obj, "customer").get("id"))


class BrowserDecline(NamedTuple):
    """A card that was declined, and who bears it."""

    failure: Failure
    payer: Payer
    setup: tuple[str, Maker] | None = None
    """The setup intent that tried it and who asked for that, where that was here."""


class BrowserDeclines:
    """Finds them among failures and counts them.

    Args:
        declines: the limits that they count for.
        unattended: begins cancellations.
        clock: the time.
        livemode: of the account.
    """

    def __init__(self, declines: Declines, unattended: Unattended, *, clock: Clock, livemode: bool) -> None:
        self._declines = declines
        self._unattended = unattended
        self._clock = clock
        self._livemode = livemode

    async def find(self, connection: AsyncConnection, failures: Sequence[Failure]) -> list[BrowserDecline]:
        """Return those that tell of a card that a browser tried; asks the database only when a card was declined."""
        declined = [failure for failure in failures if is_decline(failure)]
        setups = [failure for failure in declined if failure.is_of_setup]
        payments = [failure for failure in declined if not failure.is_of_setup]
        found: list[BrowserDecline] = []
        if setups:
            makers = await store.find_makers(
                connection,
                marks={mark for failure in setups if (mark := failure.operation)},
                stripe_customers={customer for failure in setups if (customer := failure.customer)},
            )
            found += [of_setup(failure, makers.get(failure.operation)) for failure in setups]
        if payments:
            customers = {customer for failure in payments if (customer := failure.customer)}
            orders = await store.find_orders(connection, customers, since=min(f.at for f in payments) - WAITS_SECONDS)
            found += filter(None, (of_payment(failure, orders) for failure in payments))
        return found

    async def count(self, found: Sequence[BrowserDecline], *, held: Collection[str]) -> None:
        """Count them, those of events that another worker settles left out, and cancel setup intents at the limit."""
        now = self._clock.now().timestamp()
        for decline in found:
            failure = decline.failure
            if failure.event_id not in held:
                continue
            setup_intent = decline.setup[0] if decline.setup else None
            await self._declines.count_once(
                failure.event_id,
                decline.payer,
                card_fingerprint(failure.method),
                setup_intent=setup_intent,
                age_seconds=now - failure.at,
            )
            if decline.setup is not None and await self._declines.is_used_up(decline.setup[0]):
                await self._cancel(*decline.setup, event_id=failure.event_id)

    async def _cancel(self, setup_intent: str, maker: Maker, *, event_id: str) -> None:
        """Have a setup intent canceled; when that cannot be recorded now, its next decline tries again."""
        try:
            await setup_cancellation.begin(
                self._unattended, setup_intent, maker=maker, event_id=event_id, livemode=self._livemode
            )
        except Exception as error:
            if not (isinstance(error, PaymentsError) or is_unavailable(error)):
                raise
            log.warning("setup_intent_not_canceled", setup_intent=setup_intent, error=type(error).__name__)


def is_decline(failure: Failure) -> bool:
    """Return whether an event tells of a declined card. Pure."""
    return failure.event_type in FAILED and failure.error.get("type") == DECLINED


def of_setup(failure: Failure, maker: Maker | None) -> BrowserDecline:
    """Return who bears a card that a setup intent tried. Pure."""
    method, setup_intent = _text(failure.method.get("id")), _text(failure.obj.get("id"))
    if maker is None or setup_intent is None:
        return BrowserDecline(failure, Payer(None, method, None))
    return BrowserDecline(failure, Payer(maker.principal, method, maker.end_user), (setup_intent, maker))


def of_payment(failure: Failure, orders: Mapping[str, Sequence[Order]]) -> BrowserDecline | None:
    """Return who bears a card that a first payment tried; None: no browser did, as far as is known here. Pure.

    Args:
        failure: of a payment intent.
        orders: the subscriptions that were asked for here, by Stripe's id of the customer.
    """
    of_customer = orders.get(failure.customer or "", ())
    method = _text(failure.method.get("id"))
    if any(order.payment_method == method and not order.secret for order in of_customer if method):
        return None  # its operation counts it
    waits = [order for order in of_customer if order.secret and order.was_paid_at(failure.at, within=WAITS_SECONDS)]
    waiting = {order.maker for order in waits}
    if not waiting:
        return None
    maker = waiting.pop() if len(waiting) == 1 else None
    return BrowserDecline(failure, Payer(maker and maker.principal, method, maker and maker.end_user))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
