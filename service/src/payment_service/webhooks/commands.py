"""`payments inbox`: the inbox for people at a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import click
import msgspec

from payment_service.cli_settings import with_database
from payment_service.cli_since import Since
from payment_service.platform.audit import cli_actor
from payment_service.platform.clock import Clock, isoformat
from payment_service.platform.notifications import Notifier
from payment_service.webhooks.administration import InboxAdministration
from payment_service.webhooks.schemas import EventState, EventView, ReplayRequest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from payment_service.platform.database import Database
    from payment_service.settings import Settings

_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_since = click.option("--since", type=Since(), help="Received since: 90m, 2h, 7d or an RFC 3339 moment.")
_type = click.option("--type", "kind", help="Of this type; 'invoice.*' means every type that begins so.")


@click.group()
def inbox() -> None:
    """Look at Stripe's events and apply them again."""


@inbox.command("list")
@click.option("--state", type=click.Choice(get_args(EventState)), help="Only in this state.")
@click.option("--dead", is_flag=True, help="Short for --state dead.")
@_type
@_since
@click.option("--object", "object_id", help="Only about this object of Stripe's.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="How many.")
@_json
def list_events(
    state: str | None,
    kind: str | None,
    since: datetime | None,
    object_id: str | None,
    limit: int,
    *,
    dead: bool,
    as_json: bool,
) -> None:
    """List events, the last received first."""
    page = _with_inbox(
        lambda found, _: found.list(
            state="dead" if dead else state, kind=kind, since=since, object_id=object_id, limit=limit
        )
    )
    if as_json:
        _print(page)
        return
    for event in page.data:
        click.echo(_line(event))
    if page.has_more:
        click.echo(f"More than {limit}: give --limit, --since or --type.", err=True)


@inbox.command()
@click.argument("event_id")
@click.option("--payload", is_flag=True, help="Also what Stripe sent; it holds personal data, so this is audited.")
def show(event_id: str, *, payload: bool) -> None:
    """Show one event as JSON."""
    _print(_with_inbox(lambda found, _: found.show(event_id, payload=payload, actor=cli_actor())))


@inbox.command()
@click.argument("event_ids", nargs=-1, required=True)
def retry(event_ids: tuple[str, ...]) -> None:
    """Apply events now that are dead, ignored or wait."""
    for event_id in event_ids:
        event = _with_inbox(lambda found, database: _retry(found, database, event_id))  # noqa: B023 - called at once
        click.echo(f"{event.id} {event.type} is {event.state} again")


@inbox.command()
@_since
@_type
@click.option("--dead", is_flag=True, help="Only those that were given up.")
@click.option("--dry-run", is_flag=True, help="Count them and change nothing.")
@_json
def replay(since: datetime | None, kind: str | None, *, dead: bool, dry_run: bool, as_json: bool) -> None:
    """Apply settled events again: all since a moment, of a type, or the dead ones."""
    try:
        request = ReplayRequest(since=since, type=kind, dead=dead, dry_run=dry_run)
    except ValueError as error:
        raise click.UsageError("Give --since, --type or --dead, so that not every event is replayed by mistake.") from (
            error
        )
    result = _with_inbox(lambda found, database: _replay(found, database, request))
    if as_json:
        _print(result)
        return
    for name, count in result.by_type.items():
        click.echo(f"{count:8} {name}")
    click.echo(f"{result.count:8} {'would be applied again' if dry_run else 'wait to be applied again'}")


async def _retry(found: InboxAdministration, database: Database, event_id: str) -> EventView:
    async with database.transaction() as connection:
        return await found.retry(connection, event_id, actor=cli_actor())


async def _replay(found: InboxAdministration, database: Database, request: ReplayRequest) -> Any:
    async with database.transaction() as connection:
        return await found.replay(connection, request, actor=cli_actor())


def _with_inbox(work: Callable[[InboxAdministration, Database], Awaitable[Any]]) -> Any:
    async def run(settings: Settings, database: Database) -> Any:
        found = InboxAdministration(database, clock=Clock(), livemode=settings.stripe.livemode)
        result = await work(found, database)
        await Notifier(database).send()
        return result

    return with_database(run, name="inbox")


def _print(content: Any) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(content), indent=2))


def _line(event: EventView) -> str:
    error = f"  {event.last_error}" if event.last_error else ""
    return (
        f"{isoformat(event.received_at):27}  {event.state:7}  {event.attempts:2}  {event.id}  {event.type}  "
        f"{event.object_id}{error}"
    )
