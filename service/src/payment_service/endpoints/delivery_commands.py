"""`payments deliveries`: what is sent to webhook endpoints, for people at a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, get_args

import click
import msgspec

from payment_service.cli_settings import with_database
from payment_service.cli_values import Form, Since
from payment_service.clock import Clock, isoformat
from payment_service.endpoints.people import WebhookDeliveries
from payment_service.endpoints.replay_commands import cancel_replay, list_replays, replay
from payment_service.endpoints.schemas import DeliveryState
from payment_service.http.id_types import OBJECT, WEBHOOK_DELIVERY, WEBHOOK_ENDPOINT
from payment_service.http.paging import Page
from payment_service.printing import echo, echo_table
from payment_service.storage.audit_log import cli_actor

if TYPE_CHECKING:
    from datetime import datetime

    from payment_service.config.settings import Settings
    from payment_service.endpoints.schemas import WebhookDeliveryList, WebhookDeliveryView
    from payment_service.storage.database import Database

_HEADERS: Final = ("SINCE", "DELIVERY", "STATE", "TYPE", "OBJECT", "ATTEMPTS", "LAST", "WAITS FOR")
_delivery_id = click.argument("delivery_id", type=Form(WEBHOOK_DELIVERY))


@click.group()
def deliveries() -> None:
    """See what is sent to webhook endpoints, try again, skip, replay."""


@deliveries.command("list")
@click.option("--endpoint", type=Form(WEBHOOK_ENDPOINT), help="Only to this endpoint.")
@click.option("--state", type=click.Choice(get_args(DeliveryState)), help="Only in this state.")
@click.option("--object", "object_id", type=Form(OBJECT), help="Only about this object.")
@click.option("--since", type=Since(), help="Since 90m, 2h, 7d or an RFC 3339 moment.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="How many.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_deliveries(
    endpoint: str | None,
    state: str | None,
    object_id: str | None,
    since: datetime | None,
    limit: int,
    *,
    as_json: bool,
) -> None:
    """List deliveries, newest first, and what is in their way."""

    async def work(settings: Settings, database: Database) -> WebhookDeliveryList:
        page = Page.since(since, limit=limit)
        return await _deliveries(settings, database).list(
            page=page, endpoint_id=endpoint, state=state, object_id=object_id
        )

    page = with_database(work, name="deliveries")
    if as_json:
        echo(msgspec.json.format(msgspec.json.encode(page), indent=2))
        return
    echo_table(_HEADERS, [_line(one) for one in page.data], none="There are no such deliveries.")
    if page.has_more:
        echo(f"More than {limit}: give --limit, --since, --state or --endpoint.", err=True)


@deliveries.command()
@_delivery_id
def show(delivery_id: str) -> None:
    """Show one delivery as JSON."""

    async def work(settings: Settings, database: Database) -> WebhookDeliveryView:
        return await _deliveries(settings, database).get(delivery_id)

    _print(with_database(work, name="deliveries"))


@deliveries.command()
@_delivery_id
def retry(delivery_id: str) -> None:
    """Have a delivery tried soon. It may be pending, failed or skipped."""

    async def work(settings: Settings, database: Database) -> WebhookDeliveryView:
        async with database.transaction() as connection:
            return await _deliveries(settings, database).retry(connection, delivery_id, actor=cli_actor())

    _print(with_database(work, name="deliveries"))


@deliveries.command()
@_delivery_id
def skip(delivery_id: str) -> None:
    """Give up a pending delivery. Those that wait for it go on."""

    async def work(settings: Settings, database: Database) -> WebhookDeliveryView:
        async with database.transaction() as connection:
            return await _deliveries(settings, database).skip(connection, delivery_id, actor=cli_actor())

    _print(with_database(work, name="deliveries"))


deliveries.add_command(replay)
deliveries.add_command(list_replays)
deliveries.add_command(cancel_replay)


def _deliveries(settings: Settings, database: Database) -> WebhookDeliveries:
    return WebhookDeliveries(database, clock=Clock(), livemode=settings.stripe.livemode)


def _print(delivery: WebhookDeliveryView) -> None:
    echo(msgspec.json.format(msgspec.json.encode(delivery), indent=2))


def _line(one: WebhookDeliveryView) -> tuple[str, ...]:
    last = " ".join(str(part) for part in (one.last_status, one.last_error) if part is not None)
    made = isoformat(one.created_at)
    return made, one.id, one.state, one.event_type, one.object_id, str(one.attempts), last, one.waits_for or ""
