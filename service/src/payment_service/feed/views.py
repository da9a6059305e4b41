"""Shows a state as the API's routes show a row: by the same functions."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

from payment_service.customers.store import to_view as customer_view
from payment_service.payment_methods.store import to_setup_intent_view
from payment_service.payment_methods.store import to_view as payment_method_view
from payment_service.refunds.store import to_view as refund_view
from payment_service.subscriptions.store import to_view as subscription_view

if TYPE_CHECKING:
    from payment_service.customers.schemas import CustomerView
    from payment_service.feed.states import State
    from payment_service.payment_methods.schemas import PaymentMethodView, SetupIntentView
    from payment_service.payment_methods.store import StoredRow
    from payment_service.refunds.schemas import RefundView
    from payment_service.storage.rows import CustomerRow, SubscriptionRow
    from payment_service.subscriptions.schemas import SubscriptionView


class StateRow(SimpleNamespace):
    """A state where a row is asked for."""

    @property
    def _mapping(self) -> dict[str, object]:
        return vars(self)


def subscription(state: State) -> SubscriptionView:
    """Show a subscription."""
    return subscription_view(cast("SubscriptionRow", StateRow(**state)))


def customer(state: State) -> CustomerView:
    """Show a customer."""
    return customer_view(cast("CustomerRow", StateRow(**state)))


def setup_intent(state: State) -> SetupIntentView:
    """Show a setup intent; `customer` of the state is the row of its customer."""
    owner = cast("State | None", state["customer"])
    joined = {"customer_id": None if owner is None else owner["id"]}
    return to_setup_intent_view(cast("StoredRow", StateRow(**state, **joined)))


def refund(state: State) -> RefundView:
    """Show a refund."""
    return refund_view(cast("StoredRow", StateRow(**state)))


def payment_method(state: State) -> PaymentMethodView:
    """Show a payment method; `customer` of the state is the row of whose it is, or was before it was detached."""
    owner = cast("State | None", state["customer"])
    if owner is None or owner["deleted"] or state["stripe_customer_id"] is None:
        joined: State = {"customer_id": None, "is_default": False}
    else:
        joined = {"customer_id": owner["id"], "is_default": owner["default_payment_method_id"] == state["id"]}
    return payment_method_view(cast("StoredRow", StateRow(**state, **joined)))
