"""The limits of the API: for each address, for each key, and for create-subscription, in one step."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.servers.stack import CREATE, running_stack

from payment_service.access.keys import ApiKeys
from payment_service.access.service import Access
from payment_service.app import create_app

if TYPE_CHECKING:
    from tests.servers.stack import Stack

LIST = "/api/v1/subscriptions"


def client_of(stack: Stack, *, address: str = "203.0.113.7", **http: Any) -> httpx.AsyncClient:
    """A client of the service with other settings."""
    parts = stack.parts
    parts.settings = replace(parts.settings, http=replace(parts.settings.http, **http))
    parts.access = Access(parts.settings, parts.database, clock=stack.clock, limiter=parts.limiter)
    transport = httpx.ASGITransport(app=create_app(parts), client=(address, 1))  # type: ignore[arg-type] # ASGI
    return httpx.AsyncClient(transport=transport, base_url="http://api")


async def test_the_limit_of_an_address_holds_over_all_routes(stack: Stack) -> None:
    async with client_of(stack, address_limit_per_minute=6) as client:
        statuses = [(await client.get(LIST)).status_code for _ in range(4)]
        statuses += [(await client.post("/api/v1/customers", json={})).status_code for _ in range(4)]
        refused = await client.get(f"{LIST}/lps_1")
    assert statuses == [200] * 4 + [201] * 2 + [429] * 2
    assert refused.status_code == 429
    assert refused.json()["code"] == "rate_limited"
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert refused.headers["ratelimit-policy"] == '"address";q=6;w=60'
    assert refused.headers["ratelimit"].startswith('"address";r=0;t=')


async def test_two_addresses_do_not_share_a_limit(stack: Stack) -> None:
    async with client_of(stack, address_limit_per_minute=1) as first:
        assert (await first.get(LIST)).status_code == 200
        assert (await first.get(LIST)).status_code == 429
    async with client_of(stack, address="203.0.113.8") as second:
        assert (await second.get(LIST)).status_code == 200


async def test_behind_a_trusted_proxy_the_forwarded_address_counts(stack: Stack) -> None:
    proxied = client_of(stack, address="10.1.2.3", address_limit_per_minute=1, trusted_proxies=("10.0.0.0/8",))
    async with proxied as client:
        for address, status in (("198.51.100.1", 200), ("198.51.100.1", 429), ("198.51.100.2", 200)):
            assert (await client.get(LIST, headers={"X-Forwarded-For": address})).status_code == status


async def test_an_untrusted_peer_cannot_name_another_address(stack: Stack) -> None:
    async with client_of(stack, address_limit_per_minute=1, trusted_proxies=("10.0.0.0/8",)) as client:
        statuses = [
            (await client.get(LIST, headers={"X-Forwarded-For": f"198.51.100.{number}"})).status_code
            for number in range(3)
        ]
    assert statuses == [200, 429, 429]


async def test_each_key_has_a_limit_of_its_own(stack: Stack) -> None:
    stack.parts.settings = replace(stack.parts.settings, environment="production")
    keys = ApiKeys(stack.parts.settings, stack.parts.database, clock=stack.clock)
    first, _ = await keys.create("shop", scope="read", days=None, actor="test")
    second, _ = await keys.create("shop", scope="read", days=None, actor="test")
    async with client_of(stack, key_limit_per_minute=2, address_limit_per_minute=100) as client:
        headers = [{"Authorization": f"Bearer {key}"} for key in (first, first, first, second)]
        answers = [await client.get(LIST, headers=header) for header in headers]
    assert [answer.status_code for answer in answers] == [200, 200, 429, 200]
    assert answers[2].headers["ratelimit-policy"] == '"key";q=2;w=60'


async def test_a_refused_creation_counts_against_nothing_else(stack: Stack) -> None:
    async with client_of(stack, create_limit_per_minute=1, address_limit_per_minute=3) as client:
        answers = [await client.post(CREATE, json={"email": "a@example.com", "price_id": "price_pro"})]
        answers += [await client.post(CREATE, json={}) for _ in range(5)]
        assert [answer.status_code for answer in answers] == [201] + [429] * 5
        assert answers[-1].headers["ratelimit-policy"] == '"create";q=1;w=60'
        assert [(await client.get(LIST)).status_code for _ in range(3)] == [200, 200, 429]


@pytest.mark.parametrize("path", ["/api/v1/webhooks/stripe", "/health/ready", "/docs"])
async def test_webhooks_probes_and_pages_are_not_limited(stack: Stack, path: str) -> None:
    async with client_of(stack, address_limit_per_minute=1) as client:
        assert {(await client.get(path)).status_code for _ in range(4)} & {429} == set()


async def test_zero_switches_a_limit_off(database_url: str) -> None:
    off = {"PAYMENTS_ADDRESS_LIMIT_PER_MINUTE": "0", "PAYMENTS_KEY_LIMIT_PER_MINUTE": "0"}
    async with running_stack(database_url, **off) as stack:
        answer = await stack.client.get(LIST)
        assert answer.status_code == 200
        assert "ratelimit" not in answer.headers
