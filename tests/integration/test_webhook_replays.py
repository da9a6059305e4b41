"""Events that are sent again to webhook endpoints, received by a real server."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from tests.integration.test_webhook_deliveries import (
    CARD,
    DELIVERIES,
    ENDPOINTS,
    change,
    deliveries,
    endpoint,
    forget_holder,
    settled,
    shown,
)
from tests.servers.webhook_receiver import OK, receiving

from payment_service.cli import main
from payment_service.endpoints import reading, replay_store
from payment_service.endpoints.building import build_deliverer
from payment_service.storage.tables import audit_log
from payment_service.storage.webhook_tables import webhook_deliveries, webhook_endpoints, webhook_replays

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.servers.stack import Stack
    from tests.servers.webhook_receiver import Got, Receiver

REPLAYS = "/api/v1/webhook-replays"
SINCE = "2010-01-01T00:00:00Z"


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as running:
        yield running


async def replay(stack: Stack, made: dict[str, Any], status: int = 202, **body: Any) -> dict[str, Any]:
    answer = await stack.client.post(f"{ENDPOINTS}/{made['id']}/replay", json={"since": SINCE, **body})
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def ended(stack: Stack, asked: dict[str, Any]) -> dict[str, Any]:
    """Wait until a replay is over."""

    async def there() -> dict[str, Any] | None:
        found: dict[str, Any] = (await stack.client.get(f"{REPLAYS}/{asked['id']}")).json()
        return None if found["state"] == "running" else found

    found: dict[str, Any] = await stack.until(there)
    return found


def ids(receiver: Receiver) -> list[str]:
    return [got.headers["webhook-id"] for got in receiver.got]


async def everything(stack: Stack) -> list[Any]:
    return [await stack.rows(table) for table in (webhook_endpoints, webhook_deliveries, webhook_replays, audit_log)]


async def test_a_dry_run_counts_and_changes_nothing(stack: Stack, receiver: Receiver) -> None:
    made = await endpoint(stack, receiver, event_types=["webhook_endpoint.*", "customer.created"])
    await change(stack, "one", "two", "one")
    await settled(stack, "delivered", 3)
    stack.parts.worker.set_claiming(claim=False)
    await stack.until(partial(_rests, stack))
    before = await everything(stack)
    told = await replay(stack, made, dry_run=True)
    assert (told["id"], told["state"], told["events"]) == (None, "dry_run", 3)
    assert (await replay(stack, made, dry_run=True, event_types=["customer.created"]))["events"] == 0
    assert (await replay(stack, made, dry_run=True, event_types=["invoice.*"]))["events"] == 0
    later = stack.clock.now().replace(year=2100).isoformat()
    assert (await replay(stack, made, dry_run=True, since=later))["events"] == 0
    assert await everything(stack) == before
    refused = await replay(stack, made, 422, dry_run=True, event_types=["invoice.payed"])
    assert "did you mean invoice.paid?" in str(refused)
    assert (await replay(stack, made, 422, until=SINCE))["status"] == 422


async def _rests(stack: Stack) -> bool:
    (row,) = await stack.rows(webhook_endpoints)
    return row["lease_owner"] is None


async def test_what_was_sent_is_sent_again_in_order_with_the_same_id(stack: Stack, receiver: Receiver) -> None:
    made = await endpoint(stack, receiver)
    await change(stack, "one", "two", "one", "two", "one")
    await settled(stack, "delivered", 5)
    first, sequences = sorted(ids(receiver)), {name: receiver.sequences(name) for name in ("one", "two")}
    receiver.got.clear()
    over = await ended(stack, await replay(stack, made))
    assert (over["state"], over["looked_through"], over["delivered"], over["pending"]) == ("done", 1.0, 5, 0)
    assert sorted(ids(receiver)) == first
    assert {name: receiver.sequences(name) for name in ("one", "two")} == sequences
    for got in receiver.got:
        got.verify(made["secret"])
    assert [row["action"] for row in await stack.rows(audit_log)][-1] == "webhook_replay.create"
    receiver.got.clear()
    await ended(stack, await replay(stack, made, fresh_ids=True))
    assert len(set(ids(receiver)) - set(first)) == 5
    assert {got.event["id"] for got in receiver.got} == set(first)
    (told, *_) = await deliveries(stack, object="two", limit=100)
    assert told["webhook_id"] in ids(receiver)
    assert told["webhook_id"] != told["event_id"]
    assert len(await deliveries(stack, limit=100)) == 5


async def test_an_endpoint_gets_what_came_before_it_was_made(stack: Stack, receiver: Receiver) -> None:
    answer = await stack.create(email="ada@example.com", **CARD)
    assert answer.status_code == 201, answer.text
    await change(stack, "one")
    made = await endpoint(stack, receiver, event_types=["subscription.*", "invoice.*", "webhook_endpoint.*"])
    over = await ended(stack, await replay(stack, made, event_types=["subscription.*", "customer.*"]))
    sent = [one for one in await deliveries(stack, limit=100) if one["replay_id"] == over["id"]]
    assert over["delivered"] == len(sent) > 0
    assert {one["event_type"].partition(".")[0] for one in sent} == {"subscription"}
    assert {one["webhook_id"] for one in sent} <= set(ids(receiver))


async def test_a_replay_goes_on_where_a_killed_worker_was(
    stack: Stack, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "PAGE", 3)
    monkeypatch.setattr(replay_store, "WAITING", 5)
    made = await endpoint(stack, receiver)
    await change(stack, *(f"object_{number % 4}" for number in range(20)))
    await settled(stack, "delivered", 20)
    first = sorted(ids(receiver))
    stack.parts.worker.set_claiming(claim=False)
    await stack.until(partial(_rests, stack))
    receiver.got.clear()
    asked = await replay(stack, made)
    killed = build_deliverer(stack.parts.settings, stack.parts.database, version="1", clock=stack.clock)
    receiver.answer = lambda _: OK if len(receiver.got) < 8 else None
    await killed.look()

    async def amid() -> bool:
        return len(receiver.got) >= 9

    await stack.until(amid)
    await forget_holder(stack)
    (half,) = await stack.rows(webhook_replays)
    assert half["first_sequence"] <= half["reached"] < half["last_sequence"]
    stack.clock.advance(61)
    await forget_holder(stack)
    assert (await replay(stack, made))["id"] == asked["id"]  # the same again goes on with it
    receiver.answer = lambda _: OK
    other = build_deliverer(stack.parts.settings, stack.parts.database, version="1", clock=stack.clock)
    while (await stack.client.get(f"{REPLAYS}/{asked['id']}")).json()["state"] == "running":
        await other.look()
        await asyncio.sleep(0.1)
    assert sorted(set(ids(receiver))) == first
    assert len(receiver.got) <= 20 + 2 * 4  # what was under way and not yet noted is repeated
    for number in range(4):
        sequences = receiver.sequences(f"object_{number}")
        assert sorted(sequences) == sequences
    (whole,) = await stack.rows(webhook_replays)
    assert (whole["state"], whole["reached"]) == ("done", whole["last_sequence"])
    await killed.close()
    await other.close()


async def test_what_is_new_neither_waits_for_a_replay_nor_suffers_from_it(stack: Stack, receiver: Receiver) -> None:
    made = await endpoint(stack, receiver)
    await change(stack, "one", *(f"object_{number}" for number in range(10)))
    await settled(stack, "delivered", 11)
    old = {got.event["sequence"] for got in receiver.got}
    receiver.got.clear()
    receiver.answer = partial(_refuses, old)
    asked = await replay(stack, made)

    async def tried() -> bool:
        return all(one["attempts"] for one in await deliveries(stack, state="pending", limit=100))

    await stack.until(tried)
    await change(stack, "one", "object_3", "one")
    await settled(stack, "delivered", 3)
    assert [one for one in receiver.sequences("one") if one not in old] == sorted(set(receiver.sequences("one")) - old)
    health = await shown(stack, made)
    assert (health["enabled"], health["failing_since"]) == (True, None)
    receiver.answer = lambda _: OK
    stack.clock.advance(7)
    assert (await ended(stack, asked))["delivered"] == 11


def _refuses(old: set[int], got: Got) -> Any:
    return (500, {}) if got.event["sequence"] in old else OK


async def test_an_endpoint_has_one_replay_at_a_time_and_it_can_be_canceled(stack: Stack, receiver: Receiver) -> None:
    made = await endpoint(stack, receiver)
    await change(stack, "one", "one", "two")
    await settled(stack, "delivered", 3)
    receiver.answer = lambda _: (500, {})
    asked = await replay(stack, made)
    assert (await replay(stack, made, since="2011-01-01T00:00:00Z"))["id"] == asked["id"]
    for other in ({"fresh_ids": True}, {"event_types": ["webhook_endpoint.*"]}, {"since": "2010-01-01T00:00:00-01:00"}):
        expected = 202 if "since" in other else 409
        told = await replay(stack, made, expected, **other)
        assert told.get("code") == (None if expected == 202 else "webhook_replay_under_way")

    async def waits() -> bool:
        return len(await deliveries(stack, state="pending")) == 3

    await stack.until(waits)
    canceled = await stack.client.post(f"{REPLAYS}/{asked['id']}/cancel", json={})
    assert canceled.status_code == 200, canceled.text
    assert (canceled.json()["state"], canceled.json()["skipped"]) == ("canceled", 3)
    assert (await stack.client.post(f"{REPLAYS}/{asked['id']}/cancel", json={})).status_code == 409
    listed = (await stack.client.get(REPLAYS, params={"endpoint": made["id"]})).json()
    assert [one["state"] for one in listed["data"]] == ["canceled"]
    receiver.answer = lambda _: OK
    (skipped, *_) = await deliveries(stack, state="skipped")
    again = await stack.client.post(f"{DELIVERIES}/{skipped['id']}/retry", json={})
    assert (again.json()["state"], again.json()["replay_id"]) == ("pending", None)
    await settled(stack, "delivered", 1)
    await stack.client.patch(f"{ENDPOINTS}/{made['id']}", json={"enabled": False})
    assert "disabled" in (await replay(stack, made, 409))["detail"]


async def test_a_terminal_shows_the_counts_first_and_then_how_far_it_is(
    stack: Stack, receiver: Receiver, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    environ = {"ENVIRONMENT": "development", "DATABASE_URL": database_url, "LOG_LEVEL": "ERROR"}
    run = partial(CliRunner().invoke, main, env=environ, catch_exceptions=False)
    made = await endpoint(stack, receiver)
    await change(stack, "one", "two")
    await settled(stack, "delivered", 2)
    words = ["deliveries", "replay", "--since", "2010-01-01"]
    counted = await asyncio.to_thread(run, [*words, "--dry-run"])
    assert counted.stdout.splitlines()[1].split() == [made["id"], "2"]
    assert await stack.rows(webhook_replays) == []
    sent = await asyncio.to_thread(run, [*words, "--endpoint", made["id"], "--types", "webhook_endpoint.*"])
    assert sent.exit_code == 0, sent.output
    assert sent.stdout.splitlines()[1].split() == [made["id"], "2"]
    assert "done, 100% looked through: 2 delivered, 0 waiting" in sent.stdout.splitlines()[-1]
    listed = await asyncio.to_thread(run, ["deliveries", "replays"])
    (row,) = await stack.rows(webhook_replays)
    assert row["id"] in listed.stdout
    assert (await asyncio.to_thread(run, ["deliveries", "cancel-replay", row["id"]])).exit_code == 1
