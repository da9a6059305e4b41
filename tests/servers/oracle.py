"""What each mirrored row is to say of Stripe's object, from Stripe's reference alone (docs.stripe.com/api).

Written apart from the code that makes the rows and without a look at it: a member by its path in the present version
(2026-10-28.endive), or a function where the row says something that the reference says in several members.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Rule = str | Callable[[dict[str, Any]], Any]


def at(path: str) -> Callable[[dict[str, Any]], datetime | None]:
    """Say that the column holds the moment of a Unix timestamp."""

    def read(obj: dict[str, Any]) -> datetime | None:
        seconds = member(obj, path)
        return None if seconds is None else datetime.fromtimestamp(seconds, tz=UTC)

    return read


def member(obj: Any, path: str) -> Any:
    """Return the member at a path; null where one on the way is null or absent."""
    for name in path.split("."):
        obj = obj.get(name) if isinstance(obj, dict) else None
    return obj


def _own_metadata(obj: dict[str, Any]) -> dict[str, str]:
    """The caller's keys: those with our prefix are ours."""
    return {name: value for name, value in obj["metadata"].items() if not name.startswith("lean_payments_")}


def _address(customer: dict[str, Any]) -> str | None:
    """Mailboxes are told apart by any ASCII letter's case nowhere (RFC 5321); tests use ASCII addresses alone."""
    return customer["email"].strip().lower() if customer["email"] else None


def _oldest(subscription: dict[str, Any]) -> dict[str, Any]:
    """The item that is shown of a subscription made elsewhere: the one that was there first, wherever it is listed."""
    found: dict[str, Any] = min(subscription["items"]["data"], key=lambda item: (item["created"], item["id"]))
    return found


_ITEM = ("id", "price_id", "product_id", "quantity", "current_period_start", "current_period_end")


def _items(subscription: dict[str, Any]) -> list[tuple[Any, ...]]:
    return sorted(
        (
            item["id"],
            item["price"]["id"],
            item["price"]["product"],
            item.get("quantity"),
            item["current_period_start"],
            item["current_period_end"],
        )
        for item in subscription["items"]["data"]
    )


def _paused(subscription: dict[str, Any]) -> str | None:
    """docs.stripe.com/api/subscriptions/object#subscription_object-status_details: the cause of the status `paused`."""
    if subscription["status"] != "paused":
        return None
    kind = member(subscription, "status_details.paused.type")
    return member(subscription, f"status_details.paused.{kind}.type") or kind  # type: ignore[no-any-return]


def _latest_end(subscription: dict[str, Any]) -> datetime:
    return datetime.fromtimestamp(max(item["current_period_end"] for item in subscription["items"]["data"]), tz=UTC)


def _error(path: str) -> Callable[[dict[str, Any]], Any]:
    """The issuer's reason where there is one, else Stripe's (docs.stripe.com/declines)."""
    return lambda obj: member(obj, f"{path}.decline_code") or member(obj, f"{path}.code")


def _card(method: dict[str, Any]) -> dict[str, Any]:
    names = ("brand", "last4", "exp_month", "exp_year", "funding", "country", "fingerprint")
    return {name: method["card"][name] for name in names} | {"wallet": member(method, "card.wallet.type")}


def _billing_details(method: dict[str, Any]) -> dict[str, Any]:
    return {name: method["billing_details"][name] for name in ("name", "email", "phone", "address")}


_COMMON: dict[str, Rule] = {"livemode": "livemode", "metadata": "metadata", "currency": "currency"}
_CUSTOMER: dict[str, Rule] = {"stripe_customer_id": "customer"}
ORACLE: dict[str, dict[str, Rule]] = {
    "customer": {
        "email": lambda obj: obj["email"],
        "address_key": _address,
        "name": "name",
        "default_payment_method_id": "invoice_settings.default_payment_method",
        "metadata": _own_metadata,
        "livemode": "livemode",
        "deleted": lambda _: False,
        "created_at": at("created"),
    },
    "product": {
        "name": "name",
        "active": "active",
        "metadata": "metadata",
        "livemode": "livemode",
        "deleted": lambda _: False,
    },
    "price": _COMMON
    | {
        "product_id": "product",
        "lookup_key": "lookup_key",
        "unit_amount": "unit_amount",
        "recurring_interval": "recurring.interval",
        "interval_count": "recurring.interval_count",
        "metered": lambda obj: member(obj, "recurring.usage_type") == "metered",
        "active": "active",
        "deleted": lambda _: False,
    },
    "subscription": _CUSTOMER
    | {
        "product_id": lambda obj: _oldest(obj)["price"]["product"],
        "price_id": lambda obj: _oldest(obj)["price"]["id"],
        "quantity": lambda obj: _oldest(obj).get("quantity"),
        "status": "status",
        "pause_behavior": "pause_collection.behavior",
        "pause_resumes_at": at("pause_collection.resumes_at"),
        "paused_reason": _paused,
        "cancel_at_period_end": "cancel_at_period_end",
        "cancel_at": at("cancel_at"),
        "canceled_at": at("canceled_at"),
        "ended_at": at("ended_at"),
        "trial_end": at("trial_end"),
        "current_period_start": lambda obj: at("current_period_start")(_oldest(obj)),
        "current_period_end": _latest_end,
        "latest_invoice_id": "latest_invoice",
        "items": _items,
        "metadata": _own_metadata,
        "livemode": "livemode",
        "created_at": at("created"),
    },
    "invoice": _CUSTOMER
    | {
        "stripe_subscription_id": "parent.subscription_details.subscription",
        "status": "status",
        "billing_reason": "billing_reason",
        "currency": "currency",
        "amount_due": "amount_due",
        "amount_paid": "amount_paid",
        "amount_remaining": "amount_remaining",
        "attempt_count": "attempt_count",
        "number": "number",
        "total": "total",
        "livemode": "livemode",
    },
    "invoice_payment": {
        "status": "status",
        "currency": "currency",
        "invoice_id": "invoice",
        "payment_intent_id": "payment.payment_intent",
        "charge_id": "payment.charge",
        "amount_requested": "amount_requested",
        "amount_paid": "amount_paid",
        "is_default": "is_default",
        "metadata": lambda _: {},  # it has none
        "livemode": "livemode",
    },
    "payment_intent": _COMMON
    | _CUSTOMER
    | {
        "status": "status",
        "amount": "amount",
        "amount_received": "amount_received",
        "payment_method_id": "payment_method",
        "latest_charge_id": "latest_charge",
        "cancellation_reason": "cancellation_reason",
        "last_error_code": _error("last_payment_error"),
    },
    "setup_intent": _CUSTOMER
    | {
        "status": "status",
        "currency": lambda _: None,  # it has none
        "payment_method_id": "payment_method",
        "usage": "usage",
        "cancellation_reason": "cancellation_reason",
        "last_error_code": _error("last_setup_error"),
        "metadata": "metadata",
        "livemode": "livemode",
    },
    "payment_method": _CUSTOMER
    | {
        "type": "type",
        "allow_redisplay": "allow_redisplay",
        "card": lambda obj: _card(obj) if obj["customer"] else {},
        "billing_details": lambda obj: _billing_details(obj) if obj["customer"] else {},
        "metadata": lambda obj: obj["metadata"] if obj["customer"] else {},
        "detached": lambda obj: obj["customer"] is None,
        "livemode": "livemode",
        "created_at": at("created"),
    },
    "charge": _COMMON
    | _CUSTOMER
    | {
        "status": "status",
        "payment_intent_id": "payment_intent",
        "amount": "amount",
        "amount_captured": "amount_captured",
        "amount_refunded": "amount_refunded",
        "paid": "paid",
        "captured": "captured",
        "refunded": "refunded",
        "disputed": "disputed",
        "failure_code": "failure_code",
    },
    "refund": {
        "status": "status",
        "currency": "currency",
        "charge_id": "charge",
        "payment_intent_id": "payment_intent",
        "amount": "amount",
        "reason": "reason",
        "failure_reason": "failure_reason",
        "metadata": "metadata",
        "livemode": lambda _: False,  # a refund does not say it: its mode is the account's
    },
    "dispute": _COMMON
    | {
        "status": "status",
        "charge_id": "charge",
        "payment_intent_id": "payment_intent",
        "amount": "amount",
        "reason": "reason",
        "evidence_due_by": at("evidence_details.due_by"),
    },
    "checkout.session": _COMMON
    | _CUSTOMER
    | {
        "status": "status",
        "mode": "mode",
        "payment_status": "payment_status",
        "payment_intent_id": "payment_intent",
        "setup_intent_id": "setup_intent",
        "stripe_subscription_id": "subscription",
        "invoice_id": "invoice",
        "client_reference_id": "client_reference_id",
        "amount_total": "amount_total",
        "expires_at": at("expires_at"),
    },
}
DELETED: Mapping[str, Mapping[str, Any]] = {
    "customer": {
        **dict.fromkeys(("email", "address_key", "name", "default_payment_method_id")),
        "metadata": {},
        "deleted": True,
    },
    "product": {"name": None, "active": False, "metadata": {}, "deleted": True},
}
"""What a row still says of an object that Stripe has no more (docs.stripe.com/api/customers/delete)."""
OURS = {
    "id",
    "stripe_subscription_id",
    "stripe_customer_id",
    "customer_id",
    "reference",
    "email_key",
    "origin",
    "ordered_product_id",
    "exclusive",
    "joined",
    "joined_at",
    "address_since",
    "last_customer_id",
    "payment_methods_at",
    "operation_id",
    "stripe_updated",
    "created_at",
    "updated_at",
    "erased_at",
}
"""Columns that may be without a rule: ids by which rows are found, and what only we know."""


def expected(kind: str, obj: dict[str, Any]) -> dict[str, Any]:
    """Return what the row of an object of Stripe's says."""
    if obj.get("deleted"):
        return dict(DELETED[kind])
    return {name: member(obj, rule) if isinstance(rule, str) else rule(obj) for name, rule in ORACLE[kind].items()}


def said(row: Mapping[str, Any], names: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a row says, in the form of `expected`: items have no order."""
    found = {name: row[name] for name in names}
    if "items" in found:
        found["items"] = sorted(tuple(item[name] for name in _ITEM) for item in found["items"])
    return found
