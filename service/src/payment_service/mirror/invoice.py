"""Invoices (docs.stripe.com/api/invoices/object)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import UNSET, Struct, UnsetType
from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, Table, Text, text

from payment_service.mirror.kind import Columns, Kind, Shape, ends
from payment_service.mirror.payment import amount
from payment_service.mirror.person import named_in
from payment_service.storage.column_types import UtcDateTime
from payment_service.storage.tables import metadata
from payment_service.stripe_api import objects
from payment_service.stripe_api.objects import Id, Small, id_of

if TYPE_CHECKING:
    from payment_service.storage.rows import Values

invoices = Table(
    "invoices",
    metadata,
    Column("id", Text, primary_key=True),
    Column("stripe_subscription_id", Text),
    Column("stripe_customer_id", Text),
    Column("status", Text),
    Column("billing_reason", Text),
    Column("currency", Text, nullable=False),
    amount("amount_due"),
    amount("amount_paid"),
    Column("attempt_count", Integer, nullable=False, server_default=text("0")),
    Column("number", Text),
    amount("total", nullable=True),
    amount("amount_remaining", nullable=True),
    Column("livemode", Boolean, nullable=False),
    Column("stripe_updated", BigInteger, nullable=False, server_default=text("0")),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Index("ix_invoices_stripe_subscription_id", "stripe_subscription_id"),
    Index("ix_invoices_stripe_customer_id", "stripe_customer_id"),
    Index("ix_invoices_updated_at", "updated_at"),
)

_DELETED_DRAFT: Final[Columns] = {
    "status": "deleted",
    "amount_due": 0,
    "amount_paid": 0,
    "attempt_count": 0,
    "number": None,
    "total": None,
    "amount_remaining": None,
}
"""What is left of a deleted draft, however much of it was seen before."""


class SubscriptionDetails(Struct):
    """Of which subscription an invoice is."""

    subscription: Id | None = None


class ParentOfInvoice(Struct):
    """What made an invoice: since 2025-03-31.basil the subscription stands here."""

    subscription_details: SubscriptionDetails | None = None


class Invoice(Shape, kw_only=True):
    """What is read of one."""

    currency: str
    parent: ParentOfInvoice | None = None
    subscription: Id | None = None
    customer: Id | None = None
    status: str | UnsetType | None = UNSET
    paid: bool | None = None
    forgiven: bool | None = None
    closed: bool | None = None
    billing_reason: str | None = None
    amount_due: objects.Integer | None = None
    amount_paid: objects.Integer | None = None
    amount_remaining: objects.Integer | UnsetType | None = UNSET
    total: objects.Integer | None = None
    attempt_count: Small | None = None
    number: str | None = None
    deleted: bool | None = None

    def columns(self) -> Columns:
        """Return what the row holds."""
        details = self.parent.subscription_details if self.parent is not None else None
        of_parent = details.subscription if details is not None else None
        due, paid = self.amount_due or 0, self.amount_paid or 0
        columns: Columns = {
            "stripe_subscription_id": id_of(of_parent or self.subscription),
            "stripe_customer_id": id_of(self.customer),
            "status": self._old_status() if self.status is UNSET else self.status,
            "billing_reason": self.billing_reason,
            "currency": self.currency,
            "amount_due": due,
            "amount_paid": paid,
            "attempt_count": self.attempt_count or 0,
            "number": self.number,
            "total": self.total,
            "amount_remaining": max(due - paid, 0) if self.amount_remaining is UNSET else self.amount_remaining,
            "livemode": self.livemode,
        }
        return columns | _DELETED_DRAFT if self.deleted else columns

    def _old_status(self) -> str:
        """Return the status of an invoice from before 2018-11-08, which had flags instead."""
        if self.paid:
            return "paid"
        if self.forgiven:
            return "uncollectible"
        return "void" if self.closed else "open"


def _stage(row: Values) -> tuple[int, ...]:
    """Return what only grows until an invoice ends: a finalized one is a draft no more, and attempts are counted.

    docs.stripe.com/invoicing/overview#invoice-statuses,
    docs.stripe.com/api/invoices/object#invoice_object-attempt_count.
    """
    return int(row["status"] not in {None, "draft"}), row["attempt_count"]


KIND: Final = Kind(
    name="invoice",
    collection="invoices",
    table=invoices,
    shape=Invoice,
    events=(
        "invoice.created",
        "invoice.deleted",
        "invoice.finalization_failed",
        "invoice.finalized",
        "invoice.marked_uncollectible",
        "invoice.overdue",
        "invoice.overpaid",
        "invoice.paid",
        "invoice.payment_action_required",
        "invoice.payment_attempt_required",
        "invoice.payment_failed",
        "invoice.payment_succeeded",
        "invoice.sent",
        "invoice.updated",
        "invoice.voided",
        "invoice.will_be_due",
    ),
    deletion="invoice.deleted",
    left=_DELETED_DRAFT,
    ended=ends("paid", "void", "deleted"),
    stage=_stage,
    of_person=named_in(invoices),
)
