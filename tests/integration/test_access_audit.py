"""The audit log: appended to in the transaction of a change, and never altered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from payment_service.access.keys import ApiKeys
from payment_service.storage import audit_log as audit
from payment_service.storage.tables import audit_log, operations

if TYPE_CHECKING:
    from tests.servers.stack import Stack


async def _append(stack: Stack, *, actor: str = "cli:ada", fails: bool = False) -> None:
    now = stack.clock.now()
    async with stack.parts.database.transaction() as connection:
        await audit.record(
            connection,
            actor=actor,
            action="thing.change",
            object_type="thing",
            object_id="t1",
            now=now,
            before={"state": "old", "since": now},
            after={"state": "new"},
            details={"reason": "test"},
        )
        if fails:
            raise ZeroDivisionError


async def test_a_change_is_recorded_with_its_actor_and_both_states(stack: Stack) -> None:
    await _append(stack)
    (row,) = await stack.rows(audit_log)
    assert (row["on_behalf_of"], row["action"], row["object_type"], row["object_id"]) == (
        "cli:ada",
        "thing.change",
        "thing",
        "t1",
    )
    assert row["details"]["before"]["state"] == "old"
    assert row["details"]["after"] == {"state": "new"}
    assert row["details"]["reason"] == "test"


async def test_nothing_is_recorded_of_a_change_that_is_rolled_back(stack: Stack) -> None:
    with pytest.raises(ZeroDivisionError):
        await _append(stack, fails=True)
    assert await stack.rows(audit_log) == []


async def _execute(stack: Stack, statement: str) -> None:
    async with stack.parts.database.transaction() as connection:
        await connection.execute(text(statement))


@pytest.mark.parametrize("statement", ["UPDATE audit_log SET actor = 'x'", "DELETE FROM audit_log"])
async def test_what_is_recorded_cannot_be_changed(stack: Stack, statement: str) -> None:
    await _append(stack)
    with pytest.raises(DBAPIError, match="append-only"):
        await _execute(stack, statement)
    assert [row["on_behalf_of"] for row in await stack.rows(audit_log)] == ["cli:ada"]


async def test_each_operation_is_recorded_with_who_asked_and_what_came_of_it(stack: Stack) -> None:
    made = (await stack.create(email="ada@example.com", payment_method_id="pm_card_visa")).json()
    declined = await stack.create(email="bob@example.com", payment_method_id="pm_card_chargeDeclined")
    assert declined.status_code == 402
    await stack.client.post(f"/api/v1/subscriptions/{made['id']}/cancel", json={"at_period_end": False})
    (operation,) = [row for row in await stack.rows(operations) if row["response_status"] == 402]
    recorded = [(row["action"], row["object_type"], row["object_id"]) for row in await stack.rows(audit_log)]
    assert recorded == [
        ("subscription.create", "subscription", made["id"]),
        ("subscription.create", "operation", operation["id"]),
        ("subscription.cancel", "subscription", made["id"]),
    ]
    first, second, _ = await stack.rows(audit_log)
    assert first["on_behalf_of"] == "anonymous"
    assert first["details"]["status"] == 201
    assert second["details"]["code"] == "payment_declined"


async def test_a_replayed_answer_is_not_recorded_again(stack: Stack) -> None:
    for _ in range(2):
        answer = await stack.create(
            email="ada@example.com", payment_method_id="pm_card_visa", headers={"Idempotency-Key": "once"}
        )
    assert answer.headers["Idempotent-Replayed"] == "true"
    assert len(await stack.rows(audit_log)) == 1


@pytest.mark.parametrize("actor", ["api:ghost", "ada", "stripe:evt_1", "cli:", ""])
async def test_a_change_for_somebody_who_is_not_known_does_not_happen(stack: Stack, actor: str) -> None:
    with pytest.raises(DBAPIError, match="nobody is known"):
        await _append(stack, actor=actor)
    assert await stack.rows(audit_log) == []


async def test_a_principal_with_a_key_is_known(stack: Stack) -> None:
    keys = ApiKeys(stack.parts.settings, stack.parts.database, clock=stack.clock)
    await keys.create("shop", scope="read", days=None, actor="cli:ada")
    await _append(stack, actor="api:shop")
    made, changed = await stack.rows(audit_log)
    assert (made["on_behalf_of"], changed["on_behalf_of"]) == ("cli:ada", "api:shop")
    login = "sqlite" if stack.parts.database.dialect.name == "sqlite" else "postgres"
    assert {made["actor"], changed["actor"]} == {f"database:{login}"}
