"""API keys: production asks for them, and people manage them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from structlog.testing import capture_logs

from payment_service.access import service
from payment_service.access.keys import ApiKeys
from payment_service.access.service import Access
from payment_service.bootstrap import create_app
from payment_service.storage.tables import api_keys, audit_log, idempotency_keys

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.servers.stack import Stack

    from payment_service.http.route_access import Scope

LIST = "/api/v1/subscriptions"


@pytest.fixture
async def guarded(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    """The same service, asking for keys as production does."""
    monkeypatch.setattr(service, "CACHE_SECONDS", 0.0)
    settings = replace(stack.parts.settings, environment="production")
    stack.parts.settings = settings
    parts = stack.parts
    parts.access = Access(settings, parts.database, clock=stack.clock)
    application: Any = create_app(parts)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=application), base_url="http://api") as client:
        yield client


@pytest.fixture
def keys(stack: Stack) -> ApiKeys:
    return ApiKeys(stack.parts.settings, stack.parts.database, clock=stack.clock)


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def test_without_a_key_production_answers_401_with_a_challenge(guarded: httpx.AsyncClient) -> None:
    answer = await guarded.get(LIST)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["code"] == "unauthorized"


async def test_probes_docs_and_webhooks_need_no_key(guarded: httpx.AsyncClient) -> None:
    assert (await guarded.get("/health/ready")).status_code == 200
    assert (await guarded.get("/docs")).status_code == 200
    assert (await guarded.post("/api/v1/webhooks/stripe", content=b"{}")).status_code == 400


async def test_a_key_opens_the_routes_of_its_scope(guarded: httpx.AsyncClient, keys: ApiKeys) -> None:
    key, made = await keys.create("shop", scope="read", days=None, actor="cli:test")
    assert (await guarded.get(LIST, headers=bearer(key))).status_code == 200
    with capture_logs() as lines:
        refused = await guarded.post("/api/v1/customers", json={}, headers=bearer(key))
    assert refused.status_code == 403
    assert refused.json()["code"] == "forbidden"
    assert [(line["code"], line["caller"]) for line in lines if line["event"] == "request"] == [("forbidden", made.id)]


async def test_a_write_key_may_read_too(guarded: httpx.AsyncClient, keys: ApiKeys) -> None:
    key, _ = await keys.create("shop", scope="write", days=None, actor="cli:test")
    assert (await guarded.get(LIST, headers=bearer(key))).status_code == 200
    assert (await guarded.post("/api/v1/customers", json={}, headers=bearer(key))).status_code == 201


@pytest.mark.parametrize("scope", ["read", "write"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/admin/inbox"),
        ("POST", "/api/v1/admin/inbox/replay"),
        ("POST", "/api/v1/admin/reconcile"),
        ("GET", "/api/v1/admin/operations"),
    ],
)
async def test_administration_needs_the_admin_scope(
    guarded: httpx.AsyncClient, keys: ApiKeys, scope: Scope, method: str, path: str
) -> None:
    key, _ = await keys.create("shop", scope=scope, days=None, actor="cli:test")
    refused = await guarded.request(method, path, headers=bearer(key))
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")


async def test_an_admin_key_may_administer(guarded: httpx.AsyncClient, keys: ApiKeys) -> None:
    key, _ = await keys.create("ops", scope="admin", days=None, actor="cli:test")
    assert (await guarded.get("/api/v1/admin/inbox", headers=bearer(key))).status_code == 200


@pytest.mark.parametrize(
    "header",
    ["Bearer", "Bearer lp_unknown", "Basic lp_x", "lp_x", f"Bearer lp_test_{'x' * 43}", f"Bearer lp_{'x' * 5000}"],
)
async def test_a_wrong_header_is_401(guarded: httpx.AsyncClient, header: str) -> None:
    assert (await guarded.get(LIST, headers={"Authorization": header})).status_code == 401


async def test_of_two_headers_that_let_in_none_counts(guarded: httpx.AsyncClient, keys: ApiKeys) -> None:
    """A proxy before us may have looked at the other one."""
    key, _ = await keys.create("shop", scope="read", days=None, actor="cli:test")
    good, bad = ("Authorization", f"Bearer {key}"), ("Authorization", "Bearer lp_unknown")
    for headers in ([good, bad], [bad, good], [good, good]):
        refused = await guarded.get(LIST, headers=headers)
        assert (refused.status_code, refused.json()["detail"]) == (400, "Authorization: is sent twice; send it once")
    signatures = [("Stripe-Signature", "t=1,v1=00"), ("Stripe-Signature", "t=1,v1=01")]
    refused = await guarded.post("/api/v1/webhooks/stripe", content=b"{}", headers=signatures)
    assert (refused.status_code, refused.json()["code"]) == (400, "bad_request")


async def test_a_revoked_key_is_refused(guarded: httpx.AsyncClient, keys: ApiKeys) -> None:
    key, record = await keys.create("shop", scope="read", days=None, actor="cli:test")
    assert (await guarded.get(LIST, headers=bearer(key))).status_code == 200
    await keys.revoke(record.id, actor="cli:test")
    assert (await guarded.get(LIST, headers=bearer(key))).status_code == 401


@pytest.mark.parametrize("reading", ["stream", "wait"])
async def test_who_waits_for_events_gets_none_after_the_key_has_ended(
    guarded: httpx.AsyncClient, keys: ApiKeys, stack: Stack, reading: str
) -> None:
    key, record = await keys.create("shop", scope="events:read", days=None, actor="cli:test")
    headers = bearer(key) | ({"Accept": "text/event-stream"} if reading == "stream" else {})
    wait = {} if reading == "stream" else {"wait": 30}

    async def ask() -> httpx.Response:
        question: dict[str, Any] = {"params": {"after": "latest", **wait}, "headers": headers, "timeout": 60}
        async with guarded.stream("GET", "/api/v1/events", **question) as found:
            await found.aread()
        return found

    answer = asyncio.create_task(ask())
    await asyncio.sleep(0.5)
    assert not answer.done()
    await keys.revoke(record.id, actor="cli:test")
    made = await stack.client.post("/api/v1/customers", json={"name": "Ada Secret"})
    assert made.status_code == 201
    async with asyncio.timeout(30):
        found = await answer
    assert found.status_code == (200 if reading == "stream" else 401)
    assert "Ada" not in found.text


async def test_an_expired_key_is_refused(guarded: httpx.AsyncClient, keys: ApiKeys, stack: Stack) -> None:
    key, _ = await keys.create("shop", scope="read", days=1, actor="cli:test")
    stack.clock.advance(2 * 86400)
    assert (await guarded.get(LIST, headers=bearer(key))).status_code == 401


async def test_both_keys_work_during_a_rotation_and_idempotency_keys_survive_it(
    guarded: httpx.AsyncClient, keys: ApiKeys, stack: Stack
) -> None:
    old, record = await keys.create("shop", scope="write", days=None, actor="cli:test")
    body, once = {"email": "ada@example.com"}, {"Idempotency-Key": "k1"}
    first = await guarded.post("/api/v1/customers", json=body, headers=bearer(old) | once)
    new, _ = await keys.rotate(record.id, overlap_hours=1, actor="cli:test")
    again = await guarded.post("/api/v1/customers", json=body, headers=bearer(new) | once)
    assert again.content == first.content
    assert (await guarded.get(LIST, headers=bearer(old))).status_code == 200
    stack.clock.advance(2 * 3600)
    assert (await guarded.get(LIST, headers=bearer(old))).status_code == 401
    assert {row["principal"] for row in await stack.rows(idempotency_keys)} == {"shop"}


async def test_only_a_digest_is_stored(keys: ApiKeys, stack: Stack) -> None:
    key, record = await keys.create("shop", scope="read", days=None, actor="cli:test")
    (row,) = await stack.rows(api_keys)
    assert key not in str(row)
    assert record.prefix == key[: len(record.prefix)]


async def test_every_change_is_audited(keys: ApiKeys, stack: Stack) -> None:
    _, record = await keys.create("shop", scope="read", days=None, actor="cli:ada")
    await keys.rotate(record.id, overlap_hours=1, actor="cli:ada")
    await keys.revoke(record.id, actor="cli:grace")
    rows = await stack.rows(audit_log)
    assert [(row["action"], row["on_behalf_of"]) for row in rows] == [
        ("api_key.create", "cli:ada"),
        ("api_key.rotate", "cli:ada"),
        ("api_key.revoke", "cli:grace"),
    ]
