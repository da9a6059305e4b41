"""The inbox, reconciliation and operations for people: commands and administrators' routes, each audited."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from sqlalchemy import insert, update
from tests.servers.events import event_row
from tests.servers.hostile import HOSTILE
from tests.servers.stack import Stack, running_stack

from payment_service.cli import main
from payment_service.observability.metrics import INBOX_DEAD
from payment_service.storage.tables import audit_log, cursors, events

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

INBOX = "/api/v1/admin/inbox"


@pytest.fixture
async def busy(database_url: str) -> AsyncIterator[Stack]:
    """A stack with a subscription whose events are applied, and one dead event."""
    async with running_stack(database_url) as stack:
        await stack.create(email="ada@example.com", payment_method_id="pm_card_visa")

        async def settled() -> bool:
            rows = await stack.rows(events)
            kinds = {row["type"] for row in rows}
            return "customer.subscription.created" in kinds and all(row["state"] != "pending" for row in rows)

        await stack.until(settled)
        stack.parts.worker.claiming = False
        async with stack.parts.database.transaction() as connection:
            dead = {"state": "dead", "last_error": "KeyError"}
            await connection.execute(update(events).where(events.c.type == "invoice.paid").values(dead))
        yield stack


async def actions(stack: Stack) -> list[tuple[str, str]]:
    rows = await stack.rows(audit_log)
    return [(row["on_behalf_of"], row["action"]) for row in rows if row["action"].partition(".")[0] in AUDITED]


NAMES = ("evt_{}", "rec_evt_{}", "unreadable_{}", "evt_{}_thin")
"""Ids of the inbox's events."""
AUDITED = {"inbox", "reconciliation"}


async def dead_event(stack: Stack) -> str:
    return str(next(row["id"] for row in await stack.rows(events) if row["state"] == "dead"))


async def test_events_are_listed_by_state_type_and_object_and_page_by_page(busy: Stack) -> None:
    dead = (await busy.client.get(INBOX, params={"state": "dead"})).json()
    assert [event["type"] for event in dead["data"]] == ["invoice.paid"]
    assert dead["data"][0]["payload"] is None
    invoices = (await busy.client.get(INBOX, params={"type": "invoice.*", "limit": "100"})).json()["data"]
    assert {event["type"].partition(".")[0] for event in invoices} == {"invoice"}
    seen: list[str] = []
    after: dict[str, str] = {}
    while True:
        page = (await busy.client.get(INBOX, params={"limit": "3"} | after)).json()
        seen += [event["id"] for event in page["data"]]
        if not page["has_more"]:
            break
        after = {"starting_after": seen[-1]}
    assert len(seen) == len(set(seen)) == len(await busy.rows(events))


async def test_a_payload_is_shown_only_when_asked_for_and_that_is_audited(busy: Stack) -> None:
    path = f"{INBOX}/{await dead_event(busy)}"
    assert (await busy.client.get(path)).json()["payload"] is None
    assert await actions(busy) == []
    assert (await busy.client.get(path, params={"payload": "true"})).json()["payload"]["type"] == "invoice.paid"
    assert await actions(busy) == [("anonymous", "inbox.show_payload")]
    assert (await busy.client.get(f"{INBOX}/evt_none")).status_code == 404


async def test_a_dead_event_is_retried_once_however_often_the_request_is_sent(busy: Stack) -> None:
    event_id = await dead_event(busy)
    for replayed in (None, "true"):
        answer = await busy.client.post(f"{INBOX}/{event_id}/retry", json={}, headers={"Idempotency-Key": "again"})
        assert (answer.status_code, answer.json()["state"]) == (200, "pending")
        assert answer.headers.get("idempotent-replayed") == replayed
    assert await actions(busy) == [("anonymous", "inbox.retry")]
    busy.parts.worker.claiming = True
    busy.parts.worker.wake()

    async def applied() -> bool:
        return all(row["state"] != "pending" for row in await busy.rows(events))

    await busy.until(applied)
    assert (await busy.client.post(f"{INBOX}/{event_id}/retry", json={})).status_code == 409


async def test_a_dead_event_is_discarded_with_a_reason_and_taken_back(busy: Stack) -> None:
    event_id = await dead_event(busy)
    path = f"{INBOX}/{event_id}"
    assert (await busy.client.post(f"{path}/discard", json={})).status_code == 422
    assert (await busy.client.post(f"{path}/restore", json={})).status_code == 409
    for replayed in (None, "true"):
        headers = {"Idempotency-Key": "once"}
        answer = await busy.client.post(f"{path}/discard", json={"reason": "paid by hand"}, headers=headers)
        assert (answer.status_code, answer.json()["state"]) == (200, "discarded")
        assert answer.headers.get("idempotent-replayed") == replayed
    shown = (await busy.client.get(path, params={"payload": "true"})).json()
    assert (shown["discard_reason"], shown["last_error"]) == ("paid by hand", "KeyError")
    assert shown["payload"]["id"] == event_id
    assert (await busy.client.post(f"{path}/discard", json={"reason": "again"})).status_code == 409
    assert (await busy.client.post(f"{path}/retry", json={})).status_code == 409
    assert (await busy.client.post(f"{INBOX}/replay", json={"dead": True})).json()["count"] == 0
    await busy.parts.worker.keep_house()
    assert INBOX_DEAD._value.get() == 0
    assert [row["state"] for row in await busy.rows(events) if row["id"] == event_id] == ["discarded"]
    back = (await busy.client.post(f"{path}/restore", json={})).json()
    assert (back["state"], back["discard_reason"], back["last_error"]) == ("dead", None, "KeyError")
    assert (await busy.client.post(f"{INBOX}/evt_none/discard", json={"reason": "none"})).status_code == 404
    audited = [row["action"] for row in await busy.rows(audit_log) if row["object_id"] == event_id]
    assert audited == ["inbox.discard", "inbox.show_payload", "inbox.restore"]
    reasons = [row["details"].get("reason") for row in await busy.rows(audit_log) if row["action"] == "inbox.discard"]
    assert reasons == ["paid by hand"]


async def test_any_payload_at_all_is_listed_shown_retried_and_discarded(busy: Stack) -> None:
    bodies = [kind[0]("evt_1", "cus_1") for kind in HOSTILE.values()]
    bodies += [HOSTILE["number"][2]("evt_1", "cus_1"), b"\x00\x1b[2J\x9b31m\xff\xe2\x80\xae"]
    async with busy.parts.database.transaction() as connection:
        for number, body in enumerate(bodies):
            row = event_row(number) | {"payload": body, "state": "dead", "stripe_created": 2**62 if number % 2 else -5}
            row["id"] = NAMES[number % len(NAMES)].format(number)
            await connection.execute(insert(events).values(row))
    listed = (await busy.client.get(INBOX, params={"state": "dead", "limit": "100"})).json()["data"]
    assert len(listed) == len(bodies) + 1
    for number, body in enumerate(bodies):
        path = f"{INBOX}/{NAMES[number % len(NAMES)].format(number)}"
        shown = await busy.client.get(path, params={"payload": "true"})
        assert shown.status_code == 200
        content = json.loads(shown.content)
        assert (content["payload"] is None) != (content["payload_text"] is None)
        if content["payload_text"] is not None:
            assert content["payload_text"] == body.decode(errors="backslashreplace")
        assert (await busy.client.post(f"{path}/discard", json={"reason": "hostile"})).status_code == 200
        assert (await busy.client.post(f"{path}/restore", json={})).status_code == 200
        assert (await busy.client.post(f"{path}/retry", json={})).json()["state"] == "pending"
    for _ in range(3):
        await busy.parts.worker.apply_batch()
    states = {row["id"]: row["state"] for row in await busy.rows(events)}
    assert {states[NAMES[number % len(NAMES)].format(number)] for number in range(len(bodies))} == {"dead"}


async def test_a_replay_is_counted_first_and_then_done(busy: Stack) -> None:
    dry = (await busy.client.post(f"{INBOX}/replay", json={"type": "invoice.*", "dry_run": True})).json()
    assert dry["count"] == sum(dry["by_type"].values()) > 1
    assert await actions(busy) == []
    done = (await busy.client.post(f"{INBOX}/replay", json={"type": "invoice.*"})).json()
    assert done == dry | {"dry_run": False}
    waiting = [row["type"] for row in await busy.rows(events) if row["state"] == "pending"]
    assert len(waiting) == done["count"]
    assert await actions(busy) == [("anonymous", "inbox.replay")]


async def test_a_replay_of_everything_by_mistake_is_refused(busy: Stack) -> None:
    answer = await busy.client.post(f"{INBOX}/replay", json={})
    assert answer.status_code == 422
    assert "since" in json.dumps(answer.json()["errors"])


async def test_reconciliation_is_scheduled_and_audited(busy: Stack) -> None:
    answer = await busy.client.post("/api/v1/admin/reconcile", json={"full": True, "since": "2026-01-01T00:00:00Z"})
    assert answer.status_code == 202
    assert "reconcile.sweep" in {row["name"] for row in await busy.rows(cursors)}
    assert await busy.parts.reconciler.run_due() is not None
    assert "reconcile.sweep" not in {row["name"] for row in await busy.rows(cursors)}
    assert await actions(busy) == [("anonymous", "reconciliation.schedule")]


async def test_operations_are_listed_and_shown_without_secrets(busy: Stack) -> None:
    path = "/api/v1/admin/operations"
    page = (await busy.client.get(path, params={"kind": "create_subscription"})).json()
    (made,) = page["data"]
    assert (made["finished"], made["response_status"], made["past_lease"]) == (True, 201, False)
    shown = await busy.client.get(f"{path}/{made['id']}")
    assert shown.json()["id"] == made["id"]
    assert "secret" not in shown.text
    assert (await busy.client.get(path, params={"unfinished": "true"})).json()["data"] == []
    assert (await busy.client.get(f"{path}/lpo_none")).status_code == 404


def run(database_url: str, stripe_url: str, *words: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run a command as a person does, in a thread of its own event loop."""
    monkeypatch.chdir(folder)
    environ = {
        "ENVIRONMENT": "development",
        "DATABASE_URL": database_url,
        "STRIPE_API_BASE": stripe_url,
        "LOG_LEVEL": "ERROR",
    }
    return CliRunner().invoke(main, list(words), env=environ, catch_exceptions=False)


async def test_the_commands_do_the_same(
    busy: Stack, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import asyncio  # noqa: PLC0415 - used here only

    stripe_url = busy.parts.settings.stripe.api_base

    async def command(*words: str) -> Any:
        return await asyncio.to_thread(run, database_url, stripe_url, *words, folder=tmp_path, monkeypatch=monkeypatch)

    event_id = await dead_event(busy)
    listed = await command("inbox", "list", "--dead", "--since", "2h")
    assert event_id in listed.output
    assert "KeyError" in listed.output
    shown = json.loads((await command("inbox", "show", event_id, "--payload")).output)
    assert shown["payload"]["id"] == event_id
    dry = await command("inbox", "replay", "--dead", "--dry-run", "--json")
    assert json.loads(dry.output)["count"] == 1
    assert (await command("inbox", "replay")).exit_code == 2
    assert "is pending again" in (await command("inbox", "retry", event_id)).output
    refused = await command("inbox", "discard", "evt_none", event_id, "--reason", "waits")
    assert (refused.exit_code, refused.stderr.count("Error: ")) == (1, 2)
    async with busy.parts.database.transaction() as connection:
        again = {"state": "dead", "payload": b"\x1b[2J\xff", "type": "a\x1bb"}
        await connection.execute(update(events).where(events.c.id == event_id).values(again))
    discarded = await command("inbox", "discard", "evt_none", event_id, "--reason", "by hand")
    assert (discarded.exit_code, discarded.stdout) == (1, f"{event_id} a\\x1bb is discarded\n")
    listed = (await command("inbox", "list", "--state", "discarded")).output
    assert listed.startswith("RECEIVED ")
    assert "by hand" in listed
    shown = (await command("inbox", "show", event_id, "--payload")).output
    assert "\x1b" not in shown
    assert json.loads(shown)["payload_text"] == "\x1b[2J\\xff"
    assert "is dead again" in (await command("inbox", "restore", event_id)).output
    assert (await command("inbox", "retry", "evt_none")).exit_code == 1
    assert "1 wait to be applied again" in (await command("inbox", "replay", "--dead")).output
    report = json.loads((await command("reconcile", "--dry-run", "--json")).stdout)
    assert report["missed"] == {}
    assert "events missed: none" in (await command("reconcile", "--full", "--since", "1h")).stdout
    operations = json.loads((await command("operations", "list", "--json")).output)["data"]
    shown = json.loads((await command("operations", "show", operations[0]["id"])).output)
    assert shown["finished"] is True
    done = [action for actor, action in await actions(busy) if actor.startswith("cli:")]
    assert done == [
        "inbox.show_payload",
        "inbox.retry",
        "inbox.discard",
        "inbox.show_payload",
        "inbox.restore",
        "inbox.replay",
        "reconciliation.run",
    ]
