"""Setup intents try cards without a charge: their creations are limited, and the cards that are declined count."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.integration.test_card_testing import DECLINED, HEADER, Shop, database, keyed, shop
from tests.integration.test_limits import client_of, create, make_key
from tests.servers.stack import running_stack, two_pods

from payment_service.events.administration import InboxAdministration
from payment_service.events.schemas import ReplayRequest
from payment_service.payments.declines import COUNTED
from payment_service.storage.tables import events, operations
from stripe_simulator.errors import declined

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.stack import Stack
    from tests.servers.valkey import ValkeyServer

__all__ = ["database"]
SETUP = "/api/v1/setup-intents"
TESTER, OTHER = {HEADER: "198.51.100.7"}, {HEADER: "203.0.113.9"}


async def customer(client: httpx.AsyncClient, reference: str = "ada", **headers: str) -> dict[str, Any]:
    answer = await client.post("/api/v1/customers", json={"reference": reference}, headers=headers)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def save(client: httpx.AsyncClient, headers: dict[str, str] | None = None, **named: str) -> httpx.Response:
    """Ask for a setup intent; of the customer `ada` unless another one is named."""
    return await client.post(SETUP, json=named or {"customer_reference": "ada"}, headers=headers)


async def try_card(stack: Stack, made: httpx.Response, method: str = DECLINED, *, code: str = "card_declined") -> None:
    """Do what Stripe does when the bank refuses what a browser confirms, and wait until that is counted."""
    before = len(counted(stack))
    world = stack.simulator.routes
    intent = stack.simulator.state.get("setup_intent", made.json()["id"])
    error = declined("generic_decline", code=code, payment_method=world.methods.usable(method)).body["error"]
    intent |= {"status": "requires_payment_method", "last_setup_error": error}
    world.events.emit("setup_intent.setup_failed", intent)

    async def known() -> bool:
        return len(counted(stack)) == before + 1

    await stack.until(known)


def counted(stack: Stack) -> list[str]:
    """Return the events of which a decline is counted, by the limiter in memory."""
    limiter: Any = stack.parts.limiter
    return [subject for name, subject in limiter._logs if name == COUNTED]


async def test_a_key_counts_setup_intents_for_the_customer_they_are_for(stack: Stack) -> None:
    key = await make_key(stack)
    async with client_of(stack, create_limit_per_minute=3) as client:
        ada = await customer(client, **key)
        await customer(client, "grace", **key)
        names = (
            {"customer_reference": "ada"},
            {"customer_id": ada["id"]},
            {"customer_id": ada["stripe_customer_id"]},
            {"customer_id": ada["id"]},
        )
        answers = [await save(client, key, **name) for name in names]
        other = await save(client, key, customer_reference="grace")
        subscribed = await create(client, key, customer_id=ada["id"])
    assert [answer.status_code for answer in answers] == [201, 201, 201, 429], "however she is named"
    assert (other.status_code, subscribed.status_code) == (201, 201)
    refused = answers[-1]
    assert refused.json()["code"] == "rate_limited"
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert refused.headers.get_list("ratelimit-policy") == ['"setup_intent";q=3;w=60']
    assert refused.headers["ratelimit"].startswith('"setup_intent";r=0;t=')


async def test_a_caller_cannot_use_up_the_setup_intents_of_another(stack: Stack) -> None:
    first, second = await make_key(stack, "shop"), await make_key(stack, "support")
    async with client_of(stack, create_limit_per_minute=1) as client:
        await customer(client, **first)
        answers = [await save(client, key) for key in (first, first, second)]
    assert [answer.status_code for answer in answers] == [201, 429, 201]


async def test_without_a_key_setup_intents_count_for_the_address(stack: Stack) -> None:
    async with client_of(stack, create_limit_per_minute=2) as client:
        for reference in ("ada", "grace", "hedy"):
            await customer(client, reference)
        answers = [await save(client, customer_reference=name) for name in ("ada", "grace", "hedy")]
    assert [answer.status_code for answer in answers] == [201, 201, 429]


async def test_replays_and_refusals_take_nothing_from_the_limit_of_setup_intents(stack: Stack) -> None:
    async with client_of(stack, create_limit_per_minute=1) as client:
        await customer(client)
        refused = [
            await client.post(SETUP, json={}),
            await save(client, customer_reference="unknown"),
            await save(client, customer_id="lpc_unknown"),
            await save(client, customer_reference="ada", usage="never"),
            await save(client, {HEADER: "nowhere"}),
        ]
        replayed = [await save(client, {"Idempotency-Key": "one"}) for _ in range(4)]
        begun = len(await stack.rows(operations))
        beyond = await save(client, {"Idempotency-Key": "two"})
        assert len(await stack.rows(operations)) == begun
    assert [answer.status_code for answer in refused] == [422, 422, 422, 422, 400]
    assert refused[-1].json()["errors"][0]["field"] == HEADER
    assert {answer.status_code for answer in replayed} == {201}
    assert beyond.status_code == 429


async def test_an_end_users_address_bears_the_cards_that_a_browser_tried(database_url: str) -> None:
    async with running_stack(database_url, PAYMENTS_END_USER_DECLINES_PER_HOUR="2") as stack:
        testing, client = Shop(stack, stack.client), stack.client
        await customer(client)
        made = await save(client, TESTER)
        await try_card(stack, made)
        assert (await save(client, TESTER)).status_code == 201
        await try_card(stack, made)
        calls = testing.stripe_calls()
        refused = await save(client, TESTER)
        assert testing.stripe_calls() == calls
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_declines")
        assert 60 < int(refused.headers["retry-after"]) <= 3600
        assert await testing.codes("pm_card_visa", headers=TESTER) == ["too_many_declines"], "nor may they pay"
        assert (await save(client, OTHER)).status_code == (await save(client)).status_code == 201


async def test_declined_payments_of_an_end_user_count_where_a_card_is_to_be_saved(database: Path) -> None:
    async with shop(database, end_user_declines_per_hour="1") as testing:
        await customer(testing.client)
        assert await testing.codes(DECLINED, headers=TESTER) == ["payment_declined"]
        assert (await save(testing.client, TESTER)).json()["code"] == "too_many_declines"


async def test_a_key_is_slowed_down_when_most_cards_of_its_setup_intents_are_declined(database: Path) -> None:
    async with shop(database, key_declines_per_minute="2") as testing:
        tested, busy = await keyed(testing.stack, "tested", "busy")
        await customer(tested.client)
        for _ in range(2):
            await try_card(testing.stack, await save(tested.client))
        refused = await save(tested.client)
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_declines")
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert (await save(busy.client)).status_code == 201


async def test_a_card_bears_what_it_failed_with_wherever_the_setup_intent_was_made(database: Path) -> None:
    async with shop(database, card_declines_per_hour="2") as testing:
        stack = testing.stack
        ada = await customer(testing.client)
        await try_card(stack, await save(testing.client), await testing.new_method())
        elsewhere = stack.simulator.routes.setups.create({"customer": ada["stripe_customer_id"]})
        await try_card(stack, httpx.Response(200, json={"id": elsewhere["id"]}), await testing.new_method())
        assert await testing.codes(DECLINED) == ["too_many_declines"]
        assert await testing.codes("pm_card_visa") == ["paid"]


async def test_a_decline_counts_once_however_often_its_event_is_applied(database: Path) -> None:
    async with shop(database, end_user_declines_per_hour="2") as testing:
        stack, client = testing.stack, testing.client
        await customer(client)
        await try_card(stack, await save(client, TESTER))
        inbox = InboxAdministration(stack.parts.database, clock=stack.clock, livemode=False)
        async with stack.parts.database.transaction() as connection:
            request = ReplayRequest(type="setup_intent.setup_failed")
            assert (await inbox.replay(connection, request, actor="cli:test")).count == 1
        stack.parts.worker.wake()

        async def applied() -> bool:
            return {row["state"] for row in await stack.rows(events)} == {"applied"}

        await stack.until(applied)
        await try_card(stack, await save(client, OTHER))
        assert (await save(client, TESTER)).status_code == 201


async def test_the_worker_of_another_process_counts_too(database: Path, valkey_server: ValkeyServer) -> None:
    limits = {"PAYMENTS_END_USER_DECLINES_PER_HOUR": "1"}
    async with two_pods(f"sqlite:///{database}", valkey_server.url, **limits) as (stack, client):
        redis: Any = stack.parts.redis
        await customer(client)
        made = await save(client, TESTER)
        world = stack.simulator.routes
        intent = stack.simulator.state.get("setup_intent", made.json()["id"])
        with pytest.raises(Exception, match="declined"):
            world.setups.confirm(intent, {"payment_method": "pm_card_chargeDeclined"})

        async def kept() -> Any:
            return await redis.keys("*declines_end_user*")

        await stack.until(kept)
        assert (await save(client, TESTER)).json()["code"] == "too_many_declines"
        assert (await save(client, OTHER)).status_code == 201
