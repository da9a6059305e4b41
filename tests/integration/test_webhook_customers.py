"""What endpoints get that want events about customers with some metadata, whatever becomes of the customer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.integration.test_erasure import delete_at_stripe, erased
from tests.integration.test_webhook_deliveries import CARD, ENDPOINTS, deliveries, endpoint, later
from tests.servers.stack import PRICE
from tests.servers.webhook_receiver import receiving

from payment_service.storage.tables import customers, subscriptions
from payment_service.storage.webhook_tables import webhook_endpoints
from stripe_simulator.faults import WebhookFault

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.servers.stack import Stack
    from tests.servers.webhook_receiver import Receiver

ENDED = {"customer.deleted", "subscription.canceled"}
TYPES = ["customer.*", "subscription.*"]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as running:
        yield running


async def subscribe(stack: Stack, **metadata: str) -> str:
    """Make a customer with metadata and a subscription; return Stripe's id of the customer."""
    body = {"email": "ada@example.com", "metadata": metadata}
    made = (await stack.client.post("/api/v1/customers", json=body)).json()
    assert (await stack.create(customer_id=made["id"], **CARD)).status_code == 201
    found: str = made["stripe_customer_id"]
    return found


async def told(stack: Stack) -> None:
    """Wait until the feed tells that it ended, and every endpoint was looked at that far."""

    async def done() -> bool:
        events = (await stack.client.get("/api/v1/events", params={"limit": 100})).json()["data"]
        enabled = [row["reached"] for row in await stack.rows(webhook_endpoints) if row["enabled"]]
        return {event["type"] for event in events} >= ENDED and min(enabled) >= events[-1]["sequence"]

    await stack.until(done)


async def types_of(stack: Stack, made: dict[str, Any]) -> set[str]:
    return {one["event_type"] for one in await deliveries(stack, endpoint=made["id"], limit=100)}


async def test_who_is_deleted_is_told_of_by_the_metadata_that_the_deletion_took_away(
    stack: Stack, receiver: Receiver
) -> None:
    ours = await endpoint(stack, receiver, event_types=TYPES, customer_metadata={"tenant": "a"})
    others = await endpoint(stack, receiver, event_types=TYPES, customer_metadata={"tenant": "b"})
    await delete_at_stripe(stack, await subscribe(stack, tenant="a", x="1"))
    await told(stack)
    assert await types_of(stack, ours) >= ENDED
    assert await types_of(stack, others) == set()


async def test_who_is_erased_is_told_of_to_those_that_were_told_before(stack: Stack, receiver: Receiver) -> None:
    ours = await endpoint(stack, receiver, event_types=TYPES, customer_metadata={"tenant": "a"})
    others = await endpoint(stack, receiver, event_types=TYPES, customer_metadata={"tenant": "b"})
    stripe_id = await subscribe(stack, tenant="a")

    async def began() -> bool:
        return await types_of(stack, ours) >= {"customer.created", "subscription.created"}

    await stack.until(began)
    for made in (ours, others):
        await stack.client.patch(f"{ENDPOINTS}/{made['id']}", json={"enabled": False})
    await delete_at_stripe(stack, stripe_id)
    await erased(stack)
    for made in (ours, others):
        await stack.client.patch(f"{ENDPOINTS}/{made['id']}", json={"enabled": True})
    await told(stack)
    assert await types_of(stack, ours) >= ENDED
    assert await types_of(stack, others) == set()


async def foreign(stack: Stack) -> str:
    """Make a subscription at Stripe whose customer nobody hears of for now; return the customer's id."""
    stack.simulator.faults.webhooks.append(WebhookFault(kind="drop", type=r"customer\.(created|updated)", count=10))
    customer = stack.simulator.routes.customers.create({"email": "ada@example.com", "metadata": {"tenant": "a"}})
    stack.simulator.routes.methods.attach("pm_card_visa", customer["id"])
    items = [{"price": PRICE}]
    stack.simulator.routes.billing.create({"customer": customer["id"], "items": items, "trial_period_days": "7"})

    async def known() -> bool:
        return any(row["stripe_customer_id"] == customer["id"] for row in await stack.rows(subscriptions))

    await stack.until(known)
    assert customer["id"] not in {row["stripe_customer_id"] for row in await stack.rows(customers)}
    stack.simulator.faults.clear()
    return str(customer["id"])


async def test_an_event_waits_for_its_customer(stack: Stack, receiver: Receiver) -> None:
    ours = await endpoint(stack, receiver, event_types=TYPES, customer_metadata={"tenant": "a"})
    others = await endpoint(stack, receiver, event_types=TYPES, customer_metadata={"tenant": "b"})
    customer = stack.simulator.state.get("customer", await foreign(stack))
    assert await types_of(stack, ours) == set()
    stack.simulator.routes.customers.update(customer, {"name": "Ada"})

    async def told_of() -> bool:
        later(stack, 2)
        return "subscription.created" in await types_of(stack, ours)

    await stack.until(told_of)
    assert await types_of(stack, others) == set()


async def test_an_event_waits_a_minute_at_most(stack: Stack, receiver: Receiver) -> None:
    ours = await endpoint(stack, receiver, event_types=TYPES, customer_metadata={"tenant": "a"})
    await foreign(stack)
    before = (await stack.rows(webhook_endpoints))[0]["reached"]
    later(stack, 61)

    async def passed() -> bool:
        later(stack, 2)
        return bool((await stack.rows(webhook_endpoints))[0]["reached"] > before)

    await stack.until(passed)
    assert await types_of(stack, ours) == set()
