"""`payments reconcile`: compare with Stripe now. `payments import`: take over what was there before this service."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
import msgspec

from payment_service.cli_settings import with_database
from payment_service.cli_values import Since
from payment_service.clock import Clock, isoformat
from payment_service.printing import echo
from payment_service.reconcile.importing import Importer
from payment_service.reconcile.service import Reconciler
from payment_service.storage import audit_log
from payment_service.storage.notifications import Notifier
from payment_service.stripe_api.call_budget import StripeBudget
from payment_service.stripe_api.gateway import StripeGateway

if TYPE_CHECKING:
    from payment_service.config.settings import Settings
    from payment_service.reconcile.schemas import Report
    from payment_service.storage.database import Database


@click.command()
@click.option("--since", type=Since(), help="Read Stripe's events from here: 2h, 7d or an RFC 3339 moment.")
@click.option("--full", is_flag=True, help="Also list every object and compare it with its row.")
@click.option("--dry-run", is_flag=True, help="Count what is missing and change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def reconcile(since: datetime | None, *, full: bool, dry_run: bool, as_json: bool) -> None:
    """Bring what webhooks did not tell through the inbox. The workers apply it."""

    async def run(settings: Settings, database: Database) -> Report:
        return await _reconcile(settings, database, since=since, full=full, dry_run=dry_run)

    report = with_database(run, name="reconcile", needs=("STRIPE_SECRET_KEY",))
    if as_json:
        echo(msgspec.json.encode(report))
        return
    for title, counts in (("events missed", report.missed), ("objects that differ", report.drifted)):
        told = ", ".join(f"{count} {kind}" for kind, count in counts.items()) or "none"
        echo(f"{title}: {told}")
    for kind in report.skipped:
        echo(f"not looked at, for the key may not list them or the list cannot be read: {kind}")


@click.command("import")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def import_history(*, as_json: bool) -> None:
    """Import what the account had before. Its customers and subscriptions; goes on where that was interrupted.

    Each worker does this by itself until it is done. Stopping it loses nothing.
    """
    position = with_database(_import, name="import", needs=("STRIPE_SECRET_KEY",))
    if as_json:
        echo(msgspec.json.encode(position))
        return
    at = isoformat(datetime.fromtimestamp(position["completed_at"], tz=UTC))
    echo(f"complete since {at}; payments reconcile --full brings what else Stripe holds")


async def _import(settings: Settings, database: Database) -> dict[str, Any]:
    clock, gateway = Clock(), StripeGateway(settings.stripe)
    importer = Importer(
        database,
        gateway,
        budget=StripeBudget(database, clock=clock, per_second=settings.work.stripe_calls_per_second),
        clock=clock,
        livemode=settings.stripe.livemode,
    )
    try:
        return await importer.run(progress=lambda text: echo(text, err=True))
    finally:
        await gateway.close()


async def _reconcile(
    settings: Settings, database: Database, *, since: datetime | None, full: bool, dry_run: bool
) -> Report:
    clock, gateway = Clock(), StripeGateway(settings.stripe)
    reconciler = Reconciler(
        database,
        gateway,
        budget=StripeBudget(database, clock=clock, per_second=settings.work.stripe_calls_per_second),
        clock=clock,
        livemode=settings.stripe.livemode,
        seconds=settings.work.reconcile_seconds,
        announce=lambda: None,
    )
    try:
        report = await reconciler.run(
            full=full, since=since, dry_run=dry_run, progress=lambda text: echo(text, err=True)
        )
    finally:
        await gateway.close()
    if not dry_run:
        async with database.transaction() as connection:
            await audit_log.record(
                connection,
                actor=audit_log.cli_actor(),
                action="reconciliation.run",
                object_type="reconciliation",
                object_id="all" if full else "events",
                now=clock.now(),
                details=msgspec.to_builtins(report),
            )
        await Notifier(database).send()
    return report
