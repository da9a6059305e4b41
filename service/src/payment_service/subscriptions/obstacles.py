"""Why a subscription cannot be changed as it is, as far as that is known here. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from payment_service.errors import Conflict, Unprocessable
from payment_service.mirror.subscription import TERMINAL
from payment_service.subscriptions.cancellation import NO_PERIOD

if TYPE_CHECKING:
    from payment_service.errors import PaymentsError
    from payment_service.storage.rows import SubscriptionRow
    from payment_service.subscriptions.change_schemas import ChangeSubscription
    from payment_service.subscriptions.schemas import CancelSubscription

SEVERAL: Final = "The subscription has several items: change it at Stripe, the change is mirrored"
INCOMPLETE: Final = "The subscription is incomplete: its first payment is not made; pay it or create another one"
NO_TRIAL: Final = "No trial runs: there is none to end or to move"


def to_change(row: SubscriptionRow) -> PaymentsError | None:
    """Return why a subscription cannot be changed, as the mirror shows it; None: it can."""
    items = row._mapping["items"]  # noqa: SLF001 - SQLAlchemy's public name for the row as a mapping
    return to_change_at(row.status, one_item=len(items) == 1 and bool(items[0].get("id")))


def to_change_at(status: str, *, one_item: bool) -> PaymentsError | None:
    """Return why a subscription of this status cannot be changed; None: it can."""
    if status in TERMINAL:
        return Conflict("The subscription has ended already", subscription_status=status)
    if status == "incomplete":
        return Conflict(INCOMPLETE, subscription_status=status)
    return None if one_item else Conflict(SEVERAL)


def to_trial(status: str, *, trial_end: object) -> PaymentsError | None:
    """Return why a trial cannot end otherwise; None: it can, or none is to."""
    if trial_end is None or status == "trialing":
        return None
    return Conflict(NO_TRIAL, subscription_status=status)


def to_quantity(quantity: int | None, *, metered: bool) -> PaymentsError | None:
    """Return why a price does not take this quantity; None: it does."""
    if quantity is None or not metered:
        return None
    message = "this price is metered: Stripe counts the reported usage; leave the quantity out"
    return Unprocessable(f"quantity: {message}", errors=[{"field": "quantity", "message": message}])


def to_cancel(row: SubscriptionRow, request: CancelSubscription) -> PaymentsError | None:
    """Return why a subscription cannot be canceled so; None: it can."""
    if row.status in TERMINAL:
        return Conflict("The subscription has ended already", subscription_status=row.status)
    if row.status == "incomplete" and request.at_period_end:
        return Conflict(NO_PERIOD, subscription_status=row.status)
    return None


def to_update(row: SubscriptionRow, request: ChangeSubscription) -> PaymentsError | None:
    """Return why what costs nothing cannot be changed; None: it can.

    docs.stripe.com/billing/subscriptions/overview#subscription-statuses: until its first payment is made, metadata and
    the default payment method are all that can change.
    """
    if row.status in TERMINAL:
        return Conflict("The subscription has ended already", subscription_status=row.status)
    later = (request.description, request.cancel_at_period_end)
    if row.status == "incomplete" and any(given is not msgspec.UNSET for given in later):
        return Conflict(INCOMPLETE, subscription_status=row.status)
    return None
