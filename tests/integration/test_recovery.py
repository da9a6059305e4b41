"""A database that is older than what was done at Stripe: no retry charges again, nothing is ordered unseen."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import delete, insert
from sqlalchemy.exc import DBAPIError
from tests.servers.postgres import server_user, wheel_programs
from tests.servers.stack import Stack, running_stack

from payment_service.errors import StripeMisconfigured
from payment_service.migrations.schema import metadata
from payment_service.observability.metrics import RECOVERING
from payment_service.reconcile.recovering import Recovering
from payment_service.storage.cursors import read_cursor, write_cursor
from payment_service.storage.recovery import MEMORY, Recovery, set_mark
from payment_service.storage.tables import audit_log, customers, operations, subscriptions
from payment_service.stripe_api import calls
from stripe_simulator.faults import Fault

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.servers.postgres import PostgresServer
    from tests.servers.valkey import ValkeyServer

    from payment_service.stripe_api.gateway import StripeGateway

CARD = "pm_card_visa"
KEY = {"Idempotency-Key": "order-1"}
SCRIPTS = Path(__file__).parents[2] / "chart/files"
RESTORE = (SCRIPTS / "login.sh").read_text() + (SCRIPTS / "restore.sh").read_text()
UNTOUCHED = {"schema_versions", "api_keys"}
"""And the audit log, which nobody can empty."""


class Dump:
    """All rows of a moment, and what puts them in place of those of now."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._tables = [table for table in metadata.sorted_tables if table.name not in UNTOUCHED | {audit_log.name}]
        self._rows: dict[str, list[dict[str, Any]]] = {}

    async def take(self) -> Dump:
        await self._stack.parts.recovery.look()
        self._rows = {table.name: await self._stack.rows(table) for table in self._tables}
        return self

    async def restore(self) -> None:
        await self._stack.until(self._restored)

    async def _restored(self) -> bool:
        """Try: the worker may be in the way."""
        try:
            await self._replace()
        except DBAPIError:
            return False
        return True

    async def _replace(self) -> None:
        async with self._stack.parts.database.transaction() as connection:
            for table in self._tables:
                await connection.execute(delete(table))
                if rows := self._rows[table.name]:
                    await connection.execute(insert(table), rows)


async def mark(stack: Stack) -> None:
    async with stack.parts.database.transaction() as connection:
        await set_mark(connection, reason="test", actor="cli:test", now=stack.clock.now())
    stack.parts.recovery._seen = (float("-inf"), None)


async def recovered(stack: Stack) -> None:
    await stack.until(lambda: _is_done(stack))


async def _is_done(stack: Stack) -> bool:
    await Recovering(stack.parts.database, stack.parts.recovery, clock=stack.clock).step()
    await stack.parts.reconciler.run_due()
    return (await stack.parts.recovery.look()).mark is None


@pytest.mark.parametrize("at", ["order", "customer known"])
async def test_a_retry_after_an_unnoticed_restore_charges_once(stack: Stack, at: str) -> None:
    """The keys at Stripe alone: they do not come from ids that an older dump does not hold.

    The card is one, as a browser makes it: of a test card's name Stripe makes a new one in each call.
    """
    card = stack.simulator.routes.methods.create({"type": "card", "card": {"token": "tok_visa"}})["id"]
    body: dict[str, Any] = {"email": "ada@example.com", "payment_method_id": card}
    if at == "customer known":
        await stack.create(email="ada@example.com", price_id="price_basic")
    dump = await Dump(stack).take()
    first = (await stack.create(**body, headers=KEY)).json()
    await dump.restore()
    again = await stack.create(**body, headers=KEY)
    assert again.status_code == 201
    assert again.json()["stripe_subscription_id"] == first["stripe_subscription_id"]
    assert again.json()["stripe_customer_id"] == first["stripe_customer_id"]
    assert len(stack.charges()) == 1
    assert len(stack.simulator.state.all("customer")) == 1
    assert "creating" not in {row["status"] for row in await stack.rows(subscriptions)}


async def test_a_key_that_has_expired_makes_another_customer(stack: Stack) -> None:
    for email in ("ada@example.com", "eva@example.com"):
        answer = await stack.client.post("/api/v1/customers", json={"email": email}, headers=KEY)
        assert answer.status_code == 201
        stack.clock.advance(74 * 3600)
    assert {row["email"] for row in await stack.rows(customers)} == {"ada@example.com", "eva@example.com"}


async def test_while_recovering_mutations_wait_and_everything_else_goes_on(stack: Stack) -> None:
    known = (await stack.create(email="eva@example.com", headers={"Idempotency-Key": "before"})).json()
    await mark(stack)
    refused = await stack.create(email="ada@example.com", payment_method_id=CARD, headers=KEY)
    assert refused.status_code == 503
    assert refused.json()["code"] == "recovering"
    assert int(refused.headers["retry-after"]) > 0
    cancel = await stack.client.post(f"/api/v1/subscriptions/{known['id']}/cancel", json={})
    assert cancel.json()["code"] == "recovering"
    replay = await stack.create(email="eva@example.com", headers={"Idempotency-Key": "before"})
    assert replay.json() == known
    assert (await stack.client.get(f"/api/v1/subscriptions/{known['id']}")).status_code == 200
    health = await stack.client.get("/health")
    assert (health.status_code, health.json()["recovering"]) == (200, True)
    assert (await stack.client.get("/health/ready")).status_code == 200
    assert RECOVERING._value.get() == 1
    stack.simulator.routes.billing.update(
        stack.simulator.state.get("subscription", known["stripe_subscription_id"]), {"metadata": {"seen": "yes"}}
    )

    async def told() -> bool:
        return bool((await stack.rows(subscriptions))[0]["metadata"] == {"seen": "yes"})

    await stack.until(told)
    assert stack.charges() == []


async def test_a_restored_dump_is_compared_and_then_a_retry_gets_what_it_had(stack: Stack) -> None:
    body = {"customer_reference": "user-1", "email": "ada@example.com", "payment_method_id": CARD}
    dump = await Dump(stack).take()
    first = (await stack.create(**body, headers=KEY)).json()
    await dump.restore()
    await mark(stack)
    assert (await stack.create(**body, headers=KEY)).json()["code"] == "recovering"
    await recovered(stack)
    other = await stack.create(**body, headers={"Idempotency-Key": "order-2"})
    assert other.json()["code"] == "subscription_exists"
    for saved in stack.simulator.state.all("_idempotency_key"):
        stack.simulator.state.remove(saved)
    again = await stack.create(**body, headers=KEY)
    assert (again.status_code, again.json()["status"]) == (201, "active")
    assert again.json()["stripe_subscription_id"] == first["stripe_subscription_id"]
    assert len(stack.charges()) == len(stack.simulator.state.all("customer")) == 1
    assert [row["action"] for row in await stack.rows(audit_log) if row["object_id"] == "recovery"] == [
        "recovery.begin",
        "recovery.end",
    ]


async def test_an_unfinished_operation_of_the_dump_waits_too(stack: Stack) -> None:
    stack.simulator.faults.calls.append(Fault(kind="reset_after", method="POST", path="/v1/subscriptions", count=3))
    body = {"email": "ada@example.com", "payment_method_id": CARD}
    assert (await stack.create(**body, headers=KEY)).status_code == 503
    await mark(stack)
    stack.clock.advance(600)
    assert await stack.parts.operations.complete_expired() == 0
    assert not (await stack.rows(operations))[0]["finished"]
    await recovered(stack)

    async def finished() -> bool:
        stack.clock.advance(60)
        return bool((await stack.rows(operations))[0]["finished"])

    await stack.until(finished)
    assert len(stack.charges()) == 1


async def test_a_sweep_that_may_not_list_customers_ends_nothing(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    await mark(stack)
    list_page = calls.list_page

    async def refused(gateway: StripeGateway, collection: str, **params: Any) -> Any:
        if collection == "customers":
            raise StripeMisconfigured
        return await list_page(gateway, collection, **params)

    monkeypatch.setattr(calls, "list_page", refused)
    step = Recovering(stack.parts.database, stack.parts.recovery, clock=stack.clock).step
    await step()
    await stack.parts.reconciler.run(full=False)
    await step()
    assert (await stack.parts.recovery.look()).mark is not None
    monkeypatch.undo()
    stack.clock.advance(301)
    await recovered(stack)


@pytest.fixture
async def own(postgres_server: PostgresServer, migrated_template: str) -> AsyncIterator[tuple[Stack, str]]:
    url = postgres_server.new_database(template=migrated_template)
    async with running_stack(url) as stack:
        yield stack, url


async def test_the_restore_job_marks_what_it_restores(own: tuple[Stack, str], postgres_server: PostgresServer) -> None:
    stack, url = own
    lineage = (await stack.parts.recovery.look()).lineage
    place = Path(tempfile.mkdtemp(prefix="lp-restore-"))
    try:
        (place / "url").write_text(new := postgres_server.new_database())
        if user := server_user():
            shutil.chown(place, user)
        run(
            "pg_dump", "--format=custom", "--no-owner", "--no-acl", f"--file={place}/payments-1.dump", f"--dbname={url}"
        )
        script = RESTORE.replace("/dumps", str(place)).replace("/scratch", str(place))
        said = run("sh", "-c", script, DATABASE_MIGRATION_URL_FILE=str(place / "url"))
    finally:
        shutil.rmtree(place)
    assert said == "restored payments-1.dump\n"
    async with running_stack(new) as restored:
        state = await restored.parts.recovery.look()
        assert state.mark is not None
        assert state.mark["reason"] == "restored payments-1.dump"
        assert state.lineage == lineage
        await recovered(restored)


async def test_a_dump_restored_by_other_means_tells_of_itself(
    own: tuple[Stack, str], postgres_server: PostgresServer
) -> None:
    stack, url = own
    await stack.create(email="eva@example.com")
    new = postgres_server.new_database()
    run("sh", "-c", f"pg_dump --no-owner {url} | psql --quiet {new}")
    async with running_stack(new) as restored:
        answer = await restored.create(email="ada@example.com", payment_method_id=CARD)
        assert answer.json()["code"] == "recovering"


async def test_redis_remembers_more_beats_than_an_older_dump(
    postgres_server: PostgresServer, migrated_template: str, valkey: ValkeyServer
) -> None:
    url = postgres_server.new_database(template=migrated_template)
    async with running_stack(url, REDIS_URL=valkey.url) as stack:
        recovery: Recovery = stack.parts.recovery
        await recovery.beat()
        dump = await Dump(stack).take()
        await recovery.beat()
        await dump.restore()
        assert (await recovery.look()).mark is not None
        assert await recovery.clear(mark_id=None, actor="cli:test")
        await recovery.beat()
        assert (await recovery.look()).mark is None


async def test_a_promotion_that_lost_nothing_is_no_restore(
    postgres_server: PostgresServer, migrated_template: str, valkey: ValkeyServer
) -> None:
    """A server on another timeline: `recovery.memory` is written as it was before the promotion."""
    url = postgres_server.new_database(template=migrated_template)
    async with running_stack(url, REDIS_URL=valkey.url) as stack:
        recovery = stack.parts.recovery
        await recovery.beat()
        await move(stack, timeline="000000FF")
        assert (await recovery.look()).mark is None
        await valkey_forgets(stack)
        await move(stack, timeline="000000FF")
        found = (await recovery.look()).mark
        assert found is not None
        assert "promoted" in found["reason"]


async def move(stack: Stack, **place: str) -> None:
    async with stack.parts.database.transaction() as connection:
        memory = await read_cursor(connection, MEMORY, lock=True)
        assert memory is not None
        memory["place"] |= place
        await write_cursor(connection, MEMORY, memory, now=stack.clock.now())


async def valkey_forgets(stack: Stack) -> None:
    redis: Any = stack.parts.redis
    await redis.flushall()


def run(program: str, *arguments: str, **environment: str) -> str:
    programs = wheel_programs()
    found = subprocess.run(
        [programs / program if program.startswith("pg_") else program, *arguments],
        check=True,
        capture_output=True,
        text=True,
        env={"PATH": f"{programs}:/usr/bin:/bin", "LC_ALL": "C.UTF-8", **environment},
    )
    return found.stdout
