"""`payments inbox`: the inbox for people at a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, get_args

import click
import msgspec

from payment_service.cli_settings import with_database
from payment_service.cli_values import Form, Since
from payment_service.clock import Clock, isoformat
from payment_service.errors import PaymentsError
from payment_service.events.administration import InboxAdministration
from payment_service.events.schemas import MAXIMUM_REASON, DiscardRequest, EventState, EventView, ReplayRequest
from payment_service.http.id_types import EVENT, EVENT_TYPES, LINE, OBJECT
from payment_service.http.paging import Page
from payment_service.observability.redaction import redact
from payment_service.printing import echo, echo_table, table
from payment_service.storage.audit_log import cli_actor
from payment_service.storage.notifications import Notifier

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.config.settings import Settings
    from payment_service.storage.database import Database

    Change = Callable[[InboxAdministration, AsyncConnection, str], Awaitable[EventView]]

_HEADERS: Final = ("RECEIVED", "STATE", "TRIES", "EVENT", "TYPE", "OBJECT", "WHY")
_events = click.argument("event_ids", metavar="EVENT...", type=Form(EVENT), nargs=-1, required=True)
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_since = click.option("--since", type=Since(), help="Received since: 90m, 2h, 7d or an RFC 3339 moment.")
_type = click.option(
    "--type", "kind", type=Form(EVENT_TYPES), help="Of this type; 'invoice.*' means every type that begins so."
)


@click.group()
def inbox() -> None:
    """Look at Stripe's events and apply them again."""


@inbox.command("list")
@click.option("--state", type=click.Choice(get_args(EventState)), help="Only in this state.")
@click.option("--dead", is_flag=True, help="Short for --state dead.")
@_type
@_since
@click.option("--object", "object_id", type=Form(OBJECT), help="Only about this object of Stripe's.")
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
            page=Page.since(since, limit=limit), state="dead" if dead else state, kind=kind, object_id=object_id
        )
    )
    if as_json:
        _print(page)
        return
    echo_table(_HEADERS, [_line(event) for event in page.data], none="There are no such events.")
    if page.has_more:
        echo(f"More than {limit}: give --limit, --since or --type.", err=True)


@inbox.command()
@click.argument("event_id", type=Form(EVENT))
@click.option("--payload", is_flag=True, help="Also what Stripe sent; it holds personal data, so this is audited.")
def show(event_id: str, *, payload: bool) -> None:
    """Show one event as JSON."""
    _print(_with_inbox(lambda found, _: found.show(event_id, payload=payload, actor=cli_actor())))


@inbox.command()
@_events
def retry(event_ids: tuple[str, ...]) -> None:
    """Apply events now that are dead, ignored or wait."""
    _each(event_ids, lambda found, connection, event_id: found.retry(connection, event_id, actor=cli_actor()))


@inbox.command()
@_events
@click.option(
    "--reason",
    type=Form(LINE, maximum=MAXIMUM_REASON),
    required=True,
    help="Why, for whoever asks later; it is audited.",
)
def discard(event_ids: tuple[str, ...], reason: str) -> None:
    """Give up dead events. The alert stops, and nothing applies them again.

    The payload stays until its retention, `payments inbox restore` takes it back. What Stripe has now of the object
    comes with `payments reconcile --full`.
    """
    request = DiscardRequest(reason=reason)
    _each(
        event_ids, lambda found, connection, event_id: found.discard(connection, event_id, request, actor=cli_actor())
    )


@inbox.command()
@_events
def restore(event_ids: tuple[str, ...]) -> None:
    """Take discarded events back: they are dead again."""
    _each(event_ids, lambda found, connection, event_id: found.restore(connection, event_id, actor=cli_actor()))


@inbox.command()
@_since
@_type
@click.option("--dead", is_flag=True, help="Only those that were given up.")
@click.option("--dry-run", is_flag=True, help="Count them and change nothing.")
@_json
def replay(since: datetime | None, kind: str | None, *, dead: bool, dry_run: bool, as_json: bool) -> None:
    """Apply settled events again. All since a moment, of a type, or the dead ones."""
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
    for line in table(("EVENTS", "TYPE"), [(str(count), name) for name, count in result.by_type.items()]):
        echo(line)
    echo(f"{result.count} {'would be applied again' if dry_run else 'wait to be applied again'}")


def _each(event_ids: tuple[str, ...], change: Change) -> None:
    """Change each event in a transaction of its own: one that is refused keeps no other from it."""

    async def work(found: InboxAdministration, database: Database) -> int:
        refused = 0
        for event_id in event_ids:
            try:
                async with database.transaction() as connection:
                    event = await change(found, connection, event_id)
            except PaymentsError as error:
                refused += 1
                echo(f"Error: {redact(error.detail or error.title)}", err=True)
            else:
                again = "" if event.state == "discarded" else " again"
                echo(f"{event.id} {event.type} is {event.state}{again}")
        return refused

    if _with_inbox(work):
        raise click.exceptions.Exit(1)


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
    echo(msgspec.json.format(msgspec.json.encode(content), indent=2))


def _line(event: EventView) -> tuple[str, ...]:
    why = " / ".join(filter(None, (event.last_error, event.discard_reason)))
    received = isoformat(event.received_at)
    return received, event.state, str(event.attempts), event.id, event.type, event.object_id, why
