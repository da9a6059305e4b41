"""Tables that mirror what money went through: invoices, payments, refunds, disputes, checkouts. The rules: `tables`."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, Table, Text, text

from payment_service.storage.column_types import Json, UtcDateTime
from payment_service.storage.tables import metadata as metadata  # noqa: PLC0414 - alembic takes all tables from here


def _amount(name: str, *, nullable: bool = False) -> Column[Any]:
    return Column(name, BigInteger, nullable=nullable, comment="minor units")


def _flag(name: str) -> Column[Any]:
    return Column(name, Boolean, nullable=False)


def _mirror(name: str, *columns: Column[Any] | Index) -> Table:
    """Describe a table with the columns that every mirrored object has."""
    return Table(
        name,
        metadata,
        Column("id", Text, primary_key=True, comment="Stripe's id"),
        Column("status", Text),
        Column("currency", Text),
        *columns,
        Column("metadata", Json, nullable=False),
        Column("livemode", Boolean, nullable=False),
        Column("stripe_updated", BigInteger, nullable=False, server_default=text("0")),
        Column("created_at", UtcDateTime, nullable=False),
        Column("updated_at", UtcDateTime, nullable=False),
    )


invoices = Table(
    "invoices",
    metadata,
    Column("id", Text, primary_key=True),
    Column("stripe_subscription_id", Text),
    Column("stripe_customer_id", Text),
    Column("status", Text),
    Column("billing_reason", Text),
    Column("currency", Text, nullable=False),
    Column("amount_due", BigInteger, nullable=False, comment="minor units"),
    Column("amount_paid", BigInteger, nullable=False, comment="minor units"),
    Column("attempt_count", Integer, nullable=False, server_default=text("0")),
    Column("number", Text),
    Column("total", BigInteger, comment="minor units"),
    Column("amount_remaining", BigInteger, comment="minor units"),
    Column("livemode", Boolean, nullable=False),
    Column("stripe_updated", BigInteger, nullable=False, server_default=text("0")),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Index("ix_invoices_stripe_subscription_id", "stripe_subscription_id"),
    Index("ix_invoices_stripe_customer_id", "stripe_customer_id"),
    Index("ix_invoices_updated_at", "updated_at"),
)
invoice_payments = _mirror(
    "invoice_payments",
    Column("invoice_id", Text),
    Column("payment_intent_id", Text),
    Column("charge_id", Text),
    _amount("amount_requested", nullable=True),
    _amount("amount_paid", nullable=True),
    _flag("is_default"),
    Index("ix_invoice_payments_invoice_id", "invoice_id"),
)
payment_intents = _mirror(
    "payment_intents",
    Column("stripe_customer_id", Text),
    _amount("amount"),
    _amount("amount_received"),
    Column("payment_method_id", Text),
    Column("latest_charge_id", Text),
    Column("cancellation_reason", Text),
    Column("last_error_code", Text),
    Index("ix_payment_intents_stripe_customer_id", "stripe_customer_id"),
)
setup_intents = _mirror(
    "setup_intents",
    Column("stripe_customer_id", Text),
    Column("payment_method_id", Text),
    Column("usage", Text),
    Column("cancellation_reason", Text),
    Column("last_error_code", Text),
    Index("ix_setup_intents_stripe_customer_id", "stripe_customer_id"),
)
charges = _mirror(
    "charges",
    Column("stripe_customer_id", Text),
    Column("payment_intent_id", Text),
    _amount("amount"),
    _amount("amount_captured"),
    _amount("amount_refunded"),
    _flag("paid"),
    _flag("captured"),
    _flag("refunded"),
    _flag("disputed"),
    Column("failure_code", Text),
    Index("ix_charges_stripe_customer_id", "stripe_customer_id"),
    Index("ix_charges_payment_intent_id", "payment_intent_id"),
)
refunds = _mirror(
    "refunds",
    Column("charge_id", Text),
    Column("payment_intent_id", Text),
    _amount("amount"),
    Column("reason", Text),
    Column("failure_reason", Text),
    Index("ix_refunds_charge_id", "charge_id"),
)
disputes = _mirror(
    "disputes",
    Column("charge_id", Text),
    Column("payment_intent_id", Text),
    _amount("amount"),
    Column("reason", Text),
    Column("evidence_due_by", UtcDateTime),
    Index("ix_disputes_charge_id", "charge_id"),
)
checkout_sessions = _mirror(
    "checkout_sessions",
    Column("stripe_customer_id", Text),
    Column("mode", Text),
    Column("payment_status", Text),
    Column("payment_intent_id", Text),
    Column("setup_intent_id", Text),
    Column("stripe_subscription_id", Text),
    Column("invoice_id", Text),
    Column("client_reference_id", Text),
    _amount("amount_total", nullable=True),
    Column("expires_at", UtcDateTime),
    Index("ix_checkout_sessions_stripe_customer_id", "stripe_customer_id"),
)
