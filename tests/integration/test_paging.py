"""Lists: newest first, walked either way while others insert, and refused when the place does not exist."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert
from sqlalchemy.ext.asyncio import create_async_engine
from tests.servers.stack import PRICE

from payment_service.http.paging import SIGNS, Page
from payment_service.storage.tables import subscriptions
from payment_service.subscriptions import store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.ext.asyncio import AsyncConnection
    from tests.servers.stack import Stack

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
SUBSCRIPTIONS = "/api/v1/subscriptions"
LISTS = (SUBSCRIPTIONS, "/api/v1/customers", "/api/v1/prices", "/api/v1/admin/inbox", "/api/v1/admin/operations")
places = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 999)), max_size=12)
"""Seconds after `BEGIN`, of which many are the same as Stripe's are, and what ids begin with."""


class Rows:
    """Subscriptions in the table, and walks over them."""

    def __init__(self, connection: AsyncConnection) -> None:
        self.connection = connection
        self._numbers = count()

    async def add(self, found: list[tuple[int, int]]) -> list[str]:
        rows = []
        for seconds, start in found:
            number = next(self._numbers)
            moment = BEGIN + timedelta(seconds=seconds)
            rows.append(
                {
                    "id": f"lps_{start:03}x{number}",
                    "stripe_subscription_id": f"sub_{number}",
                    "product_id": "prod_1",
                    "price_id": "price_1",
                    "quantity": 1,
                    "status": "active",
                    "exclusive": False,
                    "metadata": {},
                    "livemode": False,
                    "created_at": moment,
                    "updated_at": moment,
                }
            )
        if rows:
            await self.connection.execute(insert(subscriptions), rows)
        return [str(row["id"]) for row in rows]

    async def read(self, page: Page) -> tuple[Sequence[Any], bool]:
        return await store.list_page(self.connection, livemode=False, customer_id=None, page=page)

    async def walk(self, limit: int, later: list[list[tuple[int, int]]]) -> tuple[list[str], list[str]]:
        """Walk down to the end and back up to the top, inserting between the pages."""
        down: list[str] = []
        more = True
        while more:
            rows, more = await self.read(Page(limit=limit, starting_after=down[-1] if down else None))
            down += [row.id for row in rows]
            await self.add(later.pop() if later else [])
        up = down[-1:]
        more = bool(up)
        while more:
            rows, more = await self.read(Page(limit=limit, ending_before=up[0]))
            up = [row.id for row in rows] + up
            await self.add(later.pop() if later else [])
        return down, up


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(first=places, later=st.lists(places, max_size=8), limit=st.integers(1, 5))
def test_a_walk_either_way_during_inserts_misses_and_repeats_nothing(
    database_url: str, first: list[tuple[int, int]], later: list[list[tuple[int, int]]], limit: int
) -> None:
    async def run() -> None:
        engine = create_async_engine(_driver(database_url))
        async with engine.connect() as connection:
            await connection.execute(delete(subscriptions))
            rows = Rows(connection)
            before = set(await rows.add(first))
            down, up = await rows.walk(limit, later)
            everything, _ = await rows.read(Page(limit=1000))
            await connection.rollback()
        await engine.dispose()
        order = {row.id: place for place, row in enumerate(everything)}
        assert list(order) == [row.id for row in sorted(everything, key=lambda row: (row.created_at, row.id))][::-1]
        for walk in (down, up):
            assert sorted(walk, key=order.__getitem__) == walk
            assert len(set(walk)) == len(walk)
            assert before <= set(walk)

    asyncio.run(run())


def _driver(url: str) -> str:
    return url.replace("sqlite://", "sqlite+aiosqlite://").replace("postgresql://", "postgresql+asyncpg://")


async def made_at_stripe(stack: Stack) -> str:
    """Make a subscription as Checkout and the Dashboard do: not through this API."""
    stripe = stack.parts.gateway
    customer = await stripe.request("create_customer", "post", "customers", params={}, idempotency_key=None)
    items = [{"price": PRICE}]
    params = {"customer": customer["id"], "items": items, "collection_method": "send_invoice", "days_until_due": 7}
    made = await stripe.request("create_subscription", "post", "subscriptions", params=params, idempotency_key=None)
    return str(made["id"])


async def ids(stack: Stack, **query: Any) -> list[str]:
    answer = await stack.client.get(SUBSCRIPTIONS, params=query)
    assert answer.status_code == 200, answer.text
    return [item["stripe_subscription_id"] for item in answer.json()["data"]]


async def test_what_was_made_at_stripe_stands_where_its_creation_puts_it(stack: Stack) -> None:
    made = []
    for number in range(6):
        if number % 2:
            made.append(await made_at_stripe(stack))
        else:
            answer = await stack.create(email=f"{number}@example.com", payment_method_id="pm_card_visa")
            made.append(answer.json()["stripe_subscription_id"])
        stack.clock.advance(2)

    async def all_of_them() -> bool:
        return len(await ids(stack, limit=100)) == len(made)

    await stack.until(all_of_them)
    assert await ids(stack, limit=6) == made[::-1]
    assert await ids(stack, limit=2, ending_before=made[1]) == made[3:1:-1]
    assert await ids(stack, limit=2, starting_after=made[4]) == made[3:1:-1]


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("parameter", ["starting_after", "ending_before"])
async def test_a_place_that_does_not_exist_is_named(stack: Stack, path: str, parameter: str) -> None:
    answer = await stack.client.get(path, params={parameter: "lps_unknown"})
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [parameter]


@pytest.mark.parametrize("path", LISTS)
async def test_both_ways_at_once_are_refused(stack: Stack, path: str) -> None:
    answer = await stack.client.get(path, params={"starting_after": "a", "ending_before": "b"})
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["ending_before"]


async def test_lists_are_filtered_by_when_their_objects_were_created(stack: Stack) -> None:
    assert (await stack.create(email="ada@example.com", payment_method_id="pm_card_visa")).status_code == 201
    now = stack.clock.now()
    earlier, later = now - timedelta(days=1), now + timedelta(days=1)
    for path in LISTS:
        shown = {}
        for sign, moment in (("gte", earlier), ("gte", later), ("lt", earlier), ("lte", later)):
            for text in (str(int(moment.timestamp())), moment.strftime("%Y-%m-%dT%H:%M:%SZ")):
                answer = await stack.client.get(path, params={f"created[{sign}]": text})
                assert answer.status_code == 200, answer.text
                shown[sign, moment] = bool(answer.json()["data"])
        assert shown == {("gte", earlier): True, ("gte", later): False, ("lt", earlier): False, ("lte", later): True}


@pytest.mark.parametrize("text", ["soon", "2026-13-01T00:00:00Z", "999999999999", "-1", ""])
async def test_a_moment_that_does_not_exist_is_named(stack: Stack, text: str) -> None:
    answer = await stack.client.get(SUBSCRIPTIONS, params={"created[gt]": text})
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["created[gt]"]


@pytest.mark.parametrize(("sent", "meant"), [("custmer_id=lpc_1", "customer_id"), ("limits=1", "limit")])
async def test_a_parameter_that_nobody_knows_is_told_the_nearest_name(stack: Stack, sent: str, meant: str) -> None:
    answer = await stack.client.get(f"{SUBSCRIPTIONS}?{sent}")
    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["field"]) == (422, sent.partition("=")[0])
    assert error["message"] == f"unknown parameter; did you mean {meant}?"


@pytest.mark.parametrize("path", LISTS)
async def test_a_parameter_that_is_given_twice_is_refused(stack: Stack, path: str) -> None:
    answer = await stack.client.get(f"{path}?limit=1&limit=2")
    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["field"]) == (422, "limit")


async def test_the_bound_without_its_sign_is_told_the_nearest_name(stack: Stack) -> None:
    answer = await stack.client.get(SUBSCRIPTIONS, params={"created": "1"})
    assert "did you mean created[" in answer.json()["detail"]


async def test_subscriptions_are_filtered_by_price_and_product(stack: Stack) -> None:
    made = (await stack.create(email="ada@example.com", payment_method_id="pm_card_visa")).json()
    view = (await stack.client.get(f"{SUBSCRIPTIONS}/{made['id']}")).json()
    for name in ("price_id", "product_id"):
        assert await ids(stack, **{name: view[name]}) == [made["stripe_subscription_id"]]
        assert await ids(stack, **{name: "other"}) == []


async def test_every_list_of_the_api_takes_what_lists_share(stack: Stack) -> None:
    document = (await stack.client.get("/docs/openapi.json")).json()
    shared = {"limit", "starting_after", "ending_before", *(f"created[{sign}]" for sign in SIGNS)}
    lists = {path for path, item in document["paths"].items() if "get" in item and _is_list(document, item["get"])}
    assert lists >= set(LISTS)
    for path in lists - {"/api/v1/events"}:  # the feed is read forward, from where a reader was
        assert shared <= {parameter["name"] for parameter in document["paths"][path]["get"]["parameters"]}, path


def _is_list(document: dict[str, Any], operation: dict[str, Any]) -> bool:
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    name = schema.get("$ref", "").rpartition("/")[2]
    return "has_more" in document["components"]["schemas"].get(name, schema).get("properties", {})
