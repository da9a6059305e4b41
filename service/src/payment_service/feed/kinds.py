"""The kinds of objects that events tell of, each with its types: a new one stands here, or a test says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from payment_service.catalog.schemas import PriceView
from payment_service.customers.schemas import CustomerView
from payment_service.feed import shapes, views
from payment_service.feed.catalogue import (
    DELETED,
    EventKind,
    Rule,
    always,
    became,
    both,
    created,
    either,
    emptied,
    filled,
    grew,
    is_new,
    is_now,
    left,
    plainly,
)
from payment_service.feed.samples import (
    CHARGE,
    CHECKOUT,
    CUSTOMER,
    DISPUTE,
    ENDPOINT,
    INVOICE,
    INVOICE_PAYMENT,
    PAIR,
    PAYMENT,
    PAYMENT_METHOD,
    PRICE,
    PRODUCT,
    REFUND,
    SETUP_INTENT,
    SUBSCRIPTION,
)
from payment_service.feed.shapes import DISABLED
from payment_service.mirror.charge import charges
from payment_service.mirror.checkout_session import checkout_sessions
from payment_service.mirror.dispute import disputes
from payment_service.mirror.invoice import invoices
from payment_service.mirror.invoice_payment import invoice_payments
from payment_service.mirror.payment_intent import payment_intents
from payment_service.mirror.payment_method import payment_methods
from payment_service.mirror.refund import refunds
from payment_service.mirror.setup_intent import setup_intents
from payment_service.payment_methods.schemas import PaymentMethodView, SetupIntentView
from payment_service.refunds.schemas import RefundView
from payment_service.storage.tables import customers, prices, products, subscriptions
from payment_service.subscriptions.duplicates import EVENT
from payment_service.subscriptions.schemas import SubscriptionView

if TYPE_CHECKING:
    import msgspec
    from sqlalchemy import Table

    from payment_service.feed.catalogue import View
    from payment_service.feed.states import State

_LIVE: Final = {"status": "active"}
_PAUSE: Final = {"pause_behavior": "void"}
_DETACHED: Final[State] = {"stripe_customer_id": None, "card": {}, "billing_details": {}, "detached": True}


def _kind(
    name: str,
    noun: str,
    table: Table | None,
    shape: type[msgspec.Struct],
    sample: dict[str, object],
    *rules: Rule,
    view: View | None = None,
) -> EventKind:
    view = view or plainly(shape)
    return EventKind(name=name, noun=noun, table=table, view=view, shape=shape, sample=sample, rules=rules)


def _deleted(noun: str) -> Rule:
    return Rule(DELETED, f"{noun[0].upper()}{noun[1:]} was deleted.", filled("deleted"), {"deleted": True}, {})


_SUBSCRIPTION: Final = EventKind(
    name="subscription",
    noun="a subscription",
    table=subscriptions,
    view=views.subscription,
    shape=SubscriptionView,
    sample=SUBSCRIPTION,
    is_there=lambda state: state["status"] != "creating",
    rules=(
        Rule("canceled", "It has ended.", became("status", "canceled"), {"status": "canceled"}, _LIVE),
        Rule(
            "expired",
            "Its first payment was not made in time, so it never began.",
            became("status", "incomplete_expired"),
            {"status": "incomplete_expired"},
            {"status": "incomplete"},
        ),
        created("a subscription"),
        Rule(
            "paused",
            "It, or the collection of its invoices, is paused.",
            either(became("status", "paused"), filled("pause_behavior")),
            _PAUSE,
            {},
        ),
        Rule("resumed", "The pause is over.", either(left("status", "paused"), emptied("pause_behavior")), {}, _PAUSE),
        Rule(
            "activated",
            "It gives access: paid for, or in its trial.",
            both(left("status", "incomplete", "past_due", "unpaid"), is_now("status", "active", "trialing")),
            {},
            {"status": "incomplete"},
        ),
        Rule("past_due", "An invoice was not paid.", became("status", "past_due"), {"status": "past_due"}, _LIVE),
        Rule("unpaid", "Its invoices stay unpaid.", became("status", "unpaid"), {"status": "unpaid"}, _LIVE),
    ),
)
_CUSTOMER: Final = EventKind(
    name="customer",
    noun="a customer",
    table=customers,
    view=views.customer,
    shape=CustomerView,
    sample=CUSTOMER,
    rules=(_deleted("a customer"), created("a customer")),
)
_PAYMENT_RULES: Final = (
    Rule("succeeded", "It was paid.", became("status", "succeeded"), {}, {"status": "processing"}),
    Rule("canceled", "It was given up.", became("status", "canceled"), {"status": "canceled"}, {}),
    Rule(
        "failed",
        "A try failed; another may follow.",
        filled("last_error_code"),
        {"status": "requires_payment_method", "last_error_code": "card_declined"},
        {"status": "requires_confirmation"},
    ),
    Rule(
        "requires_action",
        "The customer has to do something, as 3-D Secure.",
        became("status", "requires_action"),
        {"status": "requires_action"},
        {"status": "requires_confirmation"},
    ),
    Rule(
        "processing",
        "It is under way.",
        became("status", "processing"),
        {"status": "processing"},
        {"status": "requires_confirmation"},
    ),
)
_SETUP_INTENT: Final = EventKind(
    name="setup_intent",
    noun="the saving of a payment method",
    table=setup_intents,
    view=views.setup_intent,
    shape=SetupIntentView,
    sample=SETUP_INTENT,
    customer="stripe_customer_id",
    rules=(*_PAYMENT_RULES, created("the saving of a payment method", status="requires_payment_method")),
)
_PAYMENT_METHOD: Final = EventKind(
    name="payment_method",
    noun="a payment method",
    table=payment_methods,
    view=views.payment_method,
    shape=PaymentMethodView,
    sample=PAYMENT_METHOD,
    customer="last_customer_id",
    rules=(
        Rule("detached", "It can never be used again.", filled("detached"), _DETACHED, {}),
        Rule("attached", "A customer has saved it.", is_new, {}),
    ),
)
_NOTHING_SENT: Final = Rule("disabled", "It answered 410, or failed for five days: nothing is sent to it.", always, {})

KINDS: Final = (
    _SUBSCRIPTION,
    _CUSTOMER,
    _kind(
        "invoice",
        "an invoice",
        invoices,
        shapes.InvoiceView,
        INVOICE,
        Rule("paid", "It is paid.", became("status", "paid"), {}, {"status": "open"}),
        Rule("voided", "It counts no more.", became("status", "void"), {"status": "void"}, {"status": "open"}),
        Rule(
            "marked_uncollectible",
            "It is given up.",
            became("status", "uncollectible"),
            {"status": "uncollectible"},
            {"status": "open"},
        ),
        Rule(DELETED, "A draft was deleted.", became("status", "deleted"), {"status": "deleted"}, {"status": "draft"}),
        Rule(
            "payment_failed",
            "A payment of it failed; Stripe may try again.",
            both(grew("attempt_count"), is_now("status", "open")),
            {"status": "open", "attempt_count": 2},
            {"status": "open"},
        ),
        Rule("finalized", "It can be paid.", became("status", "open"), {"status": "open"}, {"status": "draft"}),
        created("an invoice", status="draft", attempt_count=0),
    ),
    _kind(
        "invoice_payment",
        "a payment of an invoice",
        invoice_payments,
        shapes.InvoicePaymentView,
        INVOICE_PAYMENT,
        Rule("paid", "It paid the invoice, or a part.", became("status", "paid"), {}, {"status": "open"}),
        Rule("canceled", "It was given up.", became("status", "canceled"), {"status": "canceled"}, {"status": "open"}),
        created("a payment of an invoice", status="open"),
    ),
    _kind(
        "payment",
        "a payment",
        payment_intents,
        shapes.PaymentView,
        PAYMENT,
        *_PAYMENT_RULES,
        created("a payment", status="requires_payment_method"),
    ),
    _SETUP_INTENT,
    _PAYMENT_METHOD,
    _kind(
        "charge",
        "a charge",
        charges,
        shapes.ChargeView,
        CHARGE,
        Rule("disputed", "The customer disputed it.", filled("disputed"), {"disputed": True}, {}),
        Rule("refunded", "Some of it was given back.", grew("amount_refunded"), {"amount_refunded": 500}, {}),
        Rule("succeeded", "It was paid.", became("status", "succeeded"), {}, {"status": "pending"}),
        Rule("failed", "It failed.", became("status", "failed"), {"status": "failed"}, {"status": "pending"}),
        created("a charge", status="pending"),
    ),
    _kind(
        "refund",
        "a refund",
        refunds,
        RefundView,
        REFUND,
        Rule("succeeded", "The money is given back.", became("status", "succeeded"), {}, {"status": "pending"}),
        Rule("failed", "The money came back.", became("status", "failed"), {"status": "failed"}, {"status": "pending"}),
        Rule("canceled", "It was given up.", became("status", "canceled"), {"status": "canceled"}, {}),
        created("a refund", status="pending"),
        view=views.refund,
    ),
    _kind(
        "dispute",
        "a dispute",
        disputes,
        shapes.DisputeView,
        DISPUTE,
        Rule("won", "The money stays.", became("status", "won"), {"status": "won"}, {}),
        Rule("lost", "The money is gone.", became("status", "lost"), {"status": "lost"}, {}),
        created("a dispute"),
    ),
    _kind(
        "checkout",
        "a visit to the checkout page",
        checkout_sessions,
        shapes.CheckoutSessionView,
        CHECKOUT,
        Rule("completed", "It was completed.", became("status", "complete"), {}, {"status": "open"}),
        Rule("expired", "It can be used no more.", became("status", "expired"), {"status": "expired"}, {}),
        Rule(
            "paid",
            "A payment that took days was made.",
            became("payment_status", "paid"),
            {},
            {"payment_status": "unpaid"},
        ),
        created("a visit to the checkout page", status="open", payment_status="unpaid"),
    ),
    _kind("product", "a product", products, shapes.ProductView, PRODUCT, _deleted("a product"), created("a product")),
    _kind("price", "a price", prices, PriceView, PRICE, _deleted("a price"), created("a price")),
    _kind(
        "subscription_duplicate",
        "a second live subscription to a product",
        None,
        shapes.SubscriptionPairView,
        PAIR,
        Rule("found", "A person has two live subscriptions to one product, unasked.", always, {}),
    ),
    _kind("webhook_endpoint", "a webhook endpoint", None, shapes.DisabledEndpointView, ENDPOINT, _NOTHING_SENT),
)
_TELLS: Final = {"subscription_duplicate": EVENT, "webhook_endpoint": DISABLED}
BY_OBJECT_TYPE: Final = {_TELLS[kind.name] if kind.table is None else kind.table.name: kind for kind in KINDS}
"""By the outbox's name of what a row tells of."""
