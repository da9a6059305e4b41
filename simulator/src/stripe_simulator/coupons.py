"""Coupons and the discounts that they give (docs.stripe.com/api/coupons, docs.stripe.com/api/discounts)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stripe_simulator.errors import invalid
from stripe_simulator.parameters import change, choice, integer, listed, merge_metadata
from stripe_simulator.periods import period_end
from stripe_simulator.shapes import shape
from stripe_simulator.state import random_text

if TYPE_CHECKING:
    from stripe_simulator.events import Events
    from stripe_simulator.state import State


class Coupons:
    """What is taken off."""

    def __init__(self, state: State, events: Events) -> None:
        self._state = state
        self._events = events

    def create(self, params: dict[str, Any]) -> dict[str, Any]:
        """Create a coupon (docs.stripe.com/api/coupons/create): a percentage, or an amount of one currency."""
        amount, percent = integer(params, "amount_off", least=1), _percent(params)
        if (amount is None) == (percent is None):
            raise invalid("You must pass either amount_off or percent_off.", param="percent_off")
        if amount is not None and not params.get("currency"):
            raise invalid("You must pass currency when passing amount_off.", param="currency")
        duration = choice(params, "duration", {"forever", "once", "repeating"}, default="once")
        months = integer(params, "duration_in_months", least=1)
        if (duration == "repeating") != (months is not None):
            raise invalid("duration_in_months goes with duration=repeating.", param="duration_in_months")
        if params.get("id") in self._state.objects:
            raise invalid("Coupon already exists.", param="id", code="resource_already_exists")
        coupon = self._state.add(
            shape("coupon")
            | {
                "id": params.get("id") or random_text(8).upper(),
                "amount_off": amount,
                "created": self._state.now,
                "currency": params.get("currency") or None,
                "duration": duration,
                "duration_in_months": months,
                "livemode": self._state.livemode,
                "max_redemptions": integer(params, "max_redemptions", least=1),
                "metadata": merge_metadata({}, params),
                "name": params.get("name") or None,
                "percent_off": percent,
                "redeem_by": integer(params, "redeem_by", least=self._state.now),
            }
        )
        self._events.emit("coupon.created", coupon)
        return coupon

    def update(self, coupon: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
        """Change name and metadata (docs.stripe.com/api/coupons/update)."""
        previous = change(coupon, params, ("name",))
        self._state.touch(coupon)
        self._events.emit("coupon.updated", coupon, previous=previous)
        return coupon

    def delete(self, coupon: dict[str, Any]) -> dict[str, Any]:
        """Delete a coupon; discounts given stay (docs.stripe.com/api/coupons/delete)."""
        self._events.emit("coupon.deleted", coupon)
        self._state.remove(coupon)
        return {"id": coupon["id"], "object": "coupon", "deleted": True}

    def check(self, params: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the coupons that `discounts` names (docs.stripe.com/billing/subscriptions/coupons)."""
        found = []
        for index, wanted in enumerate(listed(params, "discounts")):
            param = f"discounts[{index}][coupon]"
            coupon = self._state.get("coupon", str(wanted.get("coupon") or ""), param=param, status=400)
            if not self._redeemable(coupon):
                raise invalid(f"Coupon expired: {coupon['id']}", param=param, code="coupon_expired")
            found.append(coupon)
        return found

    def _redeemable(self, coupon: dict[str, Any]) -> bool:
        return (coupon["max_redemptions"] is None or coupon["times_redeemed"] < coupon["max_redemptions"]) and (
            coupon["redeem_by"] is None or self._state.now <= coupon["redeem_by"]
        )

    def redeem(self, coupon: dict[str, Any], *, customer: str, subscription: str) -> str:
        """Give a subscription the coupon's discount; return its id (docs.stripe.com/api/discounts/object)."""
        months, start = coupon["duration_in_months"], self._state.now
        coupon["times_redeemed"] += 1
        coupon["valid"] = self._redeemable(coupon)
        self._state.touch(coupon)
        end = period_end(start, {"interval": "month", "interval_count": months}) if months else None
        discount = shape("discount") | {
            "id": self._state.new_id("di"),
            "customer": customer,
            "end": end,
            "source": {"coupon": coupon["id"], "type": "coupon"},
            "start": start,
            "subscription": subscription,
        }
        terms = {name: coupon[name] for name in ("amount_off", "percent_off", "duration")}
        self._state.add(discount, **terms)
        self._events.emit("customer.discount.created", discount)
        return str(discount["id"])

    def amounts(self, discounts: list[str], subtotal: int) -> list[dict[str, Any]]:
        """Return what each running discount takes off a subtotal, never below zero."""
        left, taken = max(0, subtotal), []
        for name in discounts:
            discount = self._state.objects[name]
            terms = self._state.hidden(discount)
            if discount["end"] is not None and discount["end"] <= self._state.now:
                continue
            percent = terms["percent_off"]
            amount = terms["amount_off"] if percent is None else round(subtotal * percent / 100)
            amount = min(left, amount)
            left -= amount
            taken.append({"amount": amount, "discount": name})
        return taken

    def after_invoice(self, discounts: list[str]) -> list[str]:
        """Return the discounts that stay after an invoice: those of duration `once` end with it."""
        kept = [name for name in discounts if self._state.hidden(self._state.objects[name])["duration"] != "once"]
        for name in discounts:
            if name not in kept:
                self._events.emit("customer.discount.deleted", self._state.objects[name])
        return kept


def _percent(params: dict[str, Any]) -> float | None:
    if not params.get("percent_off"):
        return None
    try:
        percent = float(params["percent_off"])
    except ValueError:
        raise invalid(f"Invalid decimal: {params['percent_off']}", param="percent_off") from None
    if not 0 < percent <= 100:  # noqa: PLR2004 - per cent
        raise invalid("Percentages must be greater than 0 and at most 100.", param="percent_off")
    return percent
