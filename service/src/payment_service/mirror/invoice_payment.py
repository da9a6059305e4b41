"""Payments of invoices (docs.stripe.com/api/invoice-payment/object)."""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from sqlalchemy import Column, Index, Text

from payment_service.mirror.invoice import invoices
from payment_service.mirror.kind import Columns, Kind, ends
from payment_service.mirror.payment import PERSONAL, PaymentShape, amount, flag, payment_table
from payment_service.mirror.person import named_in, through
from payment_service.stripe_api.objects import Id, Integer, id_of

invoice_payments = payment_table(
    "invoice_payments",
    Column("invoice_id", Text),
    Column("payment_intent_id", Text),
    Column("charge_id", Text),
    amount("amount_requested", nullable=True),
    amount("amount_paid", nullable=True),
    flag("is_default"),
    Index("ix_invoice_payments_invoice_id", "invoice_id"),
)


class PaymentOfInvoice(Struct):
    """What pays an invoice."""

    payment_intent: Id | None = None
    charge: Id | None = None


class InvoicePayment(PaymentShape, kw_only=True):
    """What is read of one."""

    invoice: Id | None = None
    payment: PaymentOfInvoice | None = None
    amount_requested: Integer | None = None
    amount_paid: Integer | None = None
    is_default: bool | None = None

    def columns(self) -> Columns:
        """Return what the row holds."""
        payment = self.payment or PaymentOfInvoice()
        return {
            "invoice_id": id_of(self.invoice),
            "payment_intent_id": id_of(payment.payment_intent),
            "charge_id": id_of(payment.charge),
            "amount_requested": self.amount_requested,
            "amount_paid": self.amount_paid,
            "is_default": bool(self.is_default),
            **self.shared_columns(),
        }


KIND: Final = Kind(
    name="invoice_payment",
    collection="invoice_payments",
    table=invoice_payments,
    shape=InvoicePayment,
    events=("invoice_payment.paid",),
    ended=ends("paid", "canceled"),
    listing={"status": "paid"},  # Stripe tells by event of these only
    of_person=through(invoice_payments.c.invoice_id, invoices, named_in(invoices)),
    personal=PERSONAL,
)
