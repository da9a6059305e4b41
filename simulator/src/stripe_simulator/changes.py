"""Changes of a running subscription (docs.stripe.com/api/subscriptions/update)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from stripe_simulator.errors import invalid
from stripe_simulator.forms import flag
from stripe_simulator.items import (
    announce_invoice,
    check_currency,
    cost,
    line,
    new_item,
    period_lines,
    proration_lines,
    wanted_items,
)
from stripe_simulator.parameters import change, choice, integer, listed, nested
from stripe_simulator.periods import period_end
from stripe_simulator.subscriptions import set_options

if TYPE_CHECKING:
    from stripe_simulator.coupons import Coupons
    from stripe_simulator.events import Events
    from stripe_simulator.invoices import Invoices
    from stripe_simulator.items import Wanted
    from stripe_simulator.payment_methods import PaymentMethods
    from stripe_simulator.state import State

PRORATIONS: Final = {"create_prorations", "always_invoice", "none"}
INCOMPLETE_TAKES: Final = {"metadata", "default_payment_method", "default_source", "expand"}
PAUSES: Final = {"keep_as_draft", "mark_uncollectible", "void"}


class Changes:
    """Prices, quantities, trials, pauses, cancellation dates."""

    def __init__(
        self, state: State, events: Events, invoices: Invoices, methods: PaymentMethods, coupons: Coupons
    ) -> None:
        self._state = state
        self._events = events
        self._invoices = invoices
        self._methods = methods
        self._coupons = coupons

    def apply(self, subscription: dict[str, Any], params: dict[str, Any]) -> None:
        """Check the whole call, then change; `previous_attributes` of the event tell what was."""
        if subscription["status"] == "incomplete":
            _refuse_more(params)
        behaviour = choice(params, "proration_behavior", PRORATIONS, default="create_prorations")
        current = subscription["items"]["data"]
        wanted = wanted_items(self._state, listed(params, "items"), current=current) if params.get("items") else []
        check_currency(self._state, subscription["customer"], wanted, current=subscription)
        coupons = self._coupons.check(params)
        chosen = params.get("default_payment_method")
        method = self._methods.owned(chosen, subscription["customer"]) if chosen else None
        pause = self._pause(params)
        previous = change(subscription, params, ("description",))
        if method is not None:
            previous["default_payment_method"] = subscription["default_payment_method"]
            subscription["default_payment_method"] = method["id"]
        if pause is not None:
            previous["pause_collection"] = subscription["pause_collection"]
            subscription["pause_collection"] = pause or None
        set_options(subscription, params)
        self._cancellation(subscription, params, previous)
        self._discounts(subscription, params, coupons)
        due = self._trial(subscription, params, previous)
        if wanted:
            previous["items"] = {"data": [dict(item) for item in current]}
            due = self._items(subscription, wanted, params, behaviour) or due
        self._state.touch(subscription)
        if due:
            previous["latest_invoice"] = subscription["latest_invoice"]
            announce_invoice(self._state, subscription)
        self._events.emit("customer.subscription.updated", subscription, previous=previous)
        if due:
            self._invoice(subscription, period_lines(self._state, subscription) if due == "period" else [])

    def _pause(self, params: dict[str, Any]) -> dict[str, Any] | None:
        """Return the wanted pause; `{}` ends one (docs.stripe.com/billing/subscriptions/pause-payment)."""
        if "pause_collection" not in params:
            return None
        if not (wanted := nested(params, "pause_collection")):
            return {}
        return {
            "behavior": choice(wanted, "behavior", PAUSES, default=""),
            "resumes_at": integer(wanted, "resumes_at", least=self._state.now),
        }

    def _cancellation(self, subscription: dict[str, Any], params: dict[str, Any], previous: dict[str, Any]) -> None:
        """docs.stripe.com/billing/subscriptions/cancel: with the period, at a date, or not any more."""
        if "cancel_at_period_end" not in params and "cancel_at" not in params:
            return
        for name in ("cancel_at_period_end", "cancel_at", "canceled_at"):
            previous[name] = subscription[name]
        ends = flag(params.get("cancel_at_period_end"))
        moment = subscription["items"]["data"][0]["current_period_end"] if ends else integer(params, "cancel_at")
        subscription |= {
            "cancel_at_period_end": ends,
            "cancel_at": moment,
            "canceled_at": None if moment is None else self._state.now,
        }
        details = nested(params, "cancellation_details")
        reason = None if moment is None else "cancellation_requested"
        subscription["cancellation_details"] |= details | {"reason": reason}

    def _discounts(self, subscription: dict[str, Any], params: dict[str, Any], coupons: list[dict[str, Any]]) -> None:
        if "discounts" in params:
            subscription["discounts"] = [
                self._coupons.redeem(coupon, customer=subscription["customer"], subscription=subscription["id"])
                for coupon in coupons
            ]

    def _trial(self, subscription: dict[str, Any], params: dict[str, Any], previous: dict[str, Any]) -> str:
        """Move the end of a trial; `now` ends it and bills (docs.stripe.com/billing/subscriptions/trials)."""
        if not params.get("trial_end"):
            return ""
        now, data = self._state.now, subscription["items"]["data"]
        ending = params["trial_end"] == "now"
        if ending and subscription["status"] != "trialing":
            return ""
        end = now if ending else integer(params, "trial_end", least=now)
        assert end is not None
        previous |= {"trial_end": subscription["trial_end"], "status": subscription["status"]}
        subscription |= {"trial_end": end, "billing_cycle_anchor": end, "status": "active" if ending else "trialing"}
        subscription["trial_start"] = subscription["trial_start"] or now
        for item in data:
            item["current_period_start"] = now if ending else item["current_period_start"]
            item["current_period_end"] = period_end(now, item["price"]["recurring"]) if ending else end
            self._state.touch(item)
        return "period" if ending else ""

    def _items(self, subscription: dict[str, Any], wanted: list[Wanted], params: dict[str, Any], behaviour: str) -> str:
        """Change the items; return what to invoice at once."""
        moment = integer(params, "proration_date", default=self._state.now) or 0
        data = subscription["items"]["data"]
        start, end = data[0]["current_period_start"], data[0]["current_period_end"]
        if not start <= moment <= end:
            raise invalid("Cannot specify a proration date outside of the current period.", param="proration_date")
        free = subscription["status"] == "trialing"
        restarts = _interval(data[0]["price"]) != _interval(next(w for w in wanted if not w.deleted).price) and not free
        lines: list[dict[str, Any]] = []
        items = []
        for want in wanted:
            item = self._state.objects.get(want.item_id or "")
            before = 0 if item is None else cost(item["price"], item["quantity"])
            same = (
                item is not None
                and not want.deleted
                and item["price"]["id"] == want.price["id"]
                and item["quantity"] == want.quantity
            )
            if item is None:
                item = new_item(self._state, want, subscription=subscription["id"], start=start, end=end)
            item |= {"price": want.price, "quantity": want.quantity, "metadata": want.metadata}
            self._state.touch(item)
            if not want.deleted:
                items.append(item)
            if not free and behaviour != "none" and not (same and not restarts):
                after = 0 if restarts or want.deleted else want.cost
                lines += proration_lines(self._state, item, before=before, after=after, moment=moment)
        subscription["items"] |= {"data": items}
        self._state.hidden(subscription)["pending_lines"] += lines
        if restarts:
            self._restart(subscription)
            return "period"
        return "prorations" if behaviour == "always_invoice" and lines else ""

    def _restart(self, subscription: dict[str, Any]) -> None:
        """docs.stripe.com/billing/subscriptions/change: another interval begins a new period at once."""
        now = self._state.now
        subscription["billing_cycle_anchor"] = now
        for item in subscription["items"]["data"]:
            item["current_period_start"] = now
            item["current_period_end"] = period_end(now, item["price"]["recurring"])

    def _invoice(self, subscription: dict[str, Any], lines: list[dict[str, Any]]) -> None:
        hidden = self._state.hidden(subscription)
        lines = [*hidden["pending_lines"], *lines]
        hidden["pending_lines"] = []
        invoice = self._invoices.open(subscription, lines, reason="subscription_update")
        if invoice["status"] == "open" and subscription["collection_method"] == "charge_automatically":
            chosen = self._invoices.default_method(invoice)
            self._invoices.attempt(invoice, self._methods.find(chosen) if chosen else None)

    def settle_cancellation(self, subscription: dict[str, Any], params: dict[str, Any]) -> None:
        """Credit unused time and invoice what is open, when the cancellation asks for it.

        docs.stripe.com/api/subscriptions/cancel: `prorate` and `invoice_now`.
        """
        hidden, now = self._state.hidden(subscription), self._state.now
        if flag(params.get("prorate")) and subscription["status"] == "active":
            for item in subscription["items"]["data"]:
                before = cost(item["price"], item["quantity"])
                hidden["pending_lines"] += proration_lines(self._state, item, before=before, after=0, moment=now)
        if flag(params.get("invoice_now")) and hidden["pending_lines"]:
            self._invoice(subscription, [])

    def preview(self, params: dict[str, Any]) -> dict[str, Any]:
        """Return the next invoice, or that of a change, without storing anything.

        docs.stripe.com/api/invoices/create_preview, since 2025-03-31.basil in place of the upcoming invoice.
        """
        subscription = self._state.referenced("subscription", params, "subscription")
        details = nested(params, "subscription_details")
        data = subscription["items"]["data"]
        lines = list(self._state.hidden(subscription)["pending_lines"])
        moment = integer(details, "proration_date", default=self._state.now) or 0
        behaviour = choice(details, "proration_behavior", PRORATIONS, default="create_prorations")
        upcoming = data
        if details.get("items"):
            wanted = wanted_items(self._state, listed(details, "items"), current=data)
            by_id = {item["id"]: item for item in data}
            upcoming = []
            for want in wanted:
                old = by_id.get(want.item_id or "")
                item = (old or data[0]) | {"price": want.price, "quantity": want.quantity}
                before = 0 if old is None else cost(old["price"], old["quantity"])
                after = 0 if want.deleted else want.cost
                if before != after and behaviour != "none":
                    lines += proration_lines(self._state, item, before=before, after=after, moment=moment)
                upcoming += [] if want.deleted else [item]
        if behaviour != "always_invoice":
            lines += [self._next_line(item) for item in upcoming]
        invoice = self._invoices.compose(subscription, [dict(each) for each in lines], reason="upcoming")
        invoice["id"] = f"upcoming_{invoice['id']}"
        return invoice

    def _next_line(self, item: dict[str, Any]) -> dict[str, Any]:
        start = item["current_period_end"]
        return line(
            self._state,
            item,
            amount=cost(item["price"], item["quantity"]),
            start=start,
            end=period_end(start, item["price"]["recurring"]),
            description="Next period",
        )


def _refuse_more(params: dict[str, Any]) -> None:
    """Refuse what an incomplete subscription does not take, a cancellation with its period among it.

    docs.stripe.com/billing/subscriptions/overview#subscription-statuses: until the first payment, metadata and the
    default source or payment method are all that can change.
    """
    for name in params:
        if name not in INCOMPLETE_TAKES:
            raise invalid(
                "This subscription is incomplete: only its metadata and default payment method can be updated.",
                param=name,
            )


def _interval(price: dict[str, Any]) -> tuple[Any, Any]:
    return price["recurring"]["interval"], price["recurring"]["interval_count"]
