"""What the API takes and says of changes of subscriptions."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from payment_service.customers.schemas import Text
from payment_service.http.id_types import (
    LINE,
    METADATA_KEY,
    MOMENT_OR_NOW,
    PREVIEW,
    CustomerId,
    PaymentMethodId,
    PriceId,
)
from payment_service.subscriptions.schemas import MAXIMUM_TRIAL_DAYS, SubscriptionView

ProrationBehavior = Literal["always_invoice", "create_prorations", "none"]
"""docs.stripe.com/api/subscriptions/update#update_subscription-proration_behavior."""
ChangeOutcome = Literal["applied", "applied_unpaid", "requires_action", "requires_payment_method"]


MetadataChanges = Annotated[
    dict[
        Annotated[str, Meta(min_length=1, max_length=40, pattern=METADATA_KEY)],
        Annotated[str, Meta(max_length=500)] | None,
    ],
    Meta(min_length=1, max_length=40),
]
"""Merged with what is there; an empty value removes its key (docs.stripe.com/api/metadata)."""
TrialEnd = Annotated[
    str,
    Meta(
        max_length=40,
        pattern=MOMENT_OR_NOW,
        extra_json_schema={"anyOf": [{"type": "string", "format": "date-time"}, {"type": "string", "const": "now"}]},
    ),
]
_SETTINGS: Final = ("metadata", "description", "default_payment_method_id", "cancel_at_period_end")
_DEFAULT: Final = "always_invoice"


class PreviewChange(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A change of what the subscription comes to: of the price, the quantity, the trial."""

    price_id: PriceId | None = None
    """Stripe's id of the new price; without it and `lookup_key` the price stays."""
    lookup_key: Text | None = None
    """The new price's lookup key."""
    quantity: Annotated[int, Meta(ge=1, le=999_999)] | None = None
    """Seats or units from now on; without it their number stays."""
    trial_end: TrialEnd | None = None
    """When the trial that runs is to end: a moment to come, at most two years behind its present end, or `now`, which
    begins the first period at once and charges it. Without it the trial stays as it is."""
    allow_multiple: bool = False
    """Allow that the customer has another live subscription to the new price's product."""
    proration_behavior: ProrationBehavior = _DEFAULT
    """What becomes of the rest of the period: `always_invoice` settles it now, `create_prorations` with the next
    invoice, `none` not at all. A price of another interval begins a new period, which is charged now."""

    def __post_init__(self) -> None:
        """Check what spans fields."""
        self._check()
        if not self.costs:
            raise ValueError("price_id: give price_id, lookup_key, quantity or trial_end: nothing would change")

    def _check(self) -> None:
        if self.price_id is not None and self.lookup_key is not None:
            raise ValueError("price_id: give at most one of price_id and lookup_key")
        if self.allow_multiple and self.price_id is None and self.lookup_key is None:
            raise ValueError("allow_multiple: it goes with price_id or lookup_key")
        if self.trial_end is not None:
            self.trial_ends()

    @property
    def orders(self) -> bool:
        """Whether it is about price or quantity."""
        return any(given is not None for given in (self.price_id, self.lookup_key, self.quantity))

    @property
    def costs(self) -> bool:
        """Whether it may move money."""
        return self.orders or self.trial_end is not None

    def trial_ends(self) -> int | Literal["now"] | None:
        """Return `trial_end` as Stripe takes it.

        Raises:
            ValueError: there is no such moment.
        """
        if self.trial_end is None or self.trial_end == "now":
            return "now" if self.trial_end else None
        try:
            return int(msgspec.convert(self.trial_end, datetime).timestamp())
        except (msgspec.ValidationError, OverflowError) as error:
            raise ValueError("trial_end: there is no such moment") from error


class ChangeSubscription(PreviewChange, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A change, as it was previewed or not; or one that costs nothing. What is left out stays."""

    preview: Annotated[str, Meta(max_length=100, pattern=PREVIEW)] | None = None
    """The `fingerprint` of a preview of this change: it is refused (409 `preview_outdated`) when another amount would
    be due now, and worked out for the same second. Without it whatever is due is charged."""
    metadata: MetadataChanges | UnsetType = UNSET
    """Yours: merged with what is there; null or an empty text removes a key."""
    description: Annotated[str, Meta(min_length=1, max_length=500, pattern=LINE)] | UnsetType | None = UNSET
    """Meant to be shown to the customer; null: none."""
    default_payment_method_id: PaymentMethodId | UnsetType = UNSET
    """Stripe's id of what is charged from now on; it has to be one that the customer has saved. Nothing is charged by
    this itself."""
    cancel_at_period_end: bool | UnsetType = UNSET
    """Whether it ends with its period. False takes a cancellation back, also one for another moment, until it has
    ended; true is what `…/cancel` does with `at_period_end`."""

    def __post_init__(self) -> None:
        """Check what spans fields."""
        self._check()
        settings = [name for name in _SETTINGS if getattr(self, name) is not UNSET]
        if self.costs and settings:
            beside = (
                "send it by itself: what may have to be paid waits for its payment, and Stripe takes nothing beside"
            )
            raise ValueError(f"{settings[0]}: {beside}")
        if not self.costs and (self.preview is not None or self.proration_behavior != _DEFAULT):
            name = "proration_behavior" if self.preview is None else "preview"
            raise ValueError(f"{name}: it goes with price_id, lookup_key, quantity or trial_end")
        if not self.costs and not settings:
            raise ValueError("price_id: give what is to be changed")


class PreviewLine(msgspec.Struct, kw_only=True):
    """A line of an invoice."""

    description: str | None
    """In words; null where Stripe has none."""
    amount: int
    """In minor units; below zero: a credit."""
    proration: bool
    """Whether it is for a part of a period."""
    price_id: str | None
    """Stripe's id of the price; null where Stripe names none."""
    quantity: int | None
    """Seats or units; null where Stripe names none."""
    period_start: datetime
    """Begin of what it is for."""
    period_end: datetime
    """End of it."""


class PreviewedInvoice(msgspec.Struct, kw_only=True):
    """An invoice as it would be."""

    total: int
    """Of all lines, with discounts and taxes, in minor units; below zero it becomes the customer's credit."""
    amount_due: int
    """What is charged, in minor units: the total less the customer's credit."""
    lines: list[PreviewLine]
    """Its lines, ten at most."""
    has_more_lines: bool
    """Whether it has more."""


class SubscriptionPreview(msgspec.Struct, kw_only=True):
    """What a change would come to."""

    fingerprint: str
    """Send it as `preview` with the change."""
    expires_at: datetime
    """Until when the change takes it."""
    subscription_id: str
    """Our id."""
    price_id: str
    """Stripe's id of the price after the change."""
    quantity: int | None
    """Seats or units after the change; null for a metered price."""
    proration_behavior: ProrationBehavior
    """As asked."""
    proration_date: datetime
    """To the second of which it was worked out."""
    currency: str
    """Of all amounts, as ISO 4217 writes it, in lower case."""
    due_now: int
    """What the change charges at once, in minor units."""
    invoice: PreviewedInvoice | None
    """The invoice that the change makes at once; null: it makes none."""
    next_invoice: PreviewedInvoice | None
    """The next one; null where it would be the second of a new interval."""


class PreviewCreation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A subscription that may be created: for whom, to what."""

    customer_id: CustomerId | None = None
    """Our id (`lpc_…`) or Stripe's (`cus_…`); this or `customer_reference`. Credit and discounts are the customer's."""
    customer_reference: Text | None = None
    """Your own id of the customer; this or `customer_id`."""
    price_id: PriceId | None = None
    """Stripe's price id; this or `lookup_key`."""
    lookup_key: Text | None = None
    """The price's lookup key; this or `price_id`."""
    quantity: Annotated[int, Meta(ge=1, le=999_999)] = 1
    """Seats or units; a metered price takes none: leave it out there."""
    trial_days: Annotated[int, Meta(ge=1, le=MAXIMUM_TRIAL_DAYS)] | None = None
    """Days before the first charge."""

    def __post_init__(self) -> None:
        """Check what spans fields."""
        if (self.customer_id is None) == (self.customer_reference is None):
            raise ValueError("customer_id: give exactly one of customer_id and customer_reference")
        if (self.price_id is None) == (self.lookup_key is None):
            raise ValueError("price_id: give exactly one of price_id and lookup_key")


class CreationPreview(msgspec.Struct, kw_only=True):
    """What a new subscription would come to."""

    customer_id: str
    """Our id."""
    price_id: str
    """Stripe's id of the price."""
    quantity: int | None
    """Seats or units; null for a metered price."""
    trial_end: datetime | None
    """When the trial would end; null: there is none."""
    currency: str
    """Of all amounts, as ISO 4217 writes it, in lower case."""
    due_now: int
    """What is charged at once, in minor units; 0 with a trial."""
    first_invoice: PreviewedInvoice
    """The first invoice that is paid, as if its period began now: at once, or when the trial ends."""


class CancellationPreview(msgspec.Struct, kw_only=True):
    """What a cancellation would come to, at the second of the question: what is given back becomes less."""

    subscription_id: str
    """Our id."""
    at_period_end: bool
    """As asked."""
    prorate: bool
    """As asked."""
    ends_at: datetime
    """When it would end."""
    currency: str | None
    """Of all amounts, as ISO 4217 writes it, in lower case; null: there is no invoice."""
    due_now: int
    """What the cancellation charges at once, in minor units."""
    invoice: PreviewedInvoice | None
    """The last invoice, made at once; a total below zero becomes the customer's credit. Null: it makes none."""
    next_invoice: PreviewedInvoice | None
    """The last invoice, made when the period ends, of what is not invoiced until then; null: there is none."""


class PendingChange(msgspec.Struct, kw_only=True):
    """A change that waits for its payment."""

    price_id: str
    """Stripe's id of the price to come."""
    quantity: int | None
    """Seats or units to come; null for a metered price."""
    expires_at: datetime
    """Unless its invoice is paid until then, it is dropped."""


class ChangedSubscription(SubscriptionView, kw_only=True):
    """The subscription as it is in force after the call, and what became of the change."""

    outcome: ChangeOutcome
    """`applied`: it is in force. `applied_unpaid`: it is in force, and the newest invoice is not paid yet, for a bank
    debit takes days and Stripe lets no change wait for one. Else its invoice waits: `requires_action` for the
    customer's authentication, `requires_payment_method` for another card; until it is paid, price, quantity and trial
    are what they were."""
    pending: PendingChange | None
    """What waits; null: nothing."""
    client_secret: str | None
    """For Stripe.js, with which the customer pays what waits; null: nothing waits."""
    decline_code: str | None
    """Why the bank refused the card; null: it did not, or does not say."""
    description: str | None
    """As at Stripe; null without one."""
    default_payment_method_id: str | None
    """Stripe's id of what this subscription is charged on; null: on the customer's default."""
