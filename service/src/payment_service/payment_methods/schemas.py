"""What the API takes and says of payment methods and setup intents."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta

from payment_service.customers.schemas import Metadata, Text
from payment_service.http.id_types import CustomerId

Usage = Literal["off_session", "on_session"]
SetupIntentStatus = Literal[
    "requires_payment_method", "requires_confirmation", "requires_action", "processing", "canceled", "succeeded"
]
"""docs.stripe.com/api/setup_intents/object#setup_intent_object-status."""
StatusAtStripe = Annotated[str, Meta(extra_json_schema={"enum": list(get_args(SetupIntentStatus))})]
"""What Stripe says is passed on as it is; the document names what it says today."""


class CreateSetupIntent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Whose payment method is to be saved."""

    customer_id: CustomerId | None = None
    """Our id (`lpc_…`) or Stripe's (`cus_…`); this or `customer_reference`."""
    customer_reference: Text | None = None
    """Your own id of the customer; this or `customer_id`."""
    usage: Usage = "off_session"
    """`off_session`: it will pay while the customer is away, as subscriptions do; `on_session`: only with them."""
    metadata: Metadata = {}
    """Yours; at most 40 keys. Kept at Stripe, on the setup intent."""

    def __post_init__(self) -> None:
        """Check what spans fields."""
        if (self.customer_id is None) == (self.customer_reference is None):
            raise ValueError("customer_id: give exactly one of customer_id and customer_reference")


class SetupIntentView(msgspec.Struct, kw_only=True):
    """A setup intent: the saving of one payment method."""

    id: str
    """Stripe's id."""
    customer_id: str | None
    """Our id of the customer; null without one."""
    stripe_customer_id: str | None
    """Stripe's id of the customer; null without one."""
    status: StatusAtStripe
    """As at Stripe (docs.stripe.com/payments/paymentintents/lifecycle); `succeeded`: it is saved."""
    usage: str | None
    """For which payments it is saved; null where Stripe does not say."""
    payment_method_id: str | None
    """Stripe's id of what is saved; null until one is chosen."""
    last_error_code: str | None
    """Why the last attempt failed, as the bank or Stripe says; null: none failed."""
    cancellation_reason: str | None
    """Why it was canceled; null: it was not, or without a reason."""
    metadata: dict[str, str]
    """Yours, as at Stripe."""
    livemode: bool
    """Whether it is of Stripe's live mode."""
    as_of: datetime
    """When Stripe last told of it."""


class CreatedSetupIntent(SetupIntentView, kw_only=True):
    """A setup intent, and what confirms it."""

    client_secret: str
    """For Stripe.js, with which the customer saves a payment method: give it to nobody else, log it nowhere."""


class CardView(msgspec.Struct, kw_only=True):
    """What Stripe shows of a card; never its number."""

    brand: str | None
    """As `visa`; null where Stripe does not say."""
    last4: str | None
    """The last four digits; null where Stripe does not say."""
    exp_month: int | None
    """Month in which it expires; null where Stripe does not say."""
    exp_year: int | None
    """Year in which it expires, of four digits; null where Stripe does not say."""
    funding: str | None
    """`credit`, `debit`, `prepaid` or `unknown`; null where Stripe does not say."""
    country: str | None
    """Of the bank, as ISO 3166-1 writes it in two letters; null where Stripe does not say."""
    fingerprint: str | None
    """The same for the same number, in one Stripe account; null where Stripe does not say."""
    wallet: str | None
    """The wallet that holds it, as `apple_pay`; null without one."""


class AddressView(msgspec.Struct, kw_only=True):
    """An address, as at Stripe."""

    line1: str | None
    """Street; null without one."""
    line2: str | None
    """Flat, floor; null without one."""
    postal_code: str | None
    """Postal code; null without one."""
    city: str | None
    """City; null without one."""
    state: str | None
    """State, county or province; null without one."""
    country: str | None
    """As ISO 3166-1 writes it in two letters; null without one."""


class BillingDetailsView(msgspec.Struct, kw_only=True):
    """Who pays, as the bank has it."""

    name: str | None
    """Name; null without one."""
    email: str | None
    """Address for mail; null without one."""
    phone: str | None
    """Number to call; null without one."""
    address: AddressView | None
    """Where; null without one."""


class PaymentMethodView(msgspec.Struct, kw_only=True):
    """What a customer has saved to pay with."""

    id: str
    """Stripe's id."""
    customer_id: str | None
    """Our id of the customer; null: it is detached."""
    stripe_customer_id: str | None
    """Stripe's id of the customer; null: it is detached."""
    type: str
    """As at Stripe: `card`, `sepa_debit`, `us_bank_account` and others."""
    is_default: bool
    """Whether the customer's invoices are paid with it where a subscription names no other."""
    detached: bool
    """Whether it can never be used again; then nothing else is known of it any more."""
    card: CardView | None
    """Of the type `card`; else null."""
    billing_details: BillingDetailsView | None
    """Who pays; null once it is detached."""
    allow_redisplay: str | None
    """Whether the customer may be shown it again in a checkout: `always`, `limited` or `unspecified`; null where Stripe
    does not say."""
    metadata: dict[str, str]
    """Yours, as at Stripe."""
    livemode: bool
    """Whether it is of Stripe's live mode."""
    created_at: datetime
    """When it was created."""
    as_of: datetime
    """When Stripe last told of it."""


class PaymentMethodList(msgspec.Struct, kw_only=True):
    """A page of payment methods, newest first."""

    data: list[PaymentMethodView]
    """The page."""
    has_more: bool
    """Whether there are more in this direction."""


class DetachPaymentMethod(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Nothing is to be said beside the path."""


class SetDefaultPaymentMethod(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """Nothing is to be said beside the path."""
