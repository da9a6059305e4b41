"""The limits of the API: for each address, for each key, and for create-subscription, in one step."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.servers.stack import CREATE, PRICE, running_stack

from payment_service.access.keys import ApiKeys
from payment_service.access.service import Access
from payment_service.bootstrap import create_app
from payment_service.observability import metrics
from payment_service.payments.limits import CreationLimits
from payment_service.storage.tables import operations

if TYPE_CHECKING:
    from tests.servers.stack import Stack

LIST = "/api/v1/subscriptions"


def client_of(stack: Stack, *, address: str = "203.0.113.7", **http: Any) -> httpx.AsyncClient:
    """A client of the service with other settings."""
    parts = stack.parts
    parts.settings = replace(parts.settings, http=replace(parts.settings.http, **http))
    parts.access = Access(parts.settings, parts.database, clock=stack.clock)
    limits = CreationLimits(parts.subscriptions._limits._declines, parts.settings.http)
    parts.subscriptions._limits = parts.payment_methods._limits = limits
    transport = httpx.ASGITransport(app=create_app(parts), client=(address, 1))  # type: ignore[arg-type] # ASGI
    return httpx.AsyncClient(transport=transport, base_url="http://api")


async def make_key(stack: Stack, name: str = "shop") -> dict[str, str]:
    """Return the header with a new API key of a principal; from now on keys are asked."""
    stack.parts.settings = replace(stack.parts.settings, environment="production")
    keys = ApiKeys(stack.parts.settings, stack.parts.database, clock=stack.clock)
    key, _ = await keys.create(name, scope="write", days=None, actor="cli:test")
    return {"Authorization": f"Bearer {key}"}


async def create(client: httpx.AsyncClient, headers: dict[str, str], **customer: Any) -> httpx.Response:
    """Create a subscription, however many the customer has."""
    return await client.post(CREATE, headers=headers, json={"price_id": PRICE, "allow_multiple": True} | customer)


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
    first, _ = await keys.create("shop", scope="read", days=None, actor="cli:test")
    second, _ = await keys.create("shop", scope="read", days=None, actor="cli:test")
    async with client_of(stack, key_limit_per_minute=2, address_limit_per_minute=100) as client:
        headers = [{"Authorization": f"Bearer {key}"} for key in (first, first, first, second)]
        answers = [await client.get(LIST, headers=header) for header in headers]
    assert [answer.status_code for answer in answers] == [200, 200, 429, 200]
    assert answers[2].headers["ratelimit-policy"] == '"key";q=2;w=60'


async def test_requests_with_a_key_take_nothing_from_neighbours_at_their_address(stack: Stack) -> None:
    first, second = await make_key(stack, "shop"), await make_key(stack, "neighbour")
    async with client_of(stack, key_limit_per_minute=2, address_limit_per_minute=2) as client:
        flood = [await client.get(LIST, headers=first) for _ in range(4)]
        flood += [await client.post("/api/v1/customers", json={}, headers=first) for _ in range(2)]
        other = [
            await client.post("/api/v1/customers", json={}, headers=second),
            await client.get(LIST, headers=second),
        ]
    assert [answer.status_code for answer in flood] == [200, 200, 429, 429, 429, 429]
    assert [answer.status_code for answer in other] == [201, 200]
    assert {answer.headers["ratelimit-policy"] for answer in (*flood, *other)} == {'"key";q=2;w=60'}


async def test_a_key_counts_creations_for_the_customer_it_names(stack: Stack) -> None:
    key = await make_key(stack)
    async with client_of(stack, create_limit_per_minute=2) as client:
        adas = [await create(client, key, email=email) for email in ("ada@example.com", "Ada@Example.com") * 2]
        others = [await create(client, key, email=f"{number}@example.com") for number in range(5)]
        by_reference = [await create(client, key, customer_reference="c-1", create=True) for _ in range(3)]
        customer = others[0].json()["customer_id"]
        stripe_id = (await client.get(f"/api/v1/customers/{customer}", headers=key)).json()["stripe_customer_id"]
        by_id = [await create(client, key, customer_id=named) for named in (customer, stripe_id, customer)]
    assert [answer.status_code for answer in adas] == [201, 201, 429, 429]
    assert {answer.status_code for answer in others} == {201}
    assert [answer.status_code for answer in by_reference] == [201, 201, 429]
    assert [answer.status_code for answer in by_id] == [201, 201, 429], "our id and Stripe's are one customer"
    refused = adas[-1]
    assert refused.json()["code"] == "rate_limited"
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert refused.headers.get_list("ratelimit-policy") == ['"create";q=2;w=60']


async def test_a_caller_cannot_use_up_what_another_may_do_for_the_same_customer(stack: Stack) -> None:
    first, second = await make_key(stack, "shop"), await make_key(stack, "support")
    async with client_of(stack, create_limit_per_minute=1) as client:
        answers = [await create(client, key, email="ada@example.com") for key in (first, first, second)]
    assert [answer.status_code for answer in answers] == [201, 429, 201]


async def test_a_setting_counts_creations_for_the_address(stack: Stack) -> None:
    key = await make_key(stack)
    async with client_of(stack, create_limit_per_minute=2, create_limit_by="address") as client:
        answers = [await create(client, key, email=f"{number}@example.com") for number in range(3)]
    assert [answer.status_code for answer in answers] == [201, 201, 429]


async def test_replays_take_nothing_from_the_limit_of_creations(stack: Stack) -> None:
    async with client_of(stack, create_limit_per_minute=2) as client:
        replayed = [await create(client, {"Idempotency-Key": "one"}, email="a@example.com") for _ in range(6)]
        reused = await create(client, {"Idempotency-Key": "one"}, email="b@example.com")
        after = [await create(client, {}, email=f"{number}@example.com") for number in range(2)]
    assert {answer.status_code for answer in replayed} == {201}
    assert reused.status_code == 422
    assert [answer.status_code for answer in after] == [201, 429]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"quantity": "many"},
        {"price_id": "price_unknown"},
        {"customer_id": "lpc_unknown"},
        {"customer_id": "cus_unknown"},
        {"colour": "red"},
    ],
)
async def test_refusals_by_validation_take_nothing_from_the_limit_of_creations(
    stack: Stack, body: dict[str, Any]
) -> None:
    async with client_of(stack, create_limit_per_minute=1) as client:
        refused = [await client.post(CREATE, json={"price_id": PRICE} | body) for _ in range(3)]
        assert {answer.status_code for answer in refused} == {422}
        assert (await create(client, {}, email="a@example.com")).status_code == 201


async def test_a_refused_creation_was_not_begun(stack: Stack) -> None:
    async with client_of(stack, create_limit_per_minute=1) as client:
        await create(client, {}, email="a@example.com")
        begun = len(await stack.rows(operations))
        key = {"Idempotency-Key": "later"}
        assert (await create(client, key, email="b@example.com")).status_code == 429
        assert len(await stack.rows(operations)) == begun
    async with client_of(stack, create_limit_per_minute=2) as later:
        assert (await create(later, key, email="b@example.com")).status_code == 201


@pytest.mark.parametrize("origins", [(), ("https://shop.example",)])
async def test_preflights_count_against_nothing_and_need_no_key(stack: Stack, origins: tuple[str, ...]) -> None:
    await make_key(stack)
    asked = {"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"}
    async with client_of(stack, address_limit_per_minute=1, allowed_origins=origins) as client:
        before = metrics.render()
        answers = [await client.options(CREATE, headers=asked | {"Authorization": "Bearer lp_x"}) for _ in range(30)]
        assert {answer.status_code for answer in answers} == {204}
        allowed = {answer.headers.get("access-control-allow-origin", "") for answer in answers}
        assert allowed == ({*origins} or {""})
        assert counted(metrics.render()) == counted(before), "no key was looked at, no limit asked"
        assert (await client.get(LIST)).status_code == 401


def counted(text: bytes) -> list[bytes]:
    """Return the series of refused keys and of the limiter's decisions."""
    return [line for line in text.splitlines() if b"limiter_decisions" in line or b"refused_keys" in line]


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
