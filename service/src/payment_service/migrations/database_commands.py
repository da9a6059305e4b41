"""`payments database`: the application's role, and whose the database is."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Final

import click

from payment_service.cli_settings import DATABASE, load_settings, with_database
from payment_service.cli_values import Form
from payment_service.clock import Clock
from payment_service.http.id_types import LINE
from payment_service.migrations import naming
from payment_service.migrations.grants import GrantsRefused, application_role, apply_grants
from payment_service.printing import Failed, echo
from payment_service.storage.tables import cursors

if TYPE_CHECKING:
    from payment_service.config.settings import Settings
    from payment_service.migrations.naming import Claim
    from payment_service.storage.database import Database


MAXIMUM_REASON: Final = 500


@click.group()
def database() -> None:
    """Prepare the database's roles, and say whose it is."""


@database.command("grants")
@click.option("--role", help="The application's role; default: the user of DATABASE_URL.")
@click.option("--apply", "apply", is_flag=True, help="Run the statements as the owner instead of printing them.")
def grants_command(role: str | None, *, apply: bool) -> None:
    """Print, or apply, what the application's role needs. Rows, no DDL, an audit log it can only append to."""
    settings = load_settings(DATABASE).database
    role = role or application_role(settings.url.reveal())
    if not role:
        raise click.UsageError("DATABASE_URL names no user; give --role")
    try:
        statements = asyncio.run(apply_grants(settings, role=role, apply=apply))
    except GrantsRefused as error:
        echo(f"Not granted: {error}", err=True)
        sys.exit(1)
    for statement in statements:
        echo(f"{statement};")
    if apply:
        echo(f"Applied to {role}.", err=True)


@database.command("claim")
@click.option(
    "--reason", type=Form(LINE, maximum=MAXIMUM_REASON), required=True, help="Why it is this one's, for the audit log."
)
@click.option("--dry-run", is_flag=True, help="Say what would change and change nothing.")
def claim_command(reason: str, *, dry_run: bool) -> None:
    """Say that the database is of the environment that this pod is of.

    For a restored copy, which names the former environment, and after a move. The pods of the former one go on; its
    next release is refused. Then repeat what was refused here.
    """
    echo(with_database(lambda s, d: _claim(s, d, reason=reason, dry_run=dry_run), name="claim"))


async def _claim(settings: Settings, database: Database, *, reason: str, dry_run: bool) -> str:
    here = naming.named(settings)
    if not here.name:
        raise Failed("PAYMENTS_ENVIRONMENT_NAME is not set: only a pod of an environment knows which one it is of")
    async with database.transaction() as connection:
        if not await connection.run_sync(lambda sync: sync.dialect.has_table(sync, cursors.name)):
            raise Failed("There are no tables yet: payments migrate names the environment")
        found = await naming.claim(connection, here, reason=reason, now=Clock().now(), dry_run=dry_run)
    return _said(found, dry_run=dry_run)


def _said(found: Claim, *, dry_run: bool) -> str:
    if not found.changed:
        return f"It is this environment's already: {found.now}"
    change = f"{found.former or 'nobody'} → {found.now}"
    if dry_run:
        return f"Would be claimed: {change}"
    return f"Claimed: {change}. Repeat what was refused: `kubectl payments retry`, or `helm upgrade`"
