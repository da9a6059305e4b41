"""`payments events`: the feed for people at a terminal."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import click
import msgspec

from payment_service.cli_settings import with_database
from payment_service.cli_values import Form
from payment_service.clock import Clock, isoformat
from payment_service.feed.filters import Filters
from payment_service.feed.sequencer import Sequencer
from payment_service.feed.service import Feed
from payment_service.http.id_types import FEED_CURSOR, FEED_EVENT, FEED_TYPES, OBJECT
from payment_service.printing import echo, table

if TYPE_CHECKING:
    from payment_service.config.settings import Settings
    from payment_service.feed.schemas import FeedEvent, FeedPage
    from payment_service.storage.database import Database

_HEADERS: Final = ("CREATED", "EVENT", "TYPE", "OBJECT", "CAUSE")
POLL_SECONDS: Final = 1.0
PAGE: Final = 100

_types = click.option("--types", type=Form(FEED_TYPES, maximum=2_000), help="Only these, as invoice.paid,customer.*")
_object = click.option("--object", "object_id", type=Form(OBJECT), help="Only about this object.")
_json = click.option("--json", "as_json", is_flag=True, help="Print each event as a line of JSON, with the object.")


@click.group()
def events() -> None:
    """See what has changed here, as applications are told."""


@events.command("list")
@_types
@_object
@click.option("--after", type=Form(FEED_CURSOR), help="Begin behind this event.  [default: the oldest that is kept]")
@click.option("--limit", type=click.IntRange(1, 100), default=20, show_default=True, help="How many at most.")
@_json
def list_events(types: str | None, object_id: str | None, after: str | None, limit: int, *, as_json: bool) -> None:
    """List events, oldest first."""
    filters = _filters(types, object_id)

    async def work(settings: Settings, database: Database) -> FeedPage:
        read = await _feed(settings, database).page(after=after, filters=filters, limit=limit)
        return read.page

    page = with_database(work, name="events")
    _print(page.data, as_json=as_json, headers=True)
    if not page.data:
        echo("There are no such events among those looked at.", err=True)
    if page.has_more:
        echo(f"There are more: go on with --after {page.next}", err=True)


@events.command()
@click.argument("event_id", type=Form(FEED_EVENT))
def show(event_id: str) -> None:
    """Show one event as JSON."""

    async def work(settings: Settings, database: Database) -> FeedEvent:
        return await _feed(settings, database).get(event_id)

    echo(msgspec.json.format(msgspec.json.encode(with_database(work, name="events")), indent=2))


@events.command()
@_types
@_object
@click.option("--after", type=Form(FEED_CURSOR), default="latest", show_default=True, help="Begin behind this event.")
@click.option("--follow", "-f", is_flag=True, help="Wait for further ones, until interrupted.")
@_json
def tail(types: str | None, object_id: str | None, after: str, *, follow: bool, as_json: bool) -> None:
    """Print events from a place on, as they come with -f."""
    filters = _filters(types, object_id)

    async def work(settings: Settings, database: Database) -> None:
        feed, cursor = _feed(settings, database), after
        sequencer = Sequencer(database, clock=Clock())
        try:
            while True:
                page = (await feed.page(after=cursor, filters=filters, limit=PAGE)).page
                cursor = page.next or cursor
                _print(page.data, as_json=as_json, headers=False)
                if not page.has_more:
                    if not follow:
                        return
                    await asyncio.sleep(POLL_SECONDS)
                    await sequencer.look()
        finally:
            await sequencer.close()

    with_database(work, name="events")


def _filters(types: str | None, object_id: str | None) -> Filters:
    return Filters(types=tuple(types.split(",")) if types else (), object_id=object_id)


def _feed(settings: Settings, database: Database) -> Feed:
    return Feed(database, livemode=settings.stripe.livemode)


def _print(found: list[FeedEvent], *, as_json: bool, headers: bool) -> None:
    if as_json:
        for event in found:
            echo(msgspec.json.encode(event))
        return
    lines = table(_HEADERS, [_line(event) for event in found])
    for line in lines if headers else lines[1:]:
        echo(line)


def _line(event: FeedEvent) -> tuple[str, ...]:
    cause = event.cause.id or event.cause.type
    return isoformat(event.created_at), event.id, event.type, event.object_id, cause
