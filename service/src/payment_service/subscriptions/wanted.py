"""What a change names, and the terms that it becomes once Stripe has said what the subscription is now.

Nothing that costs money is taken from the mirror, which may be behind: what a change leaves out is left out or, where
Stripe has to be told of it, is what Stripe shows in the first phase of the operation, and in a preview. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from msgspec import Struct

from payment_service.stripe_api.change_calls import ChangeTerms
from payment_service.stripe_api.objects import Id, Integer, Name, Seconds, id_of, read
from payment_service.subscriptions import obstacles

if TYPE_CHECKING:
    from payment_service.errors import PaymentsError
    from payment_service.json_types import JsonObject


class Wanted(NamedTuple):
    """A change as it is asked for; None: not named, it stays."""

    subscription: str
    """Stripe's id."""
    price: str | None
    metered: bool
    """Whether the named price takes no quantity."""
    quantity: int | None
    trial_end: int | Literal["now"] | None
    behavior: str
    at: int
    """The second for which it is worked out."""


class StandingItem(Struct):
    """docs.stripe.com/api/subscription_items/object."""

    id: Name
    price: Id
    current_period_end: Seconds
    quantity: Integer | None = None
    """None of a metered price."""


class StandingItems(Struct):
    """The items; ten of them at most are shown, of 20 that may be."""

    data: list[StandingItem]


class Standing(Struct):
    """A subscription as it stands (docs.stripe.com/api/subscriptions/object)."""

    status: str
    items: StandingItems


def terms_at(obj: JsonObject, wanted: Wanted) -> ChangeTerms | PaymentsError:
    """Return the terms of a change of a subscription as Stripe shows it now, or why it cannot be changed so.

    Raises:
        StripeUnreadable: a member is not as Stripe's reference says.
    """
    shown = read(obj, Standing)
    items = shown.items.data
    error = obstacles.to_change_at(shown.status, one_item=len(items) == 1)
    error = error or obstacles.to_trial(shown.status, trial_end=wanted.trial_end)
    if error is not None:
        return error
    (item,) = items
    metered = wanted.metered if wanted.price is not None else item.quantity is None
    error = obstacles.to_quantity(wanted.quantity, metered=metered)
    if error is not None:
        return error
    kept = item.quantity if wanted.quantity is None else wanted.quantity
    return ChangeTerms(
        subscription=wanted.subscription,
        item=item.id,
        price=wanted.price or id_of(item.price) or "",
        quantity=None if metered else (1 if kept is None else kept),
        behavior=wanted.behavior,
        at=wanted.at,
        period_end=wanted.trial_end if isinstance(wanted.trial_end, int) else item.current_period_end,
        orders=wanted.price is not None or wanted.quantity is not None,
        trial_end=wanted.trial_end,
        keeps_price=wanted.price is None,
    )
