"""SECRET_KEY is replaced without losing an API key: its whole life, on both databases."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from sqlalchemy import event
from structlog.testing import capture_logs

from payment_service.access import form
from payment_service.access.keys import ApiKeys
from payment_service.access.secret_keys import derive
from payment_service.access.service import Access
from payment_service.bootstrap import create_admin, create_app
from payment_service.config.secrets import Secret
from payment_service.errors import Unauthorized
from payment_service.observability.metrics import REGISTRY
from payment_service.storage.tables import api_keys, audit_log

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.stack import Stack

    from payment_service.config.settings import Settings

LIST = "/api/v1/subscriptions"
A, B, C = "a1b2c3d4" * 5, "e5f6a7b8" * 5, "c9d0e1f2" * 5


class Pod:
    """A process with its own view of SECRET_KEY, on the stack's database."""

    def __init__(self, stack: Stack, *values: str, secret: Secret | None = None) -> None:
        self.stack = stack
        self.settings: Settings = replace(
            stack.parts.settings, environment="production", secret_key=secret or Secret(",".join(values))
        )
        self.access = Access(self.settings, stack.parts.database, clock=stack.clock)

    def keys(self) -> ApiKeys:
        return ApiKeys(self.settings, self.stack.parts.database, clock=self.stack.clock)

    async def make(self) -> str:
        return (await self.keys().create("shop", scope="read", days=None, actor="cli:test"))[0]

    async def status(self, key: str) -> int:
        """What the API answers to this key, as if the last look-up were long ago."""
        self.stack.clock.advance(10)
        return (await self.answer(key)).status_code

    async def answer(self, key: str) -> httpx.Response:
        parts = self.stack.parts
        parts.settings, parts.access = self.settings, self.access
        transport = httpx.ASGITransport(app=create_app(parts))  # type: ignore[arg-type] # ASGI
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
            return await client.get(LIST, headers={"Authorization": f"Bearer {key}"})


async def values_of(stack: Stack) -> list[tuple[str | None, str | None]]:
    return [(row["digest_value"], row["former_value"]) for row in await stack.rows(api_keys)]


async def test_a_key_lives_through_the_replacement_of_the_value_it_was_made_under(stack: Stack) -> None:
    key = await Pod(stack, A).make()
    both = Pod(stack, B, A)
    assert await both.status(key) == 200
    assert await values_of(stack) == [(derive(B).id, derive(A).id)]
    assert await Pod(stack, B).status(key) == 200
    assert await Pod(stack, C, B).status(key) == 200
    assert await Pod(stack, C).status(key) == 200
    assert await Pod(stack, A).status(key) == 401


async def test_an_invented_key_is_still_refused_without_a_look_up_then(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("payment_service.access.outlived.READ_SECONDS", 3600.0)
    key = await Pod(stack, A).make()
    assert await Pod(stack, B, A).status(key) == 200
    pod, seen = Pod(stack, B), []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("SELECT") and "api_keys" in statement:
            seen.append(statement)

    event.listen(stack.parts.database.engine.sync_engine, "before_cursor_execute", note)
    for _ in range(100):
        with pytest.raises(Unauthorized):
            await pod.access.identify(f"Bearer {form.new_key(livemode=False, secret_key=derive(A))}", scope="read")
    assert len(seen) <= 2  # the keys that outlived a value, and the count of those that need one
    assert (await pod.answer(key)).status_code == 200


async def test_pods_with_the_old_and_with_the_new_values_both_know_a_key(stack: Stack) -> None:
    old, new = Pod(stack, A), Pod(stack, B, A)
    before, during = await old.make(), await new.make()
    for _ in range(2):
        assert [await pod.status(key) for pod in (new, old) for key in (before, during)] == [200] * 4
    assert await values_of(stack) == [(derive(B).id, derive(A).id)] * 2


async def test_the_order_of_the_values_may_be_taken_back(stack: Stack) -> None:
    key = await Pod(stack, A).make()
    for values in ((A, B), (B, A), (A, B), (A,)):
        assert await Pod(stack, *values).status(key) == 200


async def test_a_key_is_hashed_anew_once_and_that_is_audited(stack: Stack) -> None:
    key = await Pod(stack, A).make()
    pods = [Pod(stack, B, A), Pod(stack, B, A)]
    for pod in pods * 3:
        assert await pod.status(key) == 200
    rows = [row for row in await stack.rows(audit_log) if row["action"] == "api_key.rehash"]
    assert [(row["on_behalf_of"], row["details"]["secret_key"]) for row in rows] == [("api:shop", derive(B).id)]


async def test_the_file_is_read_again_and_nothing_is_restarted(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("payment_service.config.secrets.RECHECK_SECONDS", 0.0)
    file = tmp_path / "SECRET_KEY"
    file.write_text(A)
    pod = Pod(stack, secret=Secret(path=file))
    key = await pod.make()
    for values in (f"{A},{B}", f"{B},{A}", B):
        file.write_text(values)
        assert await pod.status(key) == 200


async def read_status(stack: Stack, pod: Pod) -> dict[str, Any]:
    parts = stack.parts
    http = replace(pod.settings.http, admin_token=Secret("t"))
    parts.settings, parts.access = replace(pod.settings, http=http), pod.access
    transport = httpx.ASGITransport(app=create_admin(parts, worker=False))  # type: ignore[arg-type] # ASGI
    async with httpx.AsyncClient(transport=transport, base_url="http://admin") as client:
        answer: dict[str, Any] = (await client.get("/status", headers={"Authorization": "Bearer t"})).json()
        return answer


async def test_the_status_counts_the_keys_that_need_each_value(stack: Stack) -> None:
    used, _unused = await Pod(stack, A).make(), await Pod(stack, A).make()
    pod = Pod(stack, B, A)
    await pod.status(used)
    status = await read_status(stack, pod)
    first, second = status["secrets"]["secret_key"]
    assert status["secret_keys"] == {
        "in_use": [
            {"id": derive(B).id, "fingerprint": first, "signs": True, "keys_needing": 0},
            {"id": derive(A).id, "fingerprint": second, "signs": False, "keys_needing": 1},
        ],
        "missing": [],
    }
    assert A not in str(status)


async def test_a_value_that_was_removed_too_early_is_told_loudly_and_to_no_stranger(stack: Stack) -> None:
    ordinary = await Pod(stack, A).answer("lp_test_invented")
    key = await Pod(stack, A).make()
    pod = Pod(stack, B)
    with capture_logs() as lines:
        answer = await pod.answer(key)
        stranger = await pod.answer(form.new_key(livemode=False, secret_key=derive(C)))
    assert answer.status_code == stranger.status_code == 401
    assert answer.json()["detail"] == stranger.json()["detail"] == ordinary.json()["detail"]
    (line,) = [line for line in lines if "SECRET_KEY lacks a value" in line["event"]]
    assert (line["log_level"], line["keys_by_value"]) == ("error", {derive(A).id: 1})
    assert REGISTRY.get_sample_value("payments_api_keys_without_secret_key") == 1
    status = await read_status(stack, pod)
    assert status["secret_keys"]["missing"] == [{"id": derive(A).id, "keys_needing": 1}]
    assert await Pod(stack, B, A).status(key) == 200
    assert (await read_status(stack, pod))["secret_keys"]["missing"] == []


async def test_revoked_and_expired_keys_need_nothing(stack: Stack) -> None:
    keys = Pod(stack, A).keys()
    _, revoked = await keys.create("shop", scope="read", days=None, actor="cli:test")
    await keys.create("shop", scope="read", days=1, actor="cli:test")
    await keys.revoke(revoked.id, actor="cli:test")
    stack.clock.advance(2 * 86400)
    needs = await Pod(stack, B).access.needs.read()
    assert needs.missing == {}


async def test_a_use_that_cannot_be_recorded_refuses_nobody(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(*_: object, **__: object) -> None:
        raise OSError("away")

    key = await Pod(stack, A).make()
    monkeypatch.setattr("payment_service.access.changes.note_use", fails)
    assert await Pod(stack, A).status(key) == 200
