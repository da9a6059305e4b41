"""A row that no view can show costs nothing to the others: it is told in its place, by as much as can be shown."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from click.testing import CliRunner
from structlog.testing import capture_logs
from tests.servers import odd_rows
from tests.servers.odd_rows import ADDRESS, Row

from payment_service.cli import main
from payment_service.observability import metrics

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.stack import Stack

EVENTS = "/api/v1/events"
SIZES = (1, 7, 100)


@pytest.fixture
async def rows(stack: Stack) -> list[Row]:
    database = stack.parts.database
    made = odd_rows.mixed(database.dialect.name)
    async with database.transaction() as connection:
        await odd_rows.write(connection, made, now=stack.clock.now())
    await stack.parts.sequencer.number_all()
    return made


async def walk(stack: Stack, size: int, **params: Any) -> list[dict[str, Any]]:
    """Return all events, by pages of this size."""
    found: list[dict[str, Any]] = []
    asked = {**params, "limit": size}
    while True:
        answer = await stack.client.get(EVENTS, params=asked)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        found += page["data"]
        if not page["has_more"]:
            return found
        asked["after"] = page["next"]


async def streamed(stack: Stack, count: int) -> list[dict[str, Any]]:
    """Return so many events of a stream."""
    found: list[dict[str, Any]] = []
    async with (
        asyncio.timeout(60),
        stack.client.stream("GET", EVENTS, headers={"accept": "text/event-stream"}) as answer,
    ):
        async for line in answer.aiter_lines():
            if line.startswith("data: "):
                found.append(msgspec.json.decode(line.removeprefix("data: ")))
            if len(found) == count:
                return found
    return found


def differences(event: dict[str, Any], row: Row) -> list[str]:
    """Return what is told otherwise than it should."""
    data, shown = event["data"], event["data"]["object"] or {}
    expected = row.least if row.object is None else {**shown, **row.object}
    told = {"type": event["type"], "object_id": event["object_id"], "object": shown, "previous": data["previous"]}
    right = {"type": row.type, "object_id": row.object_id, "object": expected, "previous": row.previous}
    faults = [f"{name} {told[name]!r}, not {right[name]!r}" for name in told if told[name] != right[name]]
    return [f"{event['sequence']}, {row.object_id}: {fault}" for fault in faults]


async def test_each_row_is_told_in_its_place_whatever_stands_beside_it(stack: Stack, rows: list[Row]) -> None:
    events = await walk(stack, 100)
    assert [event["sequence"] for event in events] == list(range(1, len(rows) + 1))
    found = [differences(event, row) for row, event in zip(rows, events, strict=True)]
    assert [faults for faults in found if faults] == []
    for size in SIZES:
        assert await walk(stack, size) == events
    assert await streamed(stack, len(rows)) == events
    for event in events:
        assert (await stack.client.get(f"{EVENTS}/{event['id']}")).json() == event
    causes = {event["object_id"]: event["cause"] for event in events}
    assert causes["ch_cause"] == causes["ch_causeless"] == {"type": "other", "id": None}


async def test_what_cannot_be_shown_passes_the_filters_of_its_kind_and_its_object(
    stack: Stack, rows: list[Row]
) -> None:
    told = {event["object_id"] for event in await walk(stack, 7, types="charge.refunded,dispute.*")}
    assert told == {row.object_id for row in rows if row.object_type == "charges" and row.object is None}
    every = {event["object_id"] for event in await walk(stack, 7, types="other.updated")}
    assert every == {row.object_id for row in rows if row.object is None}
    for name in ("ch_gone", "pm_raises", "ch_large"):
        assert [event["object_id"] for event in await walk(stack, 7, object=name)] == [name]


async def test_a_fault_is_logged_and_counted_once_and_quotes_nothing(stack: Stack, rows: list[Row]) -> None:
    def counted() -> float:
        samples = next(iter(metrics.FEED_UNSHOWN.collect())).samples
        return sum(sample.value for sample in samples)

    before = counted()
    with capture_logs() as lines:
        for _ in range(2):
            await walk(stack, 7)
    faulty = [number for number, row in enumerate(rows, start=1) if not row.whole]
    logged = [line for line in lines if line["event"] == "feed_event_unshown"]
    assert [line["sequence"] for line in logged] == faulty
    assert counted() - before == len(faulty)
    assert all(set(line) == {"event", "log_level", "sequence", "kind", "reason"} for line in logged)
    assert not [line for line in logged if "many" in str(line) or ADDRESS in str(line)]
    reasons = {rows[line["sequence"] - 1].object_id: line["reason"] for line in logged}
    assert reasons["ch_ill"] == "previous: not to be read: amount"
    assert reasons["prod_metadata"] == "ValidationError at $.metadata[...]"


@pytest.mark.usefixtures("rows")
async def test_the_command_line_shows_what_the_feed_does(
    stack: Stack, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    environ = {"ENVIRONMENT": "development", "DATABASE_URL": database_url, "LOG_LEVEL": "ERROR"}
    run = partial(CliRunner().invoke, main, env=environ, catch_exceptions=False)
    events = await walk(stack, 100)
    listed = await asyncio.to_thread(run, ["events", "list", "--json", "--limit", "100"])
    assert [msgspec.json.decode(line) for line in listed.stdout.splitlines()] == events
    followed = await asyncio.to_thread(run, ["events", "tail", "--after", events[0]["id"]])
    assert [line.split()[1] for line in followed.stdout.splitlines()] == [event["id"] for event in events[1:]]
    assert "\x1b" not in followed.stdout
