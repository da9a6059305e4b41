"""`payments import` and `payments recover`: what the account had before, and what a restored database has lost."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from tests.integration.test_customer_identity import ADDRESS, CARD, check_out, deaf, forget_import, idle

from payment_service.cli import main
from payment_service.storage.tables import audit_log, subscriptions
from stripe_simulator.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from tests.servers.stack import Stack

    Command = Callable[..., Awaitable[Any]]


@pytest.fixture
def command(stack: Stack, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run a command as a person does, in a thread of its own event loop."""
    monkeypatch.chdir(tmp_path)
    environ = {
        "ENVIRONMENT": "development",
        "DATABASE_URL": database_url,
        "STRIPE_API_BASE": stack.parts.settings.stripe.api_base,
        "LOG_LEVEL": "ERROR",
    }
    invoke = partial(CliRunner().invoke, main, env=environ, catch_exceptions=False)
    return lambda *words: asyncio.to_thread(invoke, words)


async def test_an_import_tells_how_far_it_is_and_goes_on_where_it_was_interrupted(
    stack: Stack, command: Command
) -> None:
    await idle(stack)
    deaf(stack)
    for number in range(120):
        check_out(stack, f"ada{number}@example.com")
    await forget_import(stack)
    stack.simulator.faults.calls.append(Fault(kind="500_before", path="/v1/subscriptions", count=99))
    cut = await command("import")
    assert cut.exit_code == 1
    assert "imported: 100 customers\n" in cut.stderr
    assert cut.stderr.splitlines()[-1].startswith("Error: Stripe cannot be reached")
    stack.simulator.faults.clear()
    done = await command("import")
    assert (done.exit_code, done.stdout.partition(" since ")[0]) == (0, "complete")
    assert done.stderr.splitlines()[-1] == "imported: 120 customers, 120 subscriptions"
    assert len(await stack.rows(subscriptions)) == 120
    assert json.loads((await command("import", "--json")).stdout)["counts"] == {"customer": 120, "subscription": 120}


async def test_a_person_tells_of_a_restore_looks_how_far_it_is_and_ends_it(stack: Stack, command: Command) -> None:
    await idle(stack)
    assert (await command("recover", "--status")).stdout == "not recovering\n"
    assert (await command("recover", "--nothing-lost")).exit_code == 1
    told = await command("recover", "--reason", "restored last night's dump")
    assert told.stdout == "recovering: restored last night's dump; waiting for a worker\n"
    stack.parts.recovery._seen = (float("-inf"), None)
    refused = await stack.create(email=ADDRESS, payment_method_id=CARD)
    assert (refused.status_code, refused.json()["code"]) == (503, "recovering")
    assert (await command("recover", "--nothing-lost")).stdout == "not recovering\n"
    stack.parts.recovery._seen = (float("-inf"), None)
    assert (await stack.create(email=ADDRESS, payment_method_id=CARD)).status_code == 201
    actions = [row["action"] for row in await stack.rows(audit_log) if row["object_id"] == "recovery"]
    assert actions == ["recovery.begin", "recovery.end"]
