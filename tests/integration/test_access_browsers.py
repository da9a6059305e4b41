"""What browsers are told: allowed origins and security headers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from payment_service import document
from payment_service.access.service import Access
from payment_service.bootstrap import create_app
from payment_service.http_api import FILE_PART_BYTES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.servers.stack import Stack

LIST = "/api/v1/subscriptions"
ORIGIN = "https://app.example.com"


@pytest.fixture
async def client(stack: Stack) -> AsyncIterator[httpx.AsyncClient]:
    """The service as production runs it, with one allowed origin."""
    parts = stack.parts
    http = replace(parts.settings.http, allowed_origins=(ORIGIN,))
    parts.settings = replace(parts.settings, environment="production", http=http)
    parts.access = Access(parts.settings, parts.database, clock=stack.clock)
    application: Any = create_app(parts)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=application), base_url="http://api") as made:
        yield made


def preflight(origin: str) -> dict[str, str]:
    return {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,idempotency-key",
    }


async def test_a_preflight_of_an_allowed_origin_needs_no_key(client: httpx.AsyncClient) -> None:
    answer = await client.options(LIST, headers=preflight(ORIGIN))
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert "Idempotency-Key" in answer.headers["access-control-allow-headers"]
    assert answer.headers["vary"] == "Origin"


async def test_a_refusal_can_be_read_by_an_allowed_origin(client: httpx.AsyncClient) -> None:
    answer = await client.get(LIST, headers={"Origin": ORIGIN})
    assert answer.status_code == 401
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert "X-Request-ID" in answer.headers["access-control-expose-headers"]
    assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize("origin", ["https://evil.example.com", "https://app.example.com.evil.example", "null"])
async def test_another_origin_gets_no_mark(client: httpx.AsyncClient, origin: str) -> None:
    for answer in (await client.options(LIST, headers=preflight(origin)), await client.get("/docs")):
        assert "access-control-allow-origin" not in answer.headers
    assert "access-control-allow-origin" not in (await client.get(LIST, headers={"Origin": origin})).headers


async def test_without_an_origin_nothing_is_added(client: httpx.AsyncClient) -> None:
    assert not [name for name in (await client.get(LIST)).headers if name.startswith("access-control")]


@pytest.mark.parametrize("path", [LIST, "/docs", "/api/v1/subscriptions/lps_1"])
async def test_answers_carry_security_headers(client: httpx.AsyncClient, path: str) -> None:
    headers = (await client.get(path)).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert "max-age" in headers["strict-transport-security"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert (headers.get("cache-control") == "no-store") == path.startswith("/api/")


async def test_development_does_not_pin_tls(stack: Stack) -> None:
    assert "strict-transport-security" not in (await stack.client.get(LIST)).headers


@pytest.mark.parametrize("path", ["/docs", "/docs/openapi.json"])
async def test_the_description_that_strangers_may_ask_for_is_drawn_once(
    client: httpx.AsyncClient, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[str] = []
    plain = document.completed

    def noting(*given: Any, **named: Any) -> Any:
        drawn.append(path)
        return plain(*given, **named)

    monkeypatch.setattr(document, "completed", noting)
    answers = [await client.get(path) for _ in range(5)]
    assert {(answer.status_code, answer.text) for answer in answers} == {(200, answers[0].text)}
    assert len(drawn) == 1


async def test_files_are_sent_in_small_parts(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    parts: list[bytes] = []
    transport: Any = client._transport
    plain = transport.app

    async def noting(scope: Any, receive: Any, send: Any) -> None:
        async def sending(message: Any) -> None:
            parts.append(message.get("body", b""))
            await send(message)

        await plain(scope, receive, sending)

    monkeypatch.setattr(transport, "app", noting)
    answer = await client.get("/docs/assets/swagger-ui-bundle.js")
    assert answer.status_code == 200
    assert len(answer.content) == int(answer.headers["content-length"]) > 1_000_000
    assert max(map(len, parts)) <= FILE_PART_BYTES
