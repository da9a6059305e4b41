"""`payments keys`: API keys for people at a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from payment_service.access.keys import ApiKeys
from payment_service.access.schemas import SCOPES, ApiKey, Scope
from payment_service.cli_settings import with_database
from payment_service.platform.audit import cli_actor
from payment_service.platform.clock import Clock, isoformat

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


@click.group()
def keys() -> None:
    """Make, list, rotate and revoke API keys."""


@keys.command()
@click.argument("principal")
@click.option("--scope", type=click.Choice(SCOPES), default="write", show_default=True, help="What it may do.")
@click.option("--days", type=float, help="Until it expires; default: never.")
def create(principal: str, scope: Scope, days: float | None) -> None:
    """Make a key for PRINCIPAL, a name such as the calling application's, and show it once."""
    _show(*_with_keys(lambda store: store.create(principal, scope=scope, days=days, actor=cli_actor())))


@keys.command("list")
def list_keys() -> None:
    """List all keys by their beginnings."""
    for key in _with_keys(lambda store: store.list()):
        click.echo(_line(key))


@keys.command()
@click.argument("key_id")
@click.option("--overlap-hours", default=24.0, show_default=True, help="How long the old key goes on working.")
def rotate(key_id: str, overlap_hours: float) -> None:
    """Make a new key for the same principal; idempotency keys stay valid."""
    _show(*_with_keys(lambda store: store.rotate(key_id, overlap_hours=overlap_hours, actor=cli_actor())))


@keys.command()
@click.argument("key_id")
def revoke(key_id: str) -> None:
    """End a key now."""
    record = _with_keys(lambda store: store.revoke(key_id, actor=cli_actor()))
    click.echo(f"revoked {record.id} ({record.prefix}…) of {record.principal}")


def _with_keys(work: Callable[[ApiKeys], Awaitable[Any]]) -> Any:
    return with_database(lambda settings, database: work(ApiKeys(settings, database, clock=Clock())), name="keys")


def _show(key: str, record: ApiKey) -> None:
    click.echo(f"{key}\n", nl=False)
    click.echo(f"{_line(record)}\nThis is the only time that the key is shown.", err=True)


def _line(key: ApiKey) -> str:
    ended = "revoked" if key.revoked_at else (f"expires {isoformat(key.expires_at)}" if key.expires_at else "no expiry")
    used = f"last used {isoformat(key.last_used_at)}" if key.last_used_at else "never used"
    return f"{key.id}  {key.prefix}…  {key.scope:5}  {key.principal}  {ended}, {used}"
