"""`payments deliveries replay`: events that are sent again, for people at a terminal."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import click

from payment_service.cli_settings import with_database
from payment_service.cli_values import Form, Since
from payment_service.clock import Clock, isoformat
from payment_service.endpoints.building import build_endpoints
from payment_service.endpoints.filters import check_types
from payment_service.endpoints.replay_schemas import ReplayWebhooks
from payment_service.endpoints.replays import WebhookReplays
from payment_service.http.id_types import FEED_TYPES, WEBHOOK_ENDPOINT, WEBHOOK_REPLAY
from payment_service.http.paging import Page
from payment_service.printing import Failed, echo, echo_table
from payment_service.storage.audit_log import cli_actor

if TYPE_CHECKING:
    from datetime import datetime

    from payment_service.config.settings import Settings
    from payment_service.endpoints.replay_schemas import WebhookReplayView
    from payment_service.storage.database import Database

LOOK_SECONDS: Final = 1.0
ENDPOINTS: Final = 1000
"""More than there may be."""
_COUNTED: Final = ("ENDPOINT", "EVENTS AT MOST")
_HEADERS: Final = ("CREATED", "REPLAY", "ENDPOINT", "STATE", "SINCE", "PROGRESS")


@click.command()
@click.option("--since", type=Since(), required=True, help="Events since 90m, 2h, 7d or an RFC 3339 moment.")
@click.option("--until", type=Since(), help="Events before 90m, 2h, 7d ago or an RFC 3339 moment.")
@click.option("--endpoint", type=Form(WEBHOOK_ENDPOINT), help="Only to this endpoint.  [default: to all enabled ones]")
@click.option("--types", type=Form(FEED_TYPES, maximum=2_000), help="Only these, as invoice.paid,customer.*")
@click.option(
    "--as-new", "fresh_ids", is_flag=True, help="With a webhook-id of its own for each: receivers handle them again."
)
@click.option("--dry-run", is_flag=True, help="Count, and send nothing.")
def replay(
    since: datetime,
    until: datetime | None,
    endpoint: str | None,
    types: str | None,
    *,
    fresh_ids: bool,
    dry_run: bool,
) -> None:
    """Send events again. They are counted first; the worker sends them, after what is new.

    This may be interrupted: the worker goes on, and the same command shows how far it is.
    """
    if until is not None and until <= since:
        raise click.UsageError("--until: give a moment after --since")
    asked = ReplayWebhooks(
        since=since, until=until, event_types=types.split(",") if types else [], fresh_ids=fresh_ids, dry_run=True
    )

    async def work(settings: Settings, database: Database) -> None:
        check_types(asked.event_types)
        replays, wanted = _replays(settings, database), [endpoint] if endpoint else await _enabled(settings, database)
        counted = [await _request(replays, database, one, asked) for one in wanted]
        rows = [(one.endpoint_id, str(one.events)) for one in counted]
        echo_table(_COUNTED, rows, none="There are no enabled endpoints.")
        if dry_run or not counted:
            return
        begun = [await _request(replays, database, one, _in_earnest(asked)) for one in wanted]
        await _watch(replays, [one.id for one in begun if one.id is not None])

    with_database(work, name="deliveries")


@click.command("replays")
@click.option("--endpoint", type=Form(WEBHOOK_ENDPOINT), help="Only to this endpoint.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many.")
def list_replays(endpoint: str | None, limit: int) -> None:
    """List replays, newest first, and how far each is."""

    async def work(settings: Settings, database: Database) -> list[WebhookReplayView]:
        page = await _replays(settings, database).list(page=Page(limit=limit), endpoint_id=endpoint)
        return page.data

    found = with_database(work, name="deliveries")
    echo_table(_HEADERS, [_line(one) for one in found], none="There are no replays.")


@click.command("cancel-replay")
@click.argument("replay_id", type=Form(WEBHOOK_REPLAY))
def cancel_replay(replay_id: str) -> None:
    """End a replay. What it has waiting is skipped."""

    async def work(settings: Settings, database: Database) -> WebhookReplayView:
        async with database.transaction() as connection:
            return await _replays(settings, database).cancel(connection, replay_id, actor=cli_actor())

    echo(_progress(with_database(work, name="deliveries")))


def _replays(settings: Settings, database: Database) -> WebhookReplays:
    return WebhookReplays(database, clock=Clock(), livemode=settings.stripe.livemode)


def _in_earnest(asked: ReplayWebhooks) -> ReplayWebhooks:
    return ReplayWebhooks(
        since=asked.since, until=asked.until, event_types=asked.event_types, fresh_ids=asked.fresh_ids, dry_run=False
    )


async def _enabled(settings: Settings, database: Database) -> list[str]:
    page = await build_endpoints(settings, database, clock=Clock()).list(page=Page(limit=ENDPOINTS))
    return [one.id for one in page.data if one.enabled]


async def _request(
    replays: WebhookReplays, database: Database, endpoint_id: str, asked: ReplayWebhooks
) -> WebhookReplayView:
    async with database.transaction() as connection:
        return await replays.request(connection, endpoint_id, asked, actor=cli_actor())


async def _watch(replays: WebhookReplays, replay_ids: list[str]) -> None:
    """Print how far replays are, whenever that changes, until all of them have ended."""
    shown: dict[str, str] = {}
    while True:
        found = [await replays.get(replay_id) for replay_id in replay_ids]
        for replay_id, one in zip(replay_ids, found, strict=True):
            if shown.get(replay_id) != _progress(one):
                shown[replay_id] = _progress(one)
                echo(f"{one.id} to {one.endpoint_id}: {shown[replay_id]}")
        if all(one.ended_at is not None for one in found):
            break
        await asyncio.sleep(LOOK_SECONDS)
    if failed := sum(one.failed for one in found):
        raise Failed(f"{failed} were given up: payments deliveries list --state failed")


def _progress(one: WebhookReplayView) -> str:
    sent = f"{one.delivered} delivered, {one.pending} waiting, {one.failed} failed, {one.skipped} skipped"
    return f"{one.state}, {one.looked_through:.0%} looked through: {sent}"


def _line(one: WebhookReplayView) -> tuple[str, ...]:
    made = "" if one.created_at is None else isoformat(one.created_at)
    return made, one.id or "", one.endpoint_id, one.state, isoformat(one.since), _progress(one)
