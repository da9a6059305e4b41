"""Creations that an earlier version began, in every phase, and what it can go on with of those that this one began."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest
from sqlalchemy import update

from payment_service.mirror.customer import OUR_ID, REFERENCE
from payment_service.storage.tables import operations
from payment_service.stripe_api import calls
from stripe_simulator.faults import Fault

if TYPE_CHECKING:
    from tests.servers.stack import Stack

CARD: Final = "pm_card_visa"
BY: Final[dict[str, Any]] = {"customer_reference": "user-1", "create": True}
KNOWN_BEFORE: Final = frozenset(
    (
        *("tries", "price_id", "product_id", "customer_id", "end_user", "metered", "due_later", "new_customer"),
        *("by_address", "stripe_customer_id", "holder", "subscription_id", "payment_method", "card"),
        *("stripe_subscription_id", "declined"),
    )
)
"""The facts that the version before reads; with any other it leaves an operation alone."""


async def interrupted(stack: Stack, path: str, *, card: str = CARD, method: str = "POST") -> dict[str, Any]:
    """Begin a creation that gets as far as a call which Stripe never sees; return its row."""
    stack.parts.worker.claiming = False  # it would complete it before the test has looked
    stack.simulator.faults.calls.append(Fault(kind="500_before", method=method, path=path, count=99))
    answer = await stack.create(**BY, payment_method_id=card, headers={"Idempotency-Key": "order-1"})
    assert answer.status_code == 503, answer.text
    (row,) = (row for row in await stack.rows(operations) if not row["finished"])
    return row


async def completed(stack: Stack) -> dict[str, Any]:
    """Let Stripe answer again, and wait for the operation's end."""
    stack.simulator.faults.clear()

    async def done() -> dict[str, Any] | None:
        stack.clock.advance(60)
        await stack.parts.operations.complete_expired()
        rows = await stack.rows(operations)
        return max(rows, key=lambda row: row["id"]) if all(row["finished"] for row in rows) else None

    row: dict[str, Any] = await stack.until(done)
    return row


@pytest.mark.parametrize("called", [False, True], ids=["before its call", "after its call"])
async def test_one_that_makes_its_customer_alone_is_completed_with_the_same_parameters(
    stack: Stack,
    called: bool,  # noqa: FBT001 - a case
) -> None:
    row = await interrupted(stack, "/v1/customers")
    stack.simulator.faults.clear()
    facts = {name: value for name, value in row["facts"].items() if name in KNOWN_BEFORE}
    assert row["facts"] == facts | {"method_goes_along": True}, "an earlier version leaves it alone"
    async with stack.parts.database.transaction() as connection:
        await connection.execute(update(operations).values(facts=facts))
    if called:
        ours = facts["customer_id"]
        metadata = {OUR_ID: ours, REFERENCE: BY["customer_reference"]}
        await calls.create_customer(stack.parts.gateway, key=f"{ours}-create", email=None, name=None, metadata=metadata)
    assert (await completed(stack))["response_status"] == 201
    (customer,) = stack.simulator.state.all("customer")
    assert customer["invoice_settings"]["default_payment_method"] is None
    assert len(stack.simulator.state.all("subscription")) == len(stack.charges()) == 1


@pytest.mark.parametrize(
    ("path", "phase"),
    [("/v1/payment_methods/.*/attach", "customer_ready"), ("/v1/subscriptions", "payment_method_attached")],
)
async def test_from_the_customer_on_either_version_goes_on_with_what_the_other_began(
    stack: Stack, path: str, phase: str
) -> None:
    if phase == "customer_ready":
        await stack.client.post("/api/v1/customers", json={"reference": BY["customer_reference"]})
    row = await interrupted(stack, path)
    assert row["phase"] == phase
    assert row["facts"].keys() <= KNOWN_BEFORE
    assert (await completed(stack))["response_status"] == 201
    assert len(stack.simulator.state.all("customer")) == 1
    assert len(stack.simulator.state.all("subscription")) == len(stack.charges()) == 1


async def test_a_declined_one_is_cancelled_by_either_version(stack: Stack) -> None:
    row = await interrupted(stack, "/v1/subscriptions/.*", card="pm_card_chargeCustomerFail", method="DELETE")
    assert row["phase"] == "declined"
    assert row["facts"].keys() <= KNOWN_BEFORE
    assert (await completed(stack))["response_status"] == 402
    assert [found["status"] for found in stack.simulator.state.all("subscription")] == ["canceled"]
    assert stack.charges() == []


async def test_one_in_the_place_of_an_ended_one_is_completed(stack: Stack) -> None:
    stack.parts.worker.claiming = False
    first = (await stack.create(**BY)).json()
    stack.simulator.faults.calls.append(Fault(kind="500_before", method="POST", path="/v1/subscriptions", count=99))
    body = {**BY, "quantity": 2, "payment_method_id": CARD}
    assert (await stack.create(**body, headers={"Idempotency-Key": "order-2"})).status_code == 503
    (row,) = (row for row in await stack.rows(operations) if not row["finished"])
    assert row["phase"] == "place_ready"
    assert row["facts"].keys() <= KNOWN_BEFORE
    assert (await completed(stack))["response_status"] == 201
    statuses = {found["id"]: found["status"] for found in stack.simulator.state.all("subscription")}
    assert sorted(statuses.values()) == ["active", "canceled"]
    assert statuses[first["stripe_subscription_id"]] == "canceled"
    assert len(stack.charges()) == 1
