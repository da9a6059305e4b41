"""A second calculator of prorations, written from Stripe's description, apart from the simulator.

docs.stripe.com/billing/subscriptions/prorations: whoever changes a subscription gets the unused part of the former
price back and pays the new one for the rest of the period, both by the second; docs.stripe.com/billing/subscriptions/
change: another interval begins a period of its own, paid in full. In a trial nothing is owed
(docs.stripe.com/billing/subscriptions/trials): its end begins the first period, which is paid in full.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, localcontext
from fractions import Fraction
from typing import Literal

Trial = Literal["none", "runs", "moves", "ends"]
"""Whether a trial runs when the change is made, and what the change does with it."""


@dataclass(frozen=True, kw_only=True)
class Ordered:
    """What is ordered: minor units for a unit of a period."""

    unit: int
    quantity: int
    interval: Literal["month", "year"] = "month"

    @property
    def cost(self) -> int:
        return self.unit * self.quantity


@dataclass(frozen=True, kw_only=True)
class Due:
    """What a change comes to, in minor units."""

    now: int | None
    """Total of the invoice that it makes at once; None: it makes none."""
    parts: list[int]
    """The parts of the period, the credit first."""
    following: int | None
    """Total of the next invoice; None where a new interval has begun."""


def share(amount: int, *, left: int, whole: int) -> int:
    """Return a part of an amount to the minor unit; halves go away from zero."""
    exact = Fraction(amount * left, whole)
    with localcontext(prec=60):
        value = Decimal(exact.numerator) / Decimal(exact.denominator)
        return int(value.quantize(Decimal(1), rounding=ROUND_HALF_UP))


def due(before: Ordered, after: Ordered, *, left: int, whole: int, behavior: str, trial: Trial = "none") -> Due:
    """Return what a change comes to with so many seconds left of the period, or in a trial."""
    if trial == "ends":
        return Due(now=after.cost, parts=[], following=None)
    if trial != "none":
        return Due(now=None, parts=[], following=after.cost)
    restarts = before.interval != after.interval
    parts: list[int] = []
    if behavior != "none" and (before.unit, before.quantity, before.interval) != (
        after.unit,
        after.quantity,
        after.interval,
    ):
        back, on = -share(before.cost, left=left, whole=whole), share(after.cost, left=left, whole=whole)
        parts = [part for part, owed in ((back, before.cost), (on, 0 if restarts else after.cost)) if owed]
    if restarts:
        return Due(now=sum(parts) + after.cost, parts=parts, following=None)
    if behavior == "always_invoice" and parts:
        return Due(now=sum(parts), parts=parts, following=after.cost)
    return Due(now=None, parts=parts, following=sum(parts) + after.cost)
