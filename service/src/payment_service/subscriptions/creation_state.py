"""What the operation `create_subscription` knows between its phases, and what follows from that. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from msgspec import Struct

from payment_service.operations.schemas import Operation
from payment_service.operations.state import Kind, State, convert
from payment_service.payments.declines import Payer
from payment_service.stripe_api.calls import SubscriptionTerms
from payment_service.stripe_api.metadata import OPERATION
from payment_service.subscriptions.schemas import CreateSubscription

if TYPE_CHECKING:
    from payment_service.operations.schemas import Asked

Phase = Literal["started", "customer_ready", "payment_method_attached", "place_ready", "declined", "finished"]


class Holder(Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """The subscription that holds the slot which the operation wants."""

    id: str
    """Our id."""
    stripe_id: str
    ours: bool = False
    """The operation made it itself, and a restored database has lost that."""
    same: bool | None = None
    """Whether it is for the same price and quantity; None where it is `ours`."""


class Declined(Struct, kw_only=True, forbid_unknown_fields=True):
    """Why the payment was declined."""

    detail: str
    stripe_code: str | None = None
    decline_code: str | None = None


class CreatingSubscription(State, kw_only=True):
    """What its phases know."""

    phase: Phase = "started"
    price_id: str
    product_id: str
    customer_id: str
    """Our id."""
    end_user: str | None = None
    """A fingerprint of the end user's address."""
    metered: bool = False
    due_later: bool = False
    """The price owes nothing at first."""
    new_customer: bool = False
    """The operation made the customer: nobody else can have given it a subscription."""
    method_goes_along: bool = False
    """Stripe's customer is created with the payment method that the request names, in one call; until that is done."""
    by_address: bool = False
    """The address alone selected a customer who was there before."""
    stripe_customer_id: str | None = None
    """Known from `customer_ready` on."""
    holder: Holder | None = None
    subscription_id: str | None = None
    """Our id of the row that holds the slot for it."""
    payment_method: str | None = None
    """The customer's; known from `payment_method_attached` on, where the request names one."""
    card: str | None = None
    """Stripe's fingerprint of it."""
    attach: bool = False
    """Stripe denied that the customer has it, whatever its row says: it must be attached."""
    stripe_subscription_id: str | None = None
    """Of the one that was declined."""
    declined: Declined | None = None

    def __post_init__(self) -> None:
        """Check what a phase needs."""
        if self.phase not in {"started", "finished"} and self.stripe_customer_id is None:
            raise ValueError("stripe_customer_id is missing")
        if self.phase == "declined" and (self.declined is None or self.stripe_subscription_id is None):
            raise ValueError("declined or stripe_subscription_id is missing")

    @property
    def customer(self) -> str:
        """Stripe's id of the customer, in every phase that has one."""
        assert self.stripe_customer_id is not None
        return self.stripe_customer_id


Creation = Operation[CreatingSubscription]
KIND: Final = Kind("create_subscription", CreatingSubscription)


def request_of(asked: Asked) -> CreateSubscription:
    """Return the request; one that an earlier version took may hold metadata without a value, of which none is kept.

    Raises:
        OperationUnreadable: a later version took it.
    """
    given = asked.request.get("metadata", {})
    metadata = {name: value for name, value in given.items() if value} if isinstance(given, dict) else given
    return convert({**asked.request, "metadata": metadata}, CreateSubscription)


def quantity_of(request: CreateSubscription, state: CreatingSubscription) -> int | None:
    """Return the ordered quantity; None for a metered price (docs.stripe.com/api/subscriptions/create)."""
    return None if state.metered else request.quantity


def terms_of(operation: Creation) -> SubscriptionTerms:
    """Return what Stripe is asked for."""
    request, state = request_of(operation), operation.state
    return SubscriptionTerms(
        customer=state.customer,
        price=state.price_id,
        quantity=quantity_of(request, state),
        payment_method=state.payment_method,
        trial_days=request.trial_days,
        metadata=request.metadata | {OPERATION: operation.reference},
    )


def payer_of(operation: Creation) -> Payer:
    """Return who tries to pay; only of operations with a payment method."""
    method = request_of(operation).payment_method_id
    assert method is not None
    return Payer(operation.principal, method, operation.state.end_user)
