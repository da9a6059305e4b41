"""`payments migrate`: runs or plans, and reports with an exit code that a Job's failure policy can read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
from sqlalchemy.exc import DBAPIError

from payment_service.clock import Clock
from payment_service.migrations import naming
from payment_service.migrations.naming import DatabaseTaken
from payment_service.migrations.runner import (
    MigrationRefused,
    Plan,
    current_numbers,
    locked_connection,
    make_plan,
    run_migrations,
)
from payment_service.observability.redaction import redact_value
from payment_service.printing import echo
from payment_service.storage.database import is_lock_timeout, is_unavailable

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.config.settings import Settings

MAXIMUM_RESULT_BYTES: Final = 4096
LOCK_BUSY: Final = 3
STATEMENT_FAILED: Final = 7
_FAILED: Final = (
    "a statement failed and its transaction was rolled back: {}. What runs now goes on serving; "
    "remove the cause, then migrate again"
)


async def migrate(settings: Settings, *, mode: str, as_json: bool, lenient: bool = False) -> int:
    """Run `mode` (plan, expand or contract) and return the exit code: see docs/contracts.md.

    `lenient` goes on where the database is another environment's, as long as there is nothing to be run.
    """
    try:
        async with locked_connection(settings.database) as connection:
            plan = await _run(connection, settings, mode=mode, lenient=lenient)
    except MigrationRefused as error:
        return _conclude(settings, {"error": str(error)}, code=error.exit_code)
    except DatabaseTaken as error:
        return _conclude(settings, {"error": str(error)}, code=naming.EXIT_CODE)
    except Exception as error:
        if is_lock_timeout(error):
            return _conclude(settings, {"error": "a table lock could not be had in time; try again"}, code=LOCK_BUSY)
        if is_unavailable(error):
            return _conclude(settings, {"error": f"the database cannot be reached: {error}"}, code=1)
        if isinstance(error, DBAPIError):
            return _conclude(settings, {"error": _FAILED.format(error.orig)}, code=STATEMENT_FAILED)
        raise
    _print(plan, planned=mode == "plan", as_json=as_json)
    return _conclude(settings, _summary(plan), code=4 if mode == "plan" and plan.findings else 0)


async def _run(connection: AsyncConnection, settings: Settings, *, mode: str, lenient: bool) -> Plan:
    """Run it in a database that is this environment's, or nobody's yet and from now on this one's."""
    here, contract = naming.named(settings), mode == "contract"
    try:
        if (await current_numbers(connection))[0]:
            await naming.check(connection, here)
            await connection.commit()
        if mode == "plan":
            return await make_plan(connection, contract=False)
        plan = await run_migrations(connection, contract=contract)
        await naming.settle(connection, here, now=Clock().now())
        await connection.commit()
    except DatabaseTaken as error:
        if not lenient:
            raise
        await connection.rollback()
        plan = await make_plan(connection, contract=contract)
        if plan.runnable:
            raise
        echo(f"Going on, for nothing is to be run: {error}", err=True)
    return plan


def _summary(plan: Plan) -> dict[str, Any]:
    return {name: value for name, value in plan.as_json().items() if name != "sql"}


def _print(plan: Plan, *, planned: bool, as_json: bool) -> None:
    if as_json:
        echo(msgspec.json.encode(plan.as_json()))
        return
    if planned and plan.sql:
        echo(plan.sql)
    for migration in plan.runnable:
        echo(f"{'would run' if planned else 'ran'} {migration.number} ({migration.phase}): {migration.summary}")
    for finding in plan.findings:
        echo(f"lint: {finding}")
    waiting = len(plan.pending) - len(plan.runnable)
    echo(f"schema {plan.current} → {plan.target}" + (f", {waiting} wait for --contract" if waiting else ""))


def _conclude(settings: Settings, result: dict[str, Any], *, code: int) -> int:
    """Leave the result where Kubernetes shows a finished container's last words."""
    result = redact_value(result)
    if "error" in result:
        echo(result["error"], err=True)
    if settings.termination_log:
        Path(settings.termination_log).write_bytes(msgspec.json.encode(result)[:MAXIMUM_RESULT_BYTES])
    return code
