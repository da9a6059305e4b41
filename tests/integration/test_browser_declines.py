"""A client secret lets a browser try one card after another: each decline counts, and a setup intent of ours ends."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.integration.test_card_testing import DECLINED, Shop, database, shop
from tests.integration.test_setup_limits import TESTER, customer, save, try_card
from tests.servers.stack import running_stack

from payment_service.storage.tables import audit_log, events, operations
from stripe_simulator.errors import StripeFault
from stripe_simulator.faults import Fault

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.stack import Stack

__all__ = ["database"]
CANCELS = "cancel_setup_intent"


async def cancellations(stack: Stack, *, finished: bool = True) -> list[dict[str, Any]]:
    rows = await stack.rows(operations)
    return [row for row in rows if row["kind"] == CANCELS and bool(row["finished"]) is finished]


async def at_rest(stack: Stack) -> None:
    """Wait until every event is settled and no operation waits."""

    async def rests() -> bool:
        settled = all(row["state"] in {"applied", "ignored"} for row in await stack.rows(events))
        told = all(row["finished"] for row in await stack.rows(operations))
        return settled and told and not stack.simulator.routes.delivery._tasks

    await stack.until(rests)


async def test_a_setup_intent_that_tried_too_many_cards_is_canceled_once(database_url: str) -> None:
    async with running_stack(database_url, PAYMENTS_SETUP_INTENT_DECLINES_PER_HOUR="2") as stack:
        await customer(stack.client)
        made, other = await save(stack.client, TESTER), await save(stack.client, TESTER)
        await try_card(stack, made)
        await try_card(stack, other)
        assert await cancellations(stack) == await cancellations(stack, finished=False) == []
        await try_card(stack, made)

        async def canceled() -> bool:
            return bool(await cancellations(stack))

        await stack.until(canceled)
        intent = stack.simulator.state.get("setup_intent", made.json()["id"])
        assert (intent["status"], intent["cancellation_reason"]) == ("canceled", None)
        assert stack.simulator.state.get("setup_intent", other.json()["id"])["status"] != "canceled"
        with pytest.raises(StripeFault, match="canceled"):
            stack.simulator.routes.setups.confirm(intent, {"payment_method": "pm_card_visa"})
        read = await stack.client.get(f"/api/v1/setup-intents/{made.json()['id']}")
        assert read.json()["status"] == "canceled"
        (told,) = [row for row in await stack.rows(audit_log) if row["action"] == "setup_intent.cancel"]
        assert (told["on_behalf_of"], told["object_id"]) == ("worker:card_testing", intent["id"])
        await try_card(stack, made)  # one that was under way
        assert len(await cancellations(stack)) == 1
        assert await cancellations(stack, finished=False) == []


async def test_a_cancellation_that_stripe_does_not_take_at_first_is_made_later(database: Path) -> None:
    async with shop(database, setup_intent_declines_per_hour="1") as testing:
        stack = testing.stack
        await customer(testing.client)
        made = await save(testing.client)
        away = Fault(kind="429", method="POST", path=f"/v1/setup_intents/{made.json()['id']}/cancel", count=100)
        stack.simulator.faults.calls.append(away)
        await try_card(stack, made)

        async def interrupted() -> bool:
            return any(row["last_error"] for row in await cancellations(stack, finished=False))

        await stack.until(interrupted)
        stack.simulator.faults.clear()
        stack.clock.advance(400)

        async def canceled() -> bool:
            return bool(await cancellations(stack))

        await stack.until(canceled)
        assert stack.simulator.state.get("setup_intent", made.json()["id"])["status"] == "canceled"


async def test_what_succeeded_meanwhile_stays(database: Path) -> None:
    async with shop(database, setup_intent_declines_per_hour="1") as testing:
        stack, world = testing.stack, testing.stack.simulator.routes
        await customer(testing.client)
        made = await save(testing.client)
        intent = stack.simulator.state.get("setup_intent", made.json()["id"])
        error = {"type": "card_error", "code": "card_declined"}
        world.events.emit("setup_intent.setup_failed", intent | {"last_setup_error": error})
        world.setups.confirm(intent, {"payment_method": "pm_card_visa"})

        async def answered() -> bool:
            return bool(await cancellations(stack))

        await stack.until(answered)
        assert [row["response_status"] for row in await cancellations(stack)] == [409]
        assert intent["status"] == "succeeded"


async def test_one_that_could_not_be_canceled_is_at_its_next_decline(database: Path) -> None:
    async with shop(database, setup_intent_declines_per_hour="1") as testing:
        stack, events_of = testing.stack, testing.stack.simulator.routes.events
        await customer(testing.client)
        made = await save(testing.client)
        intent = stack.simulator.state.get("setup_intent", made.json()["id"])
        error = {"type": "card_error", "code": "card_declined"}
        intent["status"] = "processing"
        for declines in (1, 2):
            events_of.emit("setup_intent.setup_failed", intent | {"last_setup_error": error})
            await stack.until(partial(_ended, stack, declines))
            assert intent["status"] == ("processing" if declines == 1 else "canceled")
            intent["status"] = "requires_payment_method" if declines == 1 else intent["status"]
        assert [row["response_status"] for row in await cancellations(stack)] == [409, 200]


async def _ended(stack: Stack, count: int) -> bool:
    return len(await cancellations(stack)) == count


async def test_a_setup_intent_that_was_made_elsewhere_is_never_canceled(database: Path) -> None:
    async with shop(database, setup_intent_declines_per_hour="1", card_declines_per_hour="100") as testing:
        stack = testing.stack
        ada = await customer(testing.client)
        elsewhere = stack.simulator.routes.setups.create({"customer": ada["stripe_customer_id"]})
        for _ in range(3):
            await try_card(stack, httpx.Response(200, json={"id": elsewhere["id"]}), await testing.new_method())
        await at_rest(stack)
        assert await cancellations(stack) == []
        assert elsewhere["status"] == "requires_payment_method"


async def test_while_redis_is_away_events_are_applied_and_nothing_is_canceled(database: Path) -> None:
    limits = {"REDIS_URL": "redis://127.0.0.1:1/0", "PAYMENTS_SETUP_INTENT_DECLINES_PER_HOUR": "1"}
    async with running_stack(f"sqlite:///{database}", **limits) as stack:
        await customer(stack.client)
        made = await save(stack.client)
        intent = stack.simulator.state.get("setup_intent", made.json()["id"])
        for _ in range(2):
            with pytest.raises(StripeFault, match="declined"):
                stack.simulator.routes.setups.confirm(intent, {"payment_method": "pm_card_chargeDeclined"})
        await at_rest(stack)
        failed = [row for row in await stack.rows(events) if row["type"] == "setup_intent.setup_failed"]
        assert [row["state"] for row in failed] == ["applied", "applied"]
        assert await cancellations(stack) == []


async def try_to_pay(testing: Shop, made: httpx.Response) -> None:
    """Do what Stripe.js does with the client secret of a first payment and another card."""
    stack, method = testing.stack, await testing.new_method()
    intent = stack.simulator.state.get("payment_intent", made.json()["client_secret"].partition("_secret_")[0])
    with pytest.raises(StripeFault, match="declined"):
        stack.simulator.routes.payments.confirm_call(intent, {"payment_method": method})
    await at_rest(stack)


async def test_an_end_users_address_bears_the_cards_that_a_browser_paid_with(database_url: str) -> None:
    async with running_stack(database_url, PAYMENTS_END_USER_DECLINES_PER_HOUR="2") as stack:
        testing = Shop(stack, stack.client)
        made = await stack.create(email="ada@example.com", headers=TESTER)
        await try_to_pay(testing, made)
        assert (
            await stack.create(email="eve@example.com", payment_method_id="pm_card_visa", headers=TESTER)
        ).is_success
        await try_to_pay(testing, made)
        refused = await stack.create(email="eva@example.com", payment_method_id="pm_card_visa", headers=TESTER)
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_declines")
        assert (await stack.create(email="eva@example.com", payment_method_id="pm_card_visa")).status_code == 201


async def test_a_card_that_a_request_names_counts_once_although_an_event_tells_of_it_too(database: Path) -> None:
    async with shop(database, end_user_declines_per_hour="3") as testing:
        for _ in range(2):
            assert (await testing.pay(DECLINED, headers=TESTER)).status_code == 402
            await at_rest(testing.stack)
        assert await testing.codes("pm_card_visa", headers=TESTER) == ["paid"]


async def test_a_card_bears_the_payments_that_browsers_tried(database: Path) -> None:
    async with shop(database, card_declines_per_hour="2") as testing:
        made = await testing.stack.create(email="ada@example.com")
        for _ in range(2):
            await try_to_pay(testing, made)
        assert await testing.codes(DECLINED) == ["too_many_declines"]


async def test_a_renewal_that_fails_counts_for_nobody(database: Path) -> None:
    async with shop(database, card_declines_per_hour="1", end_user_declines_per_hour="1") as testing:
        stack = testing.stack
        made = await stack.create(email="ada@example.com", payment_method_id="pm_card_visa", headers=TESTER)
        subscription = stack.simulator.state.get("subscription", made.json()["stripe_subscription_id"])
        method = stack.simulator.routes.methods.attach(await testing.new_method(), subscription["customer"])
        subscription["default_payment_method"] = method["id"]
        stack.clock.advance(32 * 86400)
        stack.simulator.tick()

        async def failed() -> bool:
            return any(row["type"] == "payment_intent.payment_failed" for row in await stack.rows(events))

        await stack.until(failed)
        await at_rest(stack)
        assert await testing.codes("pm_card_visa", headers=TESTER) == ["paid"]
