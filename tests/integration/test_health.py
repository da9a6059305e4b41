"""Probes, metrics and the admin port."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.servers.stack import running_stack

from payment_service.bootstrap import create_admin
from payment_service.config.secrets import Secret, fingerprint
from payment_service.config.settings import DEVELOPMENT_SECRET_KEY, DEVELOPMENT_WEBHOOK_SECRET
from payment_service.http.admin_token import derived_token
from payment_service.migrations.support import APPLICATION_SCHEMA
from stripe_simulator.faults import Fault

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.servers.postgres import PostgresServer
    from tests.servers.stack import Stack


@pytest.fixture
async def admin(stack: Stack) -> AsyncIterator[httpx.AsyncClient]:
    async with admin_client(stack, worker=True) as client:
        yield client


def admin_client(stack: Stack, *, worker: bool) -> httpx.AsyncClient:
    application: Any = create_admin(stack.parts, worker=worker)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=application), base_url="http://admin")


async def test_health_is_the_guides_body(stack: Stack) -> None:
    answer = await stack.client.get("/health")
    assert answer.status_code == 200
    body = answer.json()
    assert body.pop("timestamp").endswith("Z")
    assert body == {
        "status": "healthy",
        "checks": {"database": True, "redis": True, "stripe": True},
        "version": "2.0.0",
    }


async def test_health_is_503_while_stripe_is_away_and_recovers(stack: Stack) -> None:
    stack.simulator.faults.calls.append(Fault(kind="500_before", path="/v1/balance", count=99))
    answer = await stack.client.get("/health")
    assert answer.status_code == 503
    assert answer.json()["status"] == "unhealthy"
    assert answer.json()["checks"] == {"database": True, "redis": True, "stripe": False}
    stack.simulator.faults.clear()

    async def healthy() -> bool:
        return (await stack.client.get("/health")).status_code == 200

    await stack.until(healthy)


async def test_readiness_does_not_ask_stripe(stack: Stack) -> None:
    stack.simulator.faults.calls.append(Fault(kind="500_before", count=99))
    assert (await stack.client.get("/health/ready")).status_code == 200


async def test_a_stopped_database_fails_health_and_readiness_but_not_liveness(
    own_postgres_server: PostgresServer,
) -> None:
    async with running_stack(own_postgres_server.new_database()) as stack:
        assert (await stack.client.get("/health/ready")).status_code == 200
        own_postgres_server.stop()
        await asyncio.sleep(1.1)
        assert (await stack.client.get("/health")).json()["checks"]["database"] is False
        assert (await stack.client.get("/health/ready")).status_code == 503
        assert (await stack.client.get("/health/live")).status_code == 200
        refused = await stack.create(email="ada@example.com", price_id="price_pro")
        assert refused.status_code == 503
        own_postgres_server.start()

        async def ready() -> bool:
            return (await stack.client.get("/health/ready")).status_code == 200

        await stack.until(ready)
        assert (await stack.create(email="ada@example.com")).status_code == 201


async def test_metrics_count_requests_and_attempts(stack: Stack) -> None:
    await stack.create(email="ada@example.com", payment_method_id="pm_card_visa")
    text = (await stack.client.get("/metrics")).text
    assert 'payment_attempts_total{outcome="succeeded"}' in text
    duplicates = [line for line in text.splitlines() if line.startswith('payment_attempts_total{outcome="duplicate"}')]
    assert (await stack.create(email="ada@example.com", payment_method_id="pm_card_visa")).status_code == 409
    counted = (await stack.client.get("/metrics")).text.splitlines()
    assert [line for line in counted if line.startswith('payment_attempts_total{outcome="duplicate"}')] != duplicates
    assert "payment_duration_seconds_bucket" in text
    route = 'method="POST",route="/api/v1/payments/create-subscription"'
    assert f'payments_http_requests_total{{admitted="true",{route},status="201"}}' in text


async def test_a_request_id_comes_back(stack: Stack) -> None:
    answer = await stack.client.get("/health/live", headers={"X-Request-ID": "from-the-caller-1"})
    assert answer.headers["x-request-id"] == "from-the-caller-1"


async def test_an_unsafe_request_id_is_replaced(stack: Stack) -> None:
    answer = await stack.client.get("/nowhere", headers={"X-Request-ID": "<script>alert(1)</script>"})
    assert answer.headers["x-request-id"] == answer.json()["request_id"]
    assert "script" not in answer.headers["x-request-id"]


async def test_drain_mode_closes_connections_and_stays_ready(stack: Stack, admin: httpx.AsyncClient) -> None:
    assert (await admin.put("/drain", json={"drain": True})).json() == {"draining": True}
    answer = await stack.client.get("/health/ready")
    assert answer.status_code == 200
    assert answer.headers["connection"] == "close"
    await admin.put("/drain", json={"drain": False})
    assert "connection" not in (await stack.client.get("/health/ready")).headers


async def test_a_process_that_is_told_to_stop_fails_readiness_and_takes_nobody_back(
    stack: Stack, admin: httpx.AsyncClient
) -> None:
    told = (await admin.put("/drain", json={"drain": True, "stopping": True})).json()
    assert told == {"draining": True, "seconds": 0}
    answer = await stack.client.get("/health/ready")
    assert answer.status_code == 503
    assert answer.json()["checks"]["accepting"] is False
    assert (await admin.put("/drain", json={"drain": False})).json() == {"draining": True}


async def test_looking_at_drain_changes_nothing(stack: Stack, admin: httpx.AsyncClient) -> None:
    assert (await admin.get("/drain")).status_code == 405
    assert not stack.parts.drain.stopping
    assert not stack.parts.drain.closing_connections


async def test_the_status_names_schema_and_fingerprints(admin: httpx.AsyncClient) -> None:
    body = (await admin.get("/status")).json()
    assert body["schema"] == {
        "application": APPLICATION_SCHEMA,
        "database": APPLICATION_SCHEMA,
        "supported": True,
    }
    assert body["secrets"]["stripe_webhook_secret"] == [fingerprint(DEVELOPMENT_WEBHOOK_SECRET, salt="")]
    assert DEVELOPMENT_WEBHOOK_SECRET not in str(body)


async def test_a_worker_is_told_to_stop_claiming(stack: Stack, admin: httpx.AsyncClient) -> None:
    assert (await admin.put("/worker", json={"claim": False})).json() == {"claiming": False}
    assert stack.parts.worker.claiming is False


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{}", b"[]", b'{"drain": 1}', b'{"drain": true, "x": 1}', b'{"drain": true} {}', b"[" * 4000),
        *(b'{"drain": true, "drain": false}', b'{"drain": true, "\\u0064rain": false}'),
    ],
)
async def test_a_bad_drain_request_is_400(admin: httpx.AsyncClient, body: bytes) -> None:
    assert (await admin.put("/drain", content=body)).status_code == 400


async def test_the_admin_token_is_asked(database_url: str) -> None:
    running = running_stack(database_url, PAYMENTS_ADMIN_TOKEN="let-me-in")
    async with running as stack, admin_client(stack, worker=False) as client:
        assert (await client.get("/status")).status_code == 401
        allowed = await client.get("/status", headers={"Authorization": "Bearer let-me-in"})
        assert allowed.status_code == 200


async def test_production_without_an_admin_token_asks_for_the_one_made_of_its_secret_key(stack: Stack) -> None:
    stack.parts.settings = replace(stack.parts.settings, environment="production")
    right = {"Authorization": f"Bearer {derived_token(DEVELOPMENT_SECRET_KEY)}"}
    async with admin_client(stack, worker=False) as client:
        for method, path in (("GET", "/status"), ("PUT", "/drain")):
            for headers in ({}, {"Authorization": "Bearer "}, {"Authorization": f"Bearer {derived_token('other')}"}):
                refused = await client.request(method, path, json={"drain": True}, headers=headers)
                assert (refused.status_code, refused.json()["code"]) == (401, "unauthorized")
        assert stack.parts.drain.closing_connections is False
        assert (await client.get("/health/ready")).status_code == 200
        assert (await client.put("/drain", json={"drain": True}, headers=right)).json() == {"draining": True}


async def test_a_process_with_neither_token_nor_secret_key_takes_no_orders(stack: Stack) -> None:
    """A worker of the chart: behind a sidecar everybody would come from this machine."""
    stack.parts.settings = replace(stack.parts.settings, environment="production", secret_key=Secret(""))
    async with admin_client(stack, worker=True) as client:
        for headers in ({}, {"Authorization": f"Bearer {derived_token('')}"}):
            refused = await client.put("/worker", json={"claim": False}, headers=headers)
            assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")


async def test_development_without_a_token_answers_this_machine_only(stack: Stack) -> None:
    for address, status in (("127.0.0.1", 200), ("::1", 200), ("10.0.0.7", 403), ("fd00::7", 403)):
        application: Any = create_admin(stack.parts, worker=False)
        transport = httpx.ASGITransport(app=application, client=(address, 40000))
        async with httpx.AsyncClient(transport=transport, base_url="http://admin") as client:
            assert (await client.get("/status")).status_code == status


async def test_the_limit_answers_429_to_the_eleventh(database_url: str) -> None:
    async with running_stack(database_url, PAYMENTS_CREATE_LIMIT_PER_MINUTE="10") as stack:
        answers = [await stack.create(email="ada@example.com", allow_multiple=True) for _ in range(12)]
        assert [answer.status_code for answer in answers] == [201] * 10 + [429] * 2
        assert answers[-1].json()["code"] == "rate_limited"
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
        assert answers[-1].headers["ratelimit"].startswith('"create";r=0')


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/api/v1/nothing", 404, "route_not_found"),
        ("DELETE", "/api/v1/customers", 405, "method_not_allowed"),
        ("POST", "/health", 405, "method_not_allowed"),
    ],
)
async def test_every_error_is_a_problem_document(stack: Stack, method: str, path: str, status: int, code: str) -> None:
    answer = await stack.client.request(method, path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["code"] == code
    assert body["request_id"] == answer.headers["x-request-id"]
    assert status != 405 or answer.headers["allow"]


async def test_a_large_body_is_413(stack: Stack) -> None:
    assert (await stack.create(email="ada@example.com", name="x" * 100_000)).status_code == 413


async def test_a_body_that_is_not_json_is_415(stack: Stack) -> None:
    path = "/api/v1/payments/create-subscription"
    answer = await stack.client.post(
        path, content=b"a=1", headers={"Content-Type": "application/x-www-form-urlencoded"}
    )
    assert answer.status_code == 415
    assert answer.json()["code"] == "unsupported_media_type"
