"""What operations store between their phases: rows of earlier versions are read, those of later ones refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from payment_service.customers.creation import KIND as CREATE_CUSTOMER
from payment_service.errors import OperationUnreadable
from payment_service.operations.state import Stored
from payment_service.payment_methods.changes import DETACH, SET_DEFAULT
from payment_service.payment_methods.setup_intents import KIND as CREATE_SETUP_INTENT
from payment_service.refunds.creation import KIND as CREATE_REFUND
from payment_service.subscriptions.cancellation import KIND as CANCEL
from payment_service.subscriptions.creation_state import KIND as CREATE

if TYPE_CHECKING:
    from payment_service.operations.state import Kind

PLACED = {"price_id": "price_1", "product_id": "prod_1", "customer_id": "lpc_1"}
HELD = {"id": "lps_1", "stripe_id": "sub_1"}
DECLINED = {"detail": "Declined", "stripe_code": "card_declined", "decline_code": "generic_decline"}
ROWS: list[tuple[Kind[Any], str, dict[str, Any]]] = [
    (CREATE_CUSTOMER, "started", {"customer_id": "lpc_1"}),
    (CREATE_CUSTOMER, "finished", {"customer_id": "lpc_1"}),
    (CANCEL, "started", {"stripe_subscription_id": "sub_1"}),
    (CANCEL, "finished", {}),
    (CREATE_SETUP_INTENT, "started", {"customer_id": "lpc_1", "stripe_customer_id": "cus_1"}),
    (DETACH, "started", {"payment_method_id": "pm_1", "customer_id": "lpc_1", "stripe_customer_id": "cus_1"}),
    (SET_DEFAULT, "finished", {"payment_method_id": "pm_1"}),
    (CREATE_REFUND, "started", {}),
    (CREATE_REFUND, "charge_known", {"charge_id": "ch_1", "stripe_customer_id": "cus_1", "tries": 1}),
    (CREATE, "started", PLACED),
    (CREATE, "started", PLACED | {"subscription_id": "lps_1", "new_customer": True, "end_user": "f"}),
    (CREATE, "customer_ready", PLACED | {"stripe_customer_id": "cus_1", "by_address": True, "due_later": True}),
    (CREATE, "customer_ready", PLACED | {"stripe_customer_id": "cus_1", "holder": HELD | {"same": False}}),
    (CREATE, "customer_ready", PLACED | {"stripe_customer_id": "cus_1", "holder": HELD | {"ours": True}}),
    (CREATE, "payment_method_attached", PLACED | {"stripe_customer_id": "cus_1", "payment_method": "pm_1"}),
    (CREATE, "started", PLACED | {"new_customer": True, "method_goes_along": True}),
    (CREATE, "customer_ready", PLACED | {"stripe_customer_id": "cus_1", "attach": True, "tries": 1}),
    (CREATE, "place_ready", PLACED | {"stripe_customer_id": "cus_1", "metered": True, "tries": 2}),
    (
        CREATE,
        "declined",
        PLACED | {"stripe_customer_id": "cus_1", "stripe_subscription_id": "sub_1", "declined": DECLINED, "card": "f"},
    ),
]
"""As the version before typed states wrote them, and as this one does."""


@pytest.mark.parametrize(("kind", "phase", "facts"), ROWS)
def test_a_row_of_the_earlier_form_is_read_and_written_as_it_was(
    kind: Kind[Any], phase: str, facts: dict[str, Any]
) -> None:
    state = kind.read(Stored(phase=phase, values=facts))
    assert state.phase == phase
    assert json.dumps(state.facts(), sort_keys=True) == json.dumps(facts, sort_keys=True)


def test_a_null_of_the_earlier_form_is_nothing() -> None:
    facts: dict[str, object] = {**PLACED, "stripe_customer_id": "cus_1", "holder": None, "card": None}
    state = CREATE.read(Stored(phase="place_ready", values=facts))
    assert (state.holder, state.card) == (None, None)


@pytest.mark.parametrize(
    ("kind", "phase", "facts"),
    [
        (CREATE, "of_a_newer_version", PLACED),
        (CREATE, "started", PLACED | {"of_a_newer_version": 1}),
        (CREATE, "customer_ready", PLACED),
        (CREATE, "declined", PLACED | {"stripe_customer_id": "cus_1"}),
        (CREATE, "started", {}),
        (CREATE_CUSTOMER, "started", {}),
        (CREATE_SETUP_INTENT, "started", {"customer_id": "lpc_1"}),
        (DETACH, "started", {}),
        (CREATE_REFUND, "charge_known", {}),
        (CANCEL, "started", {}),
    ],
)
def test_what_this_version_cannot_go_on_with_is_refused_by_name(
    kind: Kind[Any], phase: str, facts: dict[str, Any]
) -> None:
    stored = Stored(phase=phase, values=facts)
    with pytest.raises(OperationUnreadable, match="Another version of this service"):
        kind.read(stored)
    assert stored.facts() is facts
