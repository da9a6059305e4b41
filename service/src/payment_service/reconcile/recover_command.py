"""`payments recover`: tell that the database was restored, look how far the comparison is, or that it is not needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from payment_service.cli_settings import with_database
from payment_service.cli_values import Form
from payment_service.clock import Clock
from payment_service.events.schemas import MAXIMUM_REASON
from payment_service.http.id_types import LINE
from payment_service.printing import Failed, echo
from payment_service.reconcile import drift, store
from payment_service.storage import audit_log
from payment_service.storage.cursors import read_cursors
from payment_service.storage.recovery import MARK, Recovery, set_mark

if TYPE_CHECKING:
    from payment_service.config.settings import Settings
    from payment_service.storage.database import Database

REASON: Final = "a person said so"


@click.command()
@click.option("--status", "mode", flag_value="status", help="Change nothing; print how far it is.")
@click.option("--nothing-lost", "mode", flag_value="nothing-lost", help="End it: you know that no row is missing.")
@click.option(
    "--reason", type=Form(LINE, maximum=MAXIMUM_REASON), default=REASON, show_default=True, help="For the audit log."
)
def recover(mode: str | None, reason: str) -> None:
    """Tell that the database was restored. From a dump or to a moment in the past.

    Until a worker has listed everything at Stripe and its events are applied, requests that change something there are
    answered 503 `recovering`. Without a worker: `payments reconcile --full`, then start one.
    """

    async def run(_: Settings, database: Database) -> str:
        if mode == "nothing-lost":
            ended = await Recovery(database, clock=Clock()).clear(mark_id=None, actor=audit_log.cli_actor())
            if not ended:
                raise Failed("The database is not recovering")
        elif mode is None:
            async with database.transaction() as connection:
                await set_mark(connection, reason=reason, actor=audit_log.cli_actor(), now=Clock().now())
        return await _status(database)

    echo(with_database(run, name="recover"))


async def _status(database: Database) -> str:
    async with database.read() as connection:
        found = await read_cursors(connection, MARK, drift.CURSOR)
        waiting = await store.brought(connection)
    mark: dict[str, Any] | None = found.get(MARK)
    if mark is None:
        return "not recovering"
    told = f"recovering: {mark['reason']}"
    if mark.get("compared"):
        return f"{told}; compared, {waiting} events to apply"
    position = found.get(drift.CURSOR)
    if position is not None and drift.counts(position, mark):
        return f"{told}; comparing, now {position['kind']}"
    return f"{told}; waiting for a worker"
