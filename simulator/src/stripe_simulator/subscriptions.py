"""New subscriptions (docs.stripe.com/api/subscriptions/create).

`allow_incomplete` charges at once and leaves the subscription incomplete when that fails; `default_incomplete` waits
for the client; `error_if_incomplete` makes none when the charge fails
(docs.stripe.com/billing/subscriptions/overview#subscription-payment-behavior).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from stripe_simulator.errors import StripeFault, invalid
from stripe_simulator.forms import flag
from stripe_simulator.items import announce_invoice, check_currency, new_item, period_lines, wanted_items
from stripe_simulator.parameters import choice, integer, listed, merge_metadata, nested, require
from stripe_simulator.periods import period_end
from stripe_simulator.shapes import shape

if TYPE_CHECKING:
    from stripe_simulator.coupons import Coupons
    from stripe_simulator.events import Events
    from stripe_simulator.invoices import Invoices
    from stripe_simulator.items import Wanted
    from stripe_simulator.payment_methods import PaymentMethods
    from stripe_simulator.setup_intents import SetupIntents
    from stripe_simulator.state import State

BEHAVIOURS: Final = {"allow_incomplete", "default_incomplete", "error_if_incomplete"}
MAXIMUM_TRIAL_DAYS: Final = 730
MISSING_METHOD: Final = {"create_invoice", "pause", "cancel"}


class Terms(NamedTuple):
    """What a new subscription is made of, checked before anything is stored."""

    customer: dict[str, Any]
    items: list[Wanted]
    method: dict[str, Any] | None
    trial_end: int | None
    coupons: list[dict[str, Any]]
    behaviour: str
    collection: str
    days_until_due: int | None


class Subscriptions:
    """Makes subscriptions."""

    def __init__(
        self,
        state: State,
        events: Events,
        *,
        invoices: Invoices,
        methods: PaymentMethods,
        setups: SetupIntents,
        coupons: Coupons,
    ) -> None:
        self._state = state
        self._events = events
        self._invoices = invoices
        self._methods = methods
        self._setups = setups
        self._coupons = coupons

    def create(self, params: dict[str, Any], **hidden: Any) -> dict[str, Any]:
        """Create a subscription, open its first invoice and try to collect it."""
        terms = self._terms(params)
        free = terms.trial_end is not None
        if not free and terms.collection == "charge_automatically":
            self._refuse_early(terms)
        subscription = self._new(params, terms, hidden)
        lines = period_lines(self._state, subscription["items"]["data"], free=free)
        if free:
            subscription["status"] = "trialing"
        elif terms.collection == "send_invoice" or not self._invoices.due(subscription, lines).due:
            subscription["status"] = "active"
        if free and terms.method is None:
            setup = self._setups.new(customer=subscription["customer"], subscription=subscription["id"])
            subscription["pending_setup_intent"] = setup["id"]
            self._events.emit("setup_intent.created", setup)
        announce_invoice(self._state, subscription)
        self._events.emit("customer.subscription.created", subscription)
        self._collect(subscription, terms, lines)
        self._state.touch(subscription)
        return subscription

    def _terms(self, params: dict[str, Any]) -> Terms:
        require(params, "customer")
        if not listed(params, "items"):
            raise invalid("Missing required param: items.", param="items", code="parameter_missing")
        customer = self._state.referenced("customer", params, "customer")
        collection = choice(
            params, "collection_method", {"charge_automatically", "send_invoice"}, default="charge_automatically"
        )
        days = integer(params, "days_until_due", least=0)
        if (collection == "send_invoice") != (days is not None):
            raise invalid("days_until_due goes with collection_method=send_invoice.", param="days_until_due")
        merge_metadata({}, params)
        items = wanted_items(self._state, params["items"])
        check_currency(self._state, customer["id"], items)
        return Terms(
            customer=customer,
            items=items,
            method=self._method(customer, params),
            trial_end=trial_end(self._state, params),
            coupons=self._coupons.check(params),
            behaviour=choice(params, "payment_behavior", BEHAVIOURS, default="allow_incomplete"),
            collection=collection,
            days_until_due=days,
        )

    def _method(self, customer: dict[str, Any], params: dict[str, Any]) -> dict[str, Any] | None:
        chosen = params.get("default_payment_method") or customer["invoice_settings"]["default_payment_method"]
        return self._methods.owned(chosen, customer["id"]) if chosen else None

    def _refuse_early(self, terms: Terms) -> None:
        """Refuse what cannot become a subscription; nothing is stored then."""
        owed = sum(item.cost for item in terms.items)
        if not owed or terms.behaviour == "default_incomplete":
            return
        if terms.method is None:
            raise invalid(
                "This customer has no attached payment source or default payment method. Please consider adding a "
                "default payment method.",
                code="resource_missing",
            )
        card = self._methods.card(terms.method)
        if terms.behaviour == "error_if_incomplete" and card.decline is not None:
            raise card.refusal()
        if terms.behaviour == "error_if_incomplete" and card.authenticates:
            raise StripeFault(
                402,
                "card_error",
                "Payment for this subscription requires additional user action before it can be completed "
                "successfully.",
                code="subscription_payment_intent_requires_action",
            )

    def _new(self, params: dict[str, Any], terms: Terms, hidden: dict[str, Any]) -> dict[str, Any]:
        start = self._state.now
        end = terms.trial_end or period_end(start, terms.items[0].price["recurring"])
        subscription_id = self._state.new_id("sub")
        items = [
            new_item(self._state, wanted, subscription=subscription_id, start=start, end=end) for wanted in terms.items
        ]
        subscription = shape("subscription") | {
            "id": subscription_id,
            "billing_cycle_anchor": end if terms.trial_end else start,
            "collection_method": terms.collection,
            "created": start,
            "currency": terms.items[0].price["currency"],
            "customer": terms.customer["id"],
            "days_until_due": terms.days_until_due,
            "default_payment_method": terms.method["id"]
            if params.get("default_payment_method") and terms.method
            else None,
            "description": params.get("description") or None,
            "livemode": self._state.livemode,
            "metadata": merge_metadata({}, params),
            "start_date": start,
            "trial_end": terms.trial_end,
            "trial_start": start if terms.trial_end else None,
        }
        url = f"/v1/subscription_items?subscription={subscription_id}"
        subscription["items"] |= {"data": items, "url": url}
        set_options(subscription, params)
        if flag(params.get("cancel_at_period_end")):
            subscription |= {"cancel_at_period_end": True, "cancel_at": end, "canceled_at": start}
        self._state.add(subscription, pending_lines=[], told_trial_end=False, **hidden)
        self._state.hidden(terms.customer).setdefault("subscriptions", []).append(subscription_id)
        self._state.touch(terms.customer)
        subscription["discounts"] = [
            self._coupons.redeem(coupon, customer=terms.customer["id"], subscription=subscription_id)
            for coupon in terms.coupons
        ]
        return subscription

    def _collect(self, subscription: dict[str, Any], terms: Terms, lines: list[dict[str, Any]]) -> None:
        invoice = self._invoices.open(subscription, lines, reason="subscription_create")
        if terms.collection == "send_invoice" and terms.days_until_due is not None:
            invoice["due_date"] = self._state.now + terms.days_until_due * 86400
            return
        if invoice["status"] == "open" and terms.behaviour != "default_incomplete":
            self._invoices.attempt(invoice, terms.method)


def trial_end(state: State, params: dict[str, Any]) -> int | None:
    """Return when a trial ends (docs.stripe.com/billing/subscriptions/trials); None: no trial."""
    wanted = params.get("trial_end")
    if wanted and wanted != "now":
        moment = integer(params, "trial_end")
        if moment is not None and moment <= state.now:
            raise invalid("Invalid timestamp: must be an integer Unix timestamp in the future.", param="trial_end")
        return moment
    days = integer(params, "trial_period_days", least=0, most=MAXIMUM_TRIAL_DAYS)
    return state.now + days * 86400 if days else None


def set_options(subscription: dict[str, Any], params: dict[str, Any]) -> None:
    """Set what the parameters of creation and update share."""
    settings = nested(params, "payment_settings")
    if "save_default_payment_method" in settings:
        subscription["payment_settings"]["save_default_payment_method"] = choice(
            settings, "save_default_payment_method", {"on_subscription", "off"}, default="off"
        )
    end_behaviour = nested(nested(params, "trial_settings"), "end_behavior")
    if end_behaviour:
        subscription["trial_settings"]["end_behavior"]["missing_payment_method"] = choice(
            end_behaviour, "missing_payment_method", MISSING_METHOD, default="create_invoice"
        )
