"""A crowd without a key cannot make the operator roll a release back: its judge looks at the service's own metrics."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.servers.events import deliver
from tests.spellings import Sent, ask

from payment_operator.api.release import Bake
from payment_operator.model.measures import acute, failed, judge_traffic
from payment_operator.model.samples import Sample, parse
from payment_service.access.keys import ApiKeys
from payment_service.access.service import Access
from payment_service.bootstrap import create_app
from payment_service.http.server import Servers, listen

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tests.servers.stack import Stack

pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)

LIST, HOOK = "/api/v1/subscriptions", "/api/v1/webhooks/stripe"
TARGETS = [
    f"{LIST}?starting_after=%00",
    f"{LIST}?limit=1e400",
    f"{LIST}?limit=%ff",
    f"{LIST}/%00",
    f"{LIST}/{'x' * 5000}",
    f"/{LIST}?starting_after=%00",
    "/%2Fapi/v1/subscriptions",
    "/api/v1//customers",
    "/api/v1/customers/../admin/inbox",
    "/api/v1/nothing",
    "/api/v1/nothing%0a",
    HOOK,
    f"{HOOK}/",
]
FIELDS = [
    b"X-Request-ID: \xff\xfe",
    b"X-Request-ID: " + b"9" * 4000,
    b"Authorization: \xff",
    b"Authorization: Bearer lp_live_" + b"0" * 43,
    b"Authorization: Bearer lp_test_" + b"9" * 43,
    b"Stripe-Signature: t=99999999999999999999,v1=\xff",
    b"Stripe-Signature: t=-1,v1=00",
    b"Idempotency-Key: \x80",
    b"Content-Type: \xff",
    b"Origin: \xff\xff",
    b"X-Forwarded-For: \xff, ::, [::1]:x",
    b"Host: \xff",
    b"traceparent: 00-\xff",
    b"Expect: 100-continue",
]
BODIES = [b"", b"\xff\xfe", b"\x00", b"[" * 5000, b'{"id":"evt_\\u0000"}', b'{"a":1e400}', b"{" + b'"a":1,' * 5000]


@pytest.fixture
async def port(stack: Stack) -> AsyncIterator[int]:
    """The API port as production has it."""
    parts = stack.parts
    parts.settings = replace(parts.settings, environment="production")
    parts.access = Access(parts.settings, parts.database, clock=stack.clock)
    servers, listener = Servers(), listen("127.0.0.1", 0)
    application: Any = create_app(parts)
    await servers.start(application, listener)
    yield listener.getsockname()[1]
    await servers.stop()


@pytest.fixture
async def customer(stack: Stack, port: int) -> AsyncIterator[httpx.AsyncClient]:
    """Who has a key, while the crowd calls."""
    keys = ApiKeys(stack.parts.settings, stack.parts.database, clock=stack.clock)
    key, _ = await keys.create("shop", scope="read", days=None, actor="cli:test")
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30) as client:
        yield client


def crowd() -> list[Sent]:
    """What strangers send."""
    told = [Sent(method=method, target=target) for target in TARGETS for method in ("GET", "POST", "DELETE")]
    fields = [
        Sent(method=method, target=path, field=field)
        for field in FIELDS
        for method, path in (("GET", LIST), ("POST", "/api/v1/customers"), ("POST", HOOK))
    ]
    bodies = [Sent(method="POST", target=path, content=body) for body in BODIES for path in ("/api/v1/customers", HOOK)]
    return [*told, *fields, *bodies]


async def look(customer: httpx.AsyncClient, *, strangers: bool = False) -> Sample:
    """What the judge reads; `strangers`: as if they counted like who was let in."""
    text = (await customer.get("/metrics")).text
    return parse(text.replace('admitted="false"', 'admitted="true"') if strangers else text)


def verdict(growth: Sample) -> str:
    return failed(acute(growth, restarts=0, ready=3, limits=Bake())) or judge_traffic(growth, Bake())


async def growth_during(
    customer: httpx.AsyncClient, work: Callable[[], Awaitable[Any]], *, strangers: bool = False
) -> Sample:
    before = await look(customer, strangers=strangers)
    await work()
    return (await look(customer, strangers=strangers)).since(before)


async def test_what_strangers_send_breaches_nothing(port: int, customer: httpx.AsyncClient) -> None:
    async def strangers() -> None:
        answers = await ask(port, crowd())
        assert [(sent, status) for sent, status, _ in answers if not 400 <= status < 500] == []
        assert [(await customer.get(LIST)).status_code for _ in range(20)] == [200] * 20

    growth = await growth_during(customer, strangers)
    assert growth.requests == growth.buckets[float("inf")] == 20
    assert growth.errors == growth.database_errors == growth.stripe_calls == 0
    assert verdict(growth) == ""
    assert "5xx" in verdict(growth.plus(Sample(requests=1, errors=1)))
    assert "p99" in verdict(growth.plus(Sample(requests=1, buckets={30.0: 1, float("inf"): 1})))


async def test_strangers_who_break_off_in_a_body_are_no_fault_of_the_service(
    port: int, customer: httpx.AsyncClient
) -> None:
    async def break_off(path: str, field: str) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"POST {path} HTTP/1.1\r\nHost: api\r\n{field}Content-Length: 9\r\n\r\n{{".encode())
        await asyncio.sleep(0.2)
        writer.transport.abort()

    async def strangers() -> None:
        own = f"Authorization: {customer.headers['authorization']}\r\n"
        await asyncio.gather(*(break_off(path, own) for path in ("/api/v1/customers", HOOK) for _ in range(5)))
        await asyncio.sleep(0.3)

    growth = await growth_during(customer, strangers, strangers=True)
    assert growth.errors == 0


async def test_a_delivery_that_stripe_signed_counts_and_others_do_not(
    customer: httpx.AsyncClient, stack: Stack
) -> None:
    async def deliveries() -> None:
        assert (await deliver(stack, "evt_1")).status_code == 200
        assert (await customer.post(HOOK, json={})).status_code == 400

    assert (await growth_during(customer, deliveries)).requests == 1


async def test_bodies_that_strangers_send_slowly_are_not_the_service_s_answer_time(
    port: int, customer: httpx.AsyncClient
) -> None:
    async def slow() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"POST {HOOK} HTTP/1.1\r\nHost: api\r\nContent-Length: 2\r\n\r\n{{".encode())
        await asyncio.sleep(2.6)
        writer.write(b"}")
        assert (await reader.readline()).startswith(b"HTTP/1.1 400")
        writer.close()

    async def strangers() -> None:
        await asyncio.gather(*(slow() for _ in range(Bake().min_requests + 1)))

    growth = await growth_during(customer, strangers, strangers=True)
    assert growth.requests > Bake().min_requests
    assert verdict(growth) == ""
