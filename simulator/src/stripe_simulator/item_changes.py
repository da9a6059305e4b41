"""What a change of a subscription's items or trial makes: prorations, a new period, an invoice.

docs.stripe.com/billing/subscriptions/prorations. A preview and the change itself are worked out by the same code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from stripe_simulator.errors import invalid
from stripe_simulator.forms import flag
from stripe_simulator.items import (
    charge_line,
    check_currency,
    credit_line,
    made_item,
    next_lines,
    period_lines,
    wanted_items,
)
from stripe_simulator.parameters import choice, integer, listed, nested, require
from stripe_simulator.periods import period_end
from stripe_simulator.shapes import shape

if TYPE_CHECKING:
    from stripe_simulator.invoices import Invoices
    from stripe_simulator.items import Wanted
    from stripe_simulator.state import State

PRORATIONS: Final = {"create_prorations", "always_invoice", "none"}


MAXIMUM_TRIAL_SECONDS: Final = 730 * 86400
"""docs.stripe.com/api/subscriptions/update#update_subscription-trial_end: two years from `billing_cycle_anchor`."""


class Plan(NamedTuple):
    """What a change comes to."""

    items: list[dict[str, Any]]
    """As they are to be; copies, new ones among them."""
    lines: list[dict[str, Any]]
    """Prorations, and the new period where one begins at once."""
    at_once: bool
    """Whether the lines are invoiced at once, with what waited for the next invoice."""
    trial_end: int | None = None
    """When the trial is to end, or has ended; None: nothing is said of it."""


def plan_items(state: State, subscription: dict[str, Any], wanted: list[Wanted], params: dict[str, Any]) -> Plan:
    """Work out a change; nothing is stored.

    Another interval begins a new period at once and is invoiced at once (docs.stripe.com/billing/subscriptions/change),
    and so does the end of a trial. In a trial nothing is owed.
    """
    behaviour = choice(params, "proration_behavior", PRORATIONS, default="create_prorations")
    data = subscription["items"]["data"]
    moment = _proration_date(state, data[0], params)
    trial = _trial(state, subscription, params)
    free = subscription["status"] == "trialing"
    given = trial is not None and trial > state.now
    settled = behaviour != "none" and not free
    restarts = _restarts(subscription, wanted, ends=trial is not None and not given, given=given)
    start, end = data[0]["current_period_start"], data[0]["current_period_end"]
    by_id = {item["id"]: item for item in data}
    items: list[dict[str, Any]] = []
    lines: list[dict[str, Any]] = []
    for want in wanted:
        old = by_id.get(want.item_id or "")
        made = old or made_item(state, want, subscription=subscription["id"], start=start, end=end)
        item = made | {"price": want.price, "quantity": want.quantity, "metadata": want.metadata}
        same = old is not None and (old["price"]["id"], old["quantity"]) == (want.price["id"], want.quantity)
        if settled and (restarts or given or want.deleted or not same):
            lines += credit_line(state, old, moment=moment) if old else []
            lines += [] if restarts or given or want.deleted else charge_line(state, item, moment=moment)
        if restarts:
            item |= {"current_period_start": state.now, "current_period_end": _end(state.now, want.price)}
        elif given:
            item |= {"current_period_end": trial} | ({} if free else {"current_period_start": state.now})
        items += [] if want.deleted else [item]
    if restarts:
        lines += period_lines(state, items)
    return Plan(items, lines, restarts or (behaviour == "always_invoice" and bool(lines)), trial)


def _proration_date(state: State, item: dict[str, Any], params: dict[str, Any]) -> int:
    moment = integer(params, "proration_date", default=state.now) or 0
    if not item["current_period_start"] <= moment <= item["current_period_end"]:
        raise invalid("Cannot specify a proration date outside of the current period.", param="proration_date")
    return moment


def _trial(state: State, subscription: dict[str, Any], params: dict[str, Any]) -> int | None:
    """Return when a trial is to end (docs.stripe.com/billing/subscriptions/trials); None: nothing changes."""
    wanted = params.get("trial_end")
    if not wanted or (wanted == "now" and subscription["status"] != "trialing"):
        return None
    if wanted == "now":
        return state.now
    moment = integer(params, "trial_end")
    if moment is not None and moment <= state.now:
        raise invalid("Invalid timestamp: must be an integer Unix timestamp in the future.", param="trial_end")
    if moment is not None and moment > subscription["billing_cycle_anchor"] + MAXIMUM_TRIAL_SECONDS:
        raise invalid("Invalid timestamp: can be no more than two years in the future.", param="trial_end")
    return moment


def _restarts(subscription: dict[str, Any], wanted: list[Wanted], *, ends: bool, given: bool) -> bool:
    """Tell whether a new period begins at once: a trial ends, or the interval is another one and no trial runs."""
    if ends or given or subscription["status"] == "trialing":
        return ends
    price = next(want for want in wanted if not want.deleted).price
    return _interval(subscription["items"]["data"][0]["price"]) != _interval(price)


def take(
    state: State, subscription: dict[str, Any], items: list[dict[str, Any]], *, trial_end: int | None = None
) -> None:
    """Let a subscription have these items and this end of its trial; another interval has begun a new period."""
    former = subscription["items"]["data"][0]["current_period_start"]
    taken = []
    for item in items:
        stored = state.objects.get(item["id"])
        if stored is None:
            stored = state.add(item)
        else:
            stored |= item
        state.touch(stored)
        taken.append(stored)
    if taken[0]["current_period_start"] != former:
        subscription["billing_cycle_anchor"] = taken[0]["current_period_start"]
    if trial_end is not None:
        runs = taken[0]["current_period_end"] == trial_end
        subscription |= {
            "billing_cycle_anchor": trial_end,
            "status": "trialing" if runs else "active",
            "trial_end": trial_end,
            "trial_start": subscription["trial_start"] or state.now,
        }
        state.hidden(subscription)["told_trial_end"] = False
    subscription["items"] |= {"data": taken}


def preview(state: State, invoices: Invoices, params: dict[str, Any]) -> dict[str, Any]:
    """Return the next invoice, or that of a change, without storing anything.

    docs.stripe.com/api/invoices/create_preview, since 2025-03-31.basil in place of the upcoming invoice.
    """
    if not params.get("subscription"):
        return _preview_creation(state, invoices, params)
    subscription = state.referenced("subscription", params, "subscription")
    if subscription["status"] in {"canceled", "incomplete_expired"}:
        raise invalid("You cannot preview the upcoming invoice for a canceled subscription.", param="subscription")
    details = nested(params, "subscription_details")
    if flag(details.get("cancel_now")) or flag(details.get("cancel_at_period_end")):
        return _preview_cancellation(state, invoices, subscription, details)
    data = subscription["items"]["data"]
    lines = list(state.hidden(subscription)["pending_lines"])
    upcoming = data
    at_once = False
    if details.get("items") or details.get("trial_end"):
        plan = plan_items(state, subscription, wanted_items(state, listed(details, "items"), current=data), details)
        lines, upcoming, at_once = [*lines, *plan.lines], plan.items, plan.at_once
    if not at_once:
        lines += next_lines(state, upcoming)
    invoice = invoices.compose(subscription, [dict(each) for each in lines], reason="upcoming")
    invoice["id"] = f"upcoming_{invoice['id']}"
    if not at_once:
        invoice["next_payment_attempt"] = data[0]["current_period_end"]
    return invoice


def _preview_creation(state: State, invoices: Invoices, params: dict[str, Any]) -> dict[str, Any]:
    """Return the first invoice of a subscription that is not there yet."""
    require(params, "customer")
    details, customer = nested(params, "subscription_details"), state.referenced("customer", params, "customer")
    if not listed(details, "items"):
        raise invalid("Missing required param: items.", param="subscription_details[items]", code="parameter_missing")
    wanted = wanted_items(state, details["items"])
    check_currency(state, customer["id"], wanted)
    start, end = state.now, _end(state.now, wanted[0].price)
    items = [made_item(state, want, subscription="", start=start, end=end) for want in wanted]
    order = shape("subscription") | {"currency": wanted[0].price["currency"], "customer": customer["id"]}
    order = state.add(order | {"id": state.new_id("sub"), "collection_method": "charge_automatically"})
    order["items"] = order["items"] | {"data": items}
    invoice = invoices.compose(order, period_lines(state, items), reason="upcoming")
    state.remove(order)  # it was stored for as long as the invoice was worked out
    invoice["id"] = f"upcoming_{invoice['id']}"
    invoice["parent"]["subscription_details"]["subscription"] = None
    return invoice


def _preview_cancellation(
    state: State, invoices: Invoices, subscription: dict[str, Any], details: dict[str, Any]
) -> dict[str, Any]:
    """Return the last invoice of a subscription that is canceled now, or with its period."""
    lines = list(state.hidden(subscription)["pending_lines"])
    behaviour = choice(details, "proration_behavior", PRORATIONS, default="create_prorations")
    if flag(details.get("cancel_now")) and behaviour != "none":
        lines += cancellation_lines(state, subscription)
    if not lines:
        raise invalid(
            f"No upcoming invoices for customer: {subscription['customer']}", code="invoice_upcoming_none", status=404
        )
    invoice = invoices.compose(subscription, [dict(each) for each in lines], reason="upcoming")
    invoice["id"] = f"upcoming_{invoice['id']}"
    return invoice


def cancellation_lines(state: State, subscription: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the credit for the time that a cancellation leaves unused; a trial leaves none."""
    if subscription["status"] != "active":
        return []
    of_items = [credit_line(state, item, moment=state.now) for item in subscription["items"]["data"]]
    return [line for lines in of_items for line in lines]


def _interval(price: dict[str, Any]) -> tuple[Any, Any]:
    return price["recurring"]["interval"], price["recurring"]["interval_count"]


def _end(start: int, price: dict[str, Any]) -> int:
    return period_end(start, price["recurring"])
