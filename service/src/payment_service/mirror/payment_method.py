"""Payment methods (docs.stripe.com/api/payment_methods/object): what a customer has saved to pay with.

A detached one can never be used again, so its row keeps nothing of it but whose it was, by which an erasure finds it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct
from sqlalchemy import BigInteger, Boolean, Column, Index, Table, Text, text

from payment_service.mirror.kind import Columns, Kind, Shape
from payment_service.mirror.person import is_filled
from payment_service.storage.column_types import Json, UtcDateTime
from payment_service.storage.mirror import moment
from payment_service.storage.succession import Ended
from payment_service.storage.tables import metadata
from payment_service.stripe_api.objects import Id, Integer, Metadata, Seconds, id_of

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement

    from payment_service.mirror.person import Person

LISTS: Final = "payment_methods.lists"
"""Names the row of `cursors` that says since when a customer's list must have been taken to count: a sweep sets it."""
payment_methods = Table(
    "payment_methods",
    metadata,
    Column("id", Text, primary_key=True, comment="Stripe's id"),
    Column("type", Text, nullable=False),
    Column("stripe_customer_id", Text, comment="null: it is detached"),
    Column("last_customer_id", Text, comment="Stripe's id of whose it is, or was as far as that was seen"),
    Column("allow_redisplay", Text),
    Column("card", Json, nullable=False, comment="what Stripe shows of a card; empty: it is none, or detached"),
    Column("billing_details", Json, nullable=False),
    Column("metadata", Json, nullable=False),
    Column("detached", Boolean, nullable=False),
    Column("livemode", Boolean, nullable=False),
    Column("stripe_updated", BigInteger, nullable=False, server_default=text("0")),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Index("ix_payment_methods_stripe_customer_id", "stripe_customer_id"),
    Index("ix_payment_methods_last_customer_id", "last_customer_id"),
    Index("ix_payment_methods_created_at", "livemode", "created_at", "id"),
)


class Wallet(Struct):
    """Which wallet holds the card."""

    type: str | None = None


class Card(Struct):
    """What Stripe shows of a card; never its number."""

    brand: str | None = None
    last4: str | None = None
    exp_month: Integer | None = None
    exp_year: Integer | None = None
    funding: str | None = None
    country: str | None = None
    fingerprint: str | None = None
    wallet: Wallet | None = None


class Address(Struct):
    """Of who pays."""

    line1: str | None = None
    line2: str | None = None
    postal_code: str | None = None
    city: str | None = None
    state: str | None = None
    country: str | None = None


class BillingDetails(Struct):
    """Who pays, as the bank has it."""

    name: str | None = None
    email: str | None = None
    phone: str | None = None
    address: Address | None = None


class PaymentMethod(Shape, kw_only=True):
    """What is read of one."""

    type: str
    created: Seconds
    customer: Id | None = None
    allow_redisplay: str | None = None
    card: Card | None = None
    billing_details: BillingDetails | None = None
    metadata: Metadata | None = None
    deleted: bool | None = None
    """An event says that it is detached."""

    def columns(self) -> Columns:
        """Return what the row holds; whose a detached one was stays as it is there."""
        customer = None if self.deleted else id_of(self.customer)
        shown: Columns = {
            "type": self.type,
            "allow_redisplay": self.allow_redisplay,
            "livemode": self.livemode,
            "created_at": moment(self.created),
        }
        if customer is None:
            return {**shown, **_DETACHED}
        wallet = self.card.wallet if self.card else None
        card = msgspec.to_builtins(self.card) | {"wallet": wallet.type if wallet else None} if self.card else {}
        return {
            **shown,
            "stripe_customer_id": customer,
            "last_customer_id": customer,
            "card": card,
            "billing_details": msgspec.to_builtins(self.billing_details) if self.billing_details else {},
            "metadata": self.metadata or {},
            "detached": False,
        }


_DETACHED: Final[Columns] = {
    "stripe_customer_id": None,
    "card": {},
    "billing_details": {},
    "metadata": {},
    "detached": True,
}


def of_person(person: Person) -> ColumnElement[bool]:
    """Return the condition of the person's rows."""
    return is_filled(payment_methods.c.last_customer_id, person.stripe_id)


KIND: Final = Kind(
    name="payment_method",
    collection="payment_methods",
    table=payment_methods,
    shape=PaymentMethod,
    events=(
        "payment_method.attached",
        "payment_method.automatically_updated",
        "payment_method.detached",
        "payment_method.updated",
    ),
    deletion="payment_method.detached",
    left=_DETACHED,
    ended=Ended("detached", frozenset({True})),
    listed=False,
    of_person=of_person,
    personal={"card": {}, "billing_details": {}, "metadata": {}},
)
