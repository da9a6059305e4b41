"""`payments endpoints`: whom events are sent to, for people at a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

import click
import msgspec

from payment_service.cli_settings import with_database
from payment_service.cli_values import Form
from payment_service.clock import Clock, isoformat
from payment_service.endpoints.building import build_endpoints
from payment_service.endpoints.schemas import (
    MAXIMUM_URL,
    CreateWebhookEndpoint,
    RotateSecret,
    UpdateWebhookEndpoint,
    WebhookEndpointView,
)
from payment_service.endpoints.secrets import SigningKeys
from payment_service.endpoints.store import values_in_use
from payment_service.http.id_types import FEED_TYPES, LINE, WEBHOOK_ENDPOINT
from payment_service.http.paging import Page
from payment_service.printing import echo, echo_table
from payment_service.storage.audit_log import cli_actor

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.config.settings import Settings
    from payment_service.endpoints.schemas import WebhookEndpointWithSecret
    from payment_service.endpoints.service import WebhookEndpoints
    from payment_service.storage.database import Database

T = TypeVar("T")
_HEADERS: Final = ("CREATED", "ENDPOINT", "STATE", "EVENTS", "URL")
_endpoint_id = click.argument("endpoint_id", type=Form(WEBHOOK_ENDPOINT))


@click.group()
def endpoints() -> None:
    """Make, list, change and test webhook endpoints."""


@endpoints.command()
@click.argument("url", type=Form(LINE, maximum=MAXIMUM_URL))
@click.option("--types", type=Form(FEED_TYPES, maximum=2_000), help="Only these, as invoice.paid,customer.*")
@click.option("--description", type=Form(LINE), help="Yours, for people.")
def create(url: str, types: str | None, description: str | None) -> None:
    """Have events sent to URL. From now on; the secret is shown once."""
    asked = CreateWebhookEndpoint(url=url, event_types=types.split(",") if types else [], description=description)
    _show(_change(lambda found, connection, actor: found.create(connection, asked, actor=actor)))


@endpoints.command("list")
@click.option("--limit", type=click.IntRange(1, 1000), default=200, show_default=True, help="How many.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_endpoints(limit: int, *, as_json: bool) -> None:
    """List endpoints, newest first. With the values of WEBHOOK_SIGNING_KEY that they need."""

    async def work(
        settings: Settings, database: Database
    ) -> tuple[list[WebhookEndpointView], dict[str, int], set[str]]:
        page = await build_endpoints(settings, database, clock=Clock()).list(page=Page(limit=limit))
        async with database.read() as connection:
            needed = await values_in_use(connection, livemode=settings.stripe.livemode, now=Clock().now())
        return page.data, needed, SigningKeys(settings.deliveries.signing_key).ids()

    found, needed, held = with_database(work, name="endpoints")
    if as_json:
        echo(msgspec.json.format(msgspec.json.encode(found), indent=2))
    else:
        echo_table(_HEADERS, [_line(one) for one in found], none="There are no endpoints.")
    for value, count in needed.items():
        lacks = "" if value in held else "; it is missing: put it back, or rotate those secrets"
        echo(f"{count} endpoint(s) need the value {value} of WEBHOOK_SIGNING_KEY{lacks}.", err=True)


@endpoints.command("rotate-secret")
@_endpoint_id
@click.option("--overlap-hours", type=click.IntRange(0, 168), default=24, show_default=True, help="How long both sign.")
def rotate_secret(endpoint_id: str, overlap_hours: int) -> None:
    """Give an endpoint a new secret and show it once."""
    asked = RotateSecret(overlap_hours=overlap_hours)
    _show(_change(lambda found, connection, actor: found.rotate_secret(connection, endpoint_id, asked, actor=actor)))


@endpoints.command()
@_endpoint_id
def enable(endpoint_id: str) -> None:
    """Send to an endpoint again. From where it stopped."""
    _set_enabled(endpoint_id, enabled=True)


@endpoints.command()
@_endpoint_id
def disable(endpoint_id: str) -> None:
    """Send nothing to an endpoint until it is enabled."""
    _set_enabled(endpoint_id, enabled=False)


@endpoints.command()
@_endpoint_id
def delete(endpoint_id: str) -> None:
    """Remove an endpoint, and what waits for it."""
    done = _change(lambda found, connection, actor: found.delete(connection, endpoint_id, actor=actor))
    echo(f"deleted {done.id}")


@endpoints.command()
@_endpoint_id
def test(endpoint_id: str) -> None:
    """Send a test event, once. Print the id of its delivery."""
    echo(_change(lambda found, connection, actor: found.test(connection, endpoint_id, actor=actor)))


def _set_enabled(endpoint_id: str, *, enabled: bool) -> None:
    asked = UpdateWebhookEndpoint(enabled=enabled)
    done = _change(lambda found, connection, actor: found.update(connection, endpoint_id, asked, actor=actor))
    echo(f"{done.id} is {_state(done)}")


def _change(work: Callable[[WebhookEndpoints, AsyncConnection, str], Awaitable[T]]) -> T:
    async def run(settings: Settings, database: Database) -> T:
        found = build_endpoints(settings, database, clock=Clock())
        async with database.transaction() as connection:
            done = await work(found, connection, cli_actor())
        return await found.revealed(done)

    return with_database(run, name="endpoints")


def _show(made: WebhookEndpointWithSecret) -> None:
    echo(made.secret or "")
    echo(f"{made.id} {made.url}", err=True)
    echo("This is the only time that the secret is shown.", err=True)


def _state(endpoint: WebhookEndpointView) -> str:
    if not endpoint.enabled:
        return f"disabled: {endpoint.disabled_reason}"
    return "working" if endpoint.failing_since is None else f"failing since {isoformat(endpoint.failing_since)}"


def _line(endpoint: WebhookEndpointView) -> tuple[str, ...]:
    types = ",".join(endpoint.event_types) or "all"
    return isoformat(endpoint.created_at), endpoint.id, _state(endpoint), types, endpoint.url
