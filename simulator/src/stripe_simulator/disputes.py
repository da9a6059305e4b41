"""Disputes (docs.stripe.com/api/disputes): the customer's bank takes the money back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from stripe_simulator.errors import invalid
from stripe_simulator.forms import flag
from stripe_simulator.parameters import change, nested
from stripe_simulator.shapes import shape

if TYPE_CHECKING:
    from stripe_simulator.balance import Balance
    from stripe_simulator.events import Events
    from stripe_simulator.state import State

DISPUTE_FEE: Final = 1500
EVIDENCE_SECONDS: Final = 9 * 86400
CLOSED: Final = frozenset({"won", "lost"})


class Disputes:
    """Charges that customers deny."""

    def __init__(self, state: State, events: Events, balance: Balance) -> None:
        self._state = state
        self._events = events
        self._balance = balance

    def open(self, charge: dict[str, Any], *, reason: str) -> dict[str, Any]:
        """Dispute a charge (docs.stripe.com/disputes/how-disputes-work): the amount and a fee are withdrawn at once."""
        if charge["disputed"] or not charge["paid"]:
            raise invalid(f"Charge {charge['id']} cannot be disputed.", param="charge")
        dispute = shape("dispute") | {
            "id": self._state.new_id("du"),
            "amount": charge["amount"],
            "charge": charge["id"],
            "created": self._state.real_now,
            "currency": charge["currency"],
            "livemode": self._state.livemode,
            "payment_intent": charge["payment_intent"],
            "reason": reason,
        }
        dispute["evidence_details"]["due_by"] = self._state.real_now + EVIDENCE_SECONDS
        self._state.add(dispute)
        dispute["balance_transactions"] = [self._move(dispute, -charge["amount"], fee=DISPUTE_FEE)]
        charge["disputed"] = True
        self._state.touch(charge)
        self._events.emit("charge.dispute.created", dispute)
        self._events.emit("charge.dispute.funds_withdrawn", dispute)
        return dispute

    def _move(self, dispute: dict[str, Any], amount: int, *, fee: int = 0) -> dict[str, Any]:
        category = "dispute" if amount < 0 else "dispute_reversal"
        return self._balance.record(
            amount=amount,
            currency=dispute["currency"],
            source=dispute["id"],
            kind="adjustment",
            category=category,
            fee=fee,
        )

    def update(self, dispute: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
        """Add evidence, and submit it (docs.stripe.com/api/disputes/update)."""
        if dispute["status"] in CLOSED:
            raise invalid("This dispute is already closed.", code="resource_invalid_state")
        previous = change(dispute, params, ())
        evidence = nested(params, "evidence")
        if unknown := sorted(evidence.keys() - dispute["evidence"].keys()):
            raise invalid(
                f"Received unknown parameter: evidence[{unknown[0]}]", param="evidence", code="parameter_unknown"
            )
        dispute["evidence"] |= evidence
        if evidence:
            dispute["evidence_details"]["has_evidence"] = True
        if evidence and flag(params.get("submit"), default=True):
            previous["status"] = dispute["status"]
            dispute["status"] = "under_review"
            dispute["evidence_details"]["submission_count"] += 1
        self._state.touch(dispute)
        self._events.emit("charge.dispute.updated", dispute, previous=previous)
        return dispute

    def close(self, dispute: dict[str, Any], *, won: bool) -> dict[str, Any]:
        """End it: the API's close accepts the loss (docs.stripe.com/api/disputes/close), the bank may also say won."""
        if dispute["status"] in CLOSED:
            raise invalid("This dispute is already closed.", code="resource_invalid_state")
        dispute["status"] = "won" if won else "lost"
        if won:
            dispute["balance_transactions"].append(self._move(dispute, dispute["amount"]))
            charge = self._state.objects[dispute["charge"]]
            charge["disputed"] = True
            self._events.emit("charge.dispute.funds_reinstated", dispute)
        self._state.touch(dispute)
        self._events.emit("charge.dispute.closed", dispute)
        return dispute
