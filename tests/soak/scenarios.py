"""What is done while processes die, and the one state that each may leave behind."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from tests.servers.stack import OTHER_PRICE, PRICE

CREATE = "/api/v1/payments/create-subscription"
AMOUNT, OTHER_AMOUNT = 2900, 900


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One mutating request and what must be true once it has been answered, however often processes died."""

    name: str
    body: dict[str, Any]
    """Of the request; the customer's address is added."""
    first: dict[str, Any] | None = None
    """Body of a create-subscription request that is made before, undisturbed."""
    call: Literal["create", "cancel", "change", "save", "choose", "detach", "known", "refund"] = "create"
    """A creation; or what is done with the subscription that `first` made, its customer or its customer's card: `known`
    orders with it."""
    status: int
    """Of the answer."""
    subscription: str | None
    """Status of each subscription at Stripe; None: there is none, nor a customer."""
    charges: list[int] = field(default_factory=list)
    """Amounts that were charged, in minor units."""

    refunds: list[int] = field(default_factory=list)
    """Amounts that were given back, in minor units."""
    leaves: dict[str, int] = field(default_factory=dict)
    """Of a customer's payment methods: how many setup intents, detachings and defaults there are."""

    @property
    def method(self) -> str:
        """Of the request."""
        return "PATCH" if self.call == "change" else "POST"


CARD = {"payment_method_id": "pm_card_visa"}
OTHER = CARD | {"price_id": OTHER_PRICE}
OF_METHODS: tuple[tuple[Literal["save", "choose", "detach"], str], ...] = (
    ("save", "setup intents"),
    ("choose", "defaults"),
    ("detach", "detached"),
)
SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario(name="paid", body=CARD, status=201, subscription="active", charges=[AMOUNT]),
        Scenario(
            name="authentication",
            body={"payment_method_id": "pm_card_authenticationRequired"},
            status=201,
            subscription="incomplete",
        ),
        Scenario(
            name="declined",
            body={"payment_method_id": "pm_card_chargeCustomerFail"},
            status=402,
            subscription="canceled",
        ),
        Scenario(name="refused", body={"payment_method_id": "pm_card_chargeDeclined"}, status=402, subscription=None),
        Scenario(
            name="known",
            first=OTHER,
            call="known",
            body={},
            status=201,
            subscription="active",
            charges=[OTHER_AMOUNT, AMOUNT],
        ),
        Scenario(name="trial", body={**CARD, "trial_days": 14}, status=201, subscription="trialing"),
        Scenario(name="resumed", first={}, body=CARD, status=200, subscription="active", charges=[AMOUNT]),
        Scenario(
            name="cancel",
            first=CARD,
            call="cancel",
            body={"at_period_end": False},
            status=200,
            subscription="canceled",
            charges=[AMOUNT],
        ),
        Scenario(
            name="give-back",
            first=CARD,
            call="cancel",
            body={"at_period_end": False, "prorate": True},
            status=200,
            subscription="canceled",
            charges=[AMOUNT],
        ),
        Scenario(
            name="change",
            first=CARD,
            call="change",
            body={"quantity": 3},
            status=200,
            subscription="active",
            charges=[AMOUNT, 2 * AMOUNT],
        ),
        Scenario(
            name="upgrade",
            first=OTHER,
            call="change",
            body={"price_id": PRICE},
            status=200,
            subscription="active",
            charges=[OTHER_AMOUNT, AMOUNT - OTHER_AMOUNT],
        ),
        Scenario(
            name="debit",
            first={"payment_method_id": "pm_usBankAccount_success"},
            call="change",
            body={"quantity": 3},
            status=200,
            subscription="active",
            charges=[AMOUNT, 2 * AMOUNT],
        ),
        Scenario(
            name="update",
            first=CARD,
            call="change",
            body={"metadata": {"team": "a"}, "cancel_at_period_end": True},
            status=200,
            subscription="active",
            charges=[AMOUNT],
        ),
        Scenario(
            name="trial-end",
            first=CARD | {"trial_days": 14},
            call="change",
            body={"trial_end": "now", "quantity": 2},
            status=200,
            subscription="active",
            charges=[2 * AMOUNT],
        ),
        Scenario(
            name="refund",
            first=CARD,
            call="refund",
            body={"amount": 700},
            status=201,
            subscription="active",
            charges=[AMOUNT],
            refunds=[700],
        ),
        Scenario(
            name="refund-whole",
            first=CARD,
            call="refund",
            body={},
            status=201,
            subscription="active",
            charges=[AMOUNT],
            refunds=[AMOUNT],
        ),
        *(
            Scenario(
                name=call,
                first=CARD,
                call=call,
                body={},
                status=201 if call == "save" else 200,
                subscription="active",
                charges=[AMOUNT],
                leaves={"setup intents": 0, "detached": 0, "defaults": 0} | {left: 1},
            )
            for call, left in OF_METHODS
        ),
    )
}
