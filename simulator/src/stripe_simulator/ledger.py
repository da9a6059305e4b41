"""What was charged to whom, so that tests can count money."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stripe_simulator.simulator import Simulator
    from stripe_simulator.world import World


def ledger(simulator: Simulator | World) -> dict[str, Any]:
    """Return the money that moved: every successful charge with its refunds, and sums by customer.

    `total_by_customer` is what was taken, `net_by_customer` what was left after refunds.
    """
    state = simulator.state
    charges = [
        {
            "id": charge["id"],
            "amount": charge["amount_captured"],
            "amount_refunded": charge["amount_refunded"],
            "currency": charge["currency"],
            "customer": charge["customer"],
            "disputed": charge["disputed"],
            "payment_intent": charge["payment_intent"],
            **_origin(simulator, charge["payment_intent"]),
        }
        for charge in reversed(state.all("charge"))
        if charge["paid"] and charge["captured"]
    ]
    totals: Counter[str] = Counter()
    net: Counter[str] = Counter()
    for charge in charges:
        totals[charge["customer"]] += charge["amount"]
        net[charge["customer"]] += charge["amount"] - charge["amount_refunded"]
    return {"charges": charges, "total_by_customer": dict(totals), "net_by_customer": dict(net)}


def _origin(simulator: Simulator | World, intent_id: str) -> dict[str, str | None]:
    state = simulator.state
    invoice = state.objects.get(state.hidden(state.objects[intent_id]).get("invoice") or "")
    if invoice is None:
        return {"invoice": None, "subscription": None}
    return {"invoice": invoice["id"], "subscription": state.hidden(invoice)["subscription"]}
