"""What reads and look-ups ask Stripe: each caller a number of questions, the same one once, over every GET route."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.servers.stack import CREATE, PRICE, running_stack
from tests.spellings import of_api

from payment_service.bootstrap import create_app

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.servers.stack import Stack

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

LIMIT = 3
TRIES = 6
PRICES = "/api/v1/prices"
METHODS = "/api/v1/payment-methods"
ASKING = {PRICES, METHODS, f"{METHODS}/{{payment_method_id}}"}
"""The routes that may ask Stripe for what is not here."""
LOOK_UPS = re.compile(
    r"/v1/(prices(/price_none\d+)?|customers/cus_(none)?\d+|payment_methods/\w+|(subscriptions|events)/(sub|evt)_\d+)"
)
"""What callers ask here; not what `/health` (once a second for all) and the worker ask."""


@pytest.fixture
async def stack(database_url: str) -> AsyncIterator[Stack]:
    """The service with few questions to Stripe for each caller, and a long memory."""
    few = {"PAYMENTS_STRIPE_READS_PER_MINUTE": str(LIMIT), "PAYMENTS_ABSENT_SECONDS": "600"}
    async with running_stack(database_url, **few) as running:
        yield running


def client_of(application: Any, address: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=application, client=(address, 1)), base_url="http://api")


def asked(stack: Stack) -> list[str]:
    """What Stripe was asked for callers."""
    paths = [path.partition("?")[0] for _, path in stack.stripe_calls]
    return [path for path in paths if LOOK_UPS.fullmatch(path)]


def of_stripe(template: str, number: int) -> str:
    """A path of the route, with an id that only Stripe could know."""
    forms = {"customer_id": f"cus_{number}", "subscription_id": f"sub_{number}", "event_id": f"evt_{number}"}
    forms |= {"payment_method_id": f"pm_{number}"}
    return re.sub(r"\{(\w+)\}", lambda found: forms.get(found[1], f"x_{number}"), template)


async def test_all_get_routes_together_ask_stripe_no_more_than_the_limit(stack: Stack) -> None:
    gate: Any = create_app(stack.parts)
    routes = of_api(gate)
    audiences = {route.template: route.access.audience for route in routes if route.method == "GET"}
    assert {*ASKING, "/health", "/api/v1/customers/{customer_id}"} <= {*audiences}
    statuses: dict[str, Counter[int]] = {}
    for template, audience in sorted(audiences.items()):
        queries = ("", "?limit={}", "?limit={}&starting_after=price_{}", "?customer_id=cus_{}")
        for number in range(1, 2 if audience == "browsers" else TRIES + 1):
            for query in queries:
                path = of_stripe(template, number) + query.format(number, number)
                answer = await stack.client.get(path)
                statuses.setdefault(template, Counter())[answer.status_code] += 1
    assert len(asked(stack)) == LIMIT
    assert statuses[PRICES][429] > TRIES
    assert {template for template, found in statuses.items() if 429 in found} == ASKING
    assert not [template for template, found in statuses.items() if any(status >= 500 for status in found)]


async def test_a_page_of_prices_is_asked_for_once_by_all_who_want_it_now(stack: Stack) -> None:
    answers = await asyncio.gather(*(stack.client.get(PRICES) for _ in range(TRIES)))
    assert {answer.status_code for answer in answers} == {200}
    assert {len(answer.json()["data"]) for answer in answers} == {2}
    assert len(asked(stack)) < LIMIT


@pytest.mark.parametrize(
    ("field", "value", "path"),
    [
        ("price_id", "price_none{}", "/v1/prices/price_none{}"),
        ("lookup_key", "none_{}", "/v1/prices"),
        ("customer_id", "cus_none{}", "/v1/customers/cus_none{}"),
    ],
)
async def test_what_stripe_does_not_have_is_asked_for_once_and_counts(
    stack: Stack, field: str, value: str, path: str
) -> None:
    def order(number: int) -> dict[str, str]:
        more = {"email": "ada@example.com"} if field != "customer_id" else {"price_id": PRICE}
        return {**more, field: value.format(number)}

    await stack.create(email="first@example.com")  # the price is here from now on
    stack.stripe_calls.clear()
    same = await asyncio.gather(*(stack.client.post(CREATE, json=order(0)) for _ in range(TRIES)))
    same += [await stack.client.post(CREATE, json=order(0)) for _ in range(TRIES)]
    told = {(answer.status_code, answer.json()["errors"][0]["field"]) for answer in same}
    assert told == {(422, field)}
    assert asked(stack) == [path.format(0)]
    others = [await stack.client.post(CREATE, json=order(number)) for number in range(1, TRIES)]
    codes = [answer.json()["code"] for answer in others]
    assert codes == ["invalid_request"] * codes.count("invalid_request") + ["rate_limited"] * codes.count(
        "rate_limited"
    )
    assert len(asked(stack)) <= LIMIT
    assert others[-1].headers["ratelimit"].startswith('"stripe_reads";r=0')
    assert 1 <= int(others[-1].headers["retry-after"]) <= 60
    assert (await stack.create(email="last@example.com")).status_code == 201, "what is here needs no question"


async def test_a_caller_uses_up_its_own_questions_alone(stack: Stack) -> None:
    application = create_app(stack.parts)
    async with client_of(application, "203.0.113.7") as busy, client_of(application, "203.0.113.8") as other:
        statuses = [(await busy.get(f"{PRICES}?limit={number}")).status_code for number in range(1, TRIES)]
        assert statuses == [200] * LIMIT + [429] * (TRIES - 1 - LIMIT)
        assert (await other.get(f"{PRICES}?limit=90")).status_code == 200


async def test_what_is_made_at_stripe_is_found_by_its_event_while_its_absence_is_remembered(stack: Stack) -> None:
    order = {"email": "ada@example.com", "lookup_key": "gold_monthly"}
    assert (await stack.client.post(CREATE, json=order)).status_code == 422
    stack.simulator.ensure_price(
        price_id="price_gold",
        lookup_key="gold_monthly",
        unit_amount=9900,
        currency="usd",
        interval="month",
        product_name="price_gold",
    )

    async def created() -> bool:
        return (await stack.client.post(CREATE, json=order)).status_code == 201

    assert await stack.until(created)
