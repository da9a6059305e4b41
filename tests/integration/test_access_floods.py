"""A crowd of wrong API keys costs those who hold right ones nothing."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from sqlalchemy import event

from payment_service.access import form, outlived, service
from payment_service.access.keys import ApiKeys
from payment_service.access.secret_keys import derive
from payment_service.access.service import Access
from payment_service.bootstrap import create_app
from payment_service.config.settings import DEVELOPMENT_SECRET_KEY
from payment_service.errors import Unauthorized

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.servers.stack import Stack

LIST = "/api/v1/subscriptions"
CROWD = 120
STRANGER = "not-the-service-0123456789-abcdef"


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def new_key(*, livemode: bool = False, value: str = DEVELOPMENT_SECRET_KEY) -> str:
    return form.new_key(livemode=livemode, secret_key=derive(value))


@pytest.fixture
async def client(stack: Stack) -> AsyncIterator[httpx.AsyncClient]:
    """The service as production runs it; every request comes from one address."""
    parts = stack.parts
    parts.settings = replace(parts.settings, environment="production")
    parts.access = Access(parts.settings, parts.database, clock=stack.clock)
    application: Any = create_app(parts)
    transport = httpx.ASGITransport(app=application, client=("203.0.113.7", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as made:
        yield made


@pytest.fixture
async def good(stack: Stack) -> str:
    keys = ApiKeys(stack.parts.settings, stack.parts.database, clock=stack.clock)
    return (await keys.create("shop", scope="read", days=None, actor="cli:test"))[0]


@pytest.fixture
def lookups(stack: Stack) -> list[str]:
    """Every statement that reads API keys."""
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "api_keys" in statement and statement.startswith("SELECT"):
            seen.append(statement)

    event.listen(stack.parts.database.engine.sync_engine, "before_cursor_execute", note)
    return seen


@pytest.mark.parametrize("wrong", ["", "Bearer x", "Bearer lp_test_short", "Basic eDp5"])
async def test_a_valid_key_passes_whatever_else_comes_from_its_address(
    client: httpx.AsyncClient, good: str, wrong: str
) -> None:
    headers = {"Authorization": wrong} if wrong else {}
    mixed = [headers if number % 3 else bearer(good) for number in range(CROWD)]
    answers = await asyncio.gather(*(client.get(LIST, headers=each) for each in mixed))
    statuses = Counter((sent is headers, answer.status_code) for sent, answer in zip(mixed, answers, strict=True))
    assert statuses == {(True, 401): 80, (False, 200): 40}


async def test_invented_keys_are_refused_without_a_look_up(
    client: httpx.AsyncClient, good: str, lookups: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "CACHE_SECONDS", 0.0)
    monkeypatch.setattr(outlived, "READ_SECONDS", 3600.0)
    for _ in range(CROWD):
        assert (await client.get(LIST, headers=bearer(new_key(value=STRANGER)))).status_code == 401
    assert len(lookups) <= 2  # not of the keys shown: which keys outlived a value, and how many need one
    assert (await client.get(LIST, headers=bearer(good))).status_code == 200


async def test_a_key_that_ended_is_looked_up_once_in_a_while_and_says_why_it_is_refused(
    client: httpx.AsyncClient, stack: Stack, lookups: list[str]
) -> None:
    keys = ApiKeys(stack.parts.settings, stack.parts.database, clock=stack.clock)
    key, record = await keys.create("shop", scope="read", days=None, actor="cli:test")
    await keys.revoke(record.id, actor="cli:test")
    lookups.clear()
    answers = [await client.get(LIST, headers=bearer(key)) for _ in range(20)]
    assert {answer.status_code for answer in answers} == {401}
    assert record.id in answers[-1].json()["detail"]
    assert "revoked" in answers[-1].json()["detail"]
    assert len(lookups) == 1


async def test_a_key_that_a_crowd_shows_at_once_is_looked_up_once(
    client: httpx.AsyncClient, good: str, lookups: list[str]
) -> None:
    answers = await asyncio.gather(*(client.get(LIST, headers=bearer(good)) for _ in range(CROWD)))
    assert {answer.status_code for answer in answers} == {200}
    assert len(lookups) == 1


async def test_ended_keys_do_not_crowd_out_good_ones(
    client: httpx.AsyncClient, good: str, lookups: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "CACHED_KEYS", 10)
    await client.get(LIST, headers=bearer(good))
    for _ in range(30):
        assert (await client.get(LIST, headers=bearer(new_key()))).status_code == 401
    lookups.clear()
    assert (await client.get(LIST, headers=bearer(good))).status_code == 200
    assert lookups == []


async def test_a_key_of_the_other_mode_is_refused_with_that_reason(
    client: httpx.AsyncClient, lookups: list[str]
) -> None:
    answer = await client.get(LIST, headers=bearer(new_key(livemode=True)))
    assert answer.status_code == 401
    assert "live mode" in answer.json()["detail"]
    assert "lp_test_" in answer.json()["detail"]
    assert lookups == []


async def test_a_refusal_keeps_nothing_of_its_request_in_memory(client: httpx.AsyncClient) -> None:
    """An error that a frame of its traceback names is found by the garbage collector alone, after minutes."""
    gc.collect()
    gc.disable()
    try:
        answers = [await client.post("/api/v1/customers", content=b"x" * 50_000) for _ in range(10)]
        assert {answer.status_code for answer in answers} == {401}
        assert [one for one in gc.get_objects() if isinstance(one, Unauthorized) and one.__traceback__] == []
    finally:
        gc.enable()
