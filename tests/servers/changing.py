"""Changes of subscriptions as a caller makes them, and what Stripe has then."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.servers.stack import OTHER_PRICE

if TYPE_CHECKING:
    import httpx
    from tests.servers.stack import Stack


async def subscribed(stack: Stack, *, card: str = "pm_card_visa", **more: Any) -> dict[str, Any]:
    """Make a subscription to the smaller price, a third of whose period, or trial, is over."""
    answer = await stack.create(email="ada@example.com", price_id=OTHER_PRICE, payment_method_id=card, **more)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    held = at_stripe(stack, made)["items"]["data"][0]
    stack.clock.advance((held["current_period_end"] - held["current_period_start"]) / 3)
    return made


def at_stripe(stack: Stack, made: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = stack.simulator.state.get("subscription", made["stripe_subscription_id"])
    return found


def ordered(stack: Stack, made: dict[str, Any]) -> tuple[str, int]:
    (item,) = at_stripe(stack, made)["items"]["data"]
    return item["price"]["id"], item["quantity"]


async def preview(stack: Stack, made: dict[str, Any], **body: Any) -> dict[str, Any]:
    answer = await stack.client.post(f"/api/v1/subscriptions/{made['id']}/preview", json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def change(stack: Stack, made: dict[str, Any], *, key: str = "", **body: Any) -> httpx.Response:
    headers = {"Idempotency-Key": key} if key else None
    return await stack.client.patch(f"/api/v1/subscriptions/{made['id']}", json=body, headers=headers)


def charged(stack: Stack) -> list[int]:
    return [charge["amount"] for charge in stack.charges()]


async def give_card(stack: Stack, made: dict[str, Any], card: str) -> None:
    """Let the subscription be paid with another card from now on."""
    at_stripe(stack, made)["default_payment_method"] = saved(stack, made, card)


def saved(stack: Stack, made: dict[str, Any], card: str) -> str:
    """Let the customer have another card, and return its id."""
    return str(stack.simulator.routes.methods.attach(card, made["stripe_customer_id"])["id"])


async def agreed(stack: Stack, made: dict[str, Any]) -> None:
    """Wait until what we show is what Stripe has."""

    async def same() -> bool:
        read = (await stack.client.get(f"/api/v1/subscriptions/{made['id']}")).json()
        found = at_stripe(stack, made)
        shown = (read["price_id"], read["quantity"], read["status"], read["cancel_at_period_end"])
        callers = {name: value for name, value in found["metadata"].items() if not name.startswith("lean_payments_")}
        told = (*ordered(stack, made), found["status"], found["cancel_at_period_end"])
        return bool(shown == told and read["metadata"] == callers)

    await stack.until(same)
