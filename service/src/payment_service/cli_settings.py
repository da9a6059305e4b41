"""What commands share: settings or every problem of them, a database for as long as the work takes."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, TypeVar

import click

from payment_service.errors import PaymentsError, SettingsError
from payment_service.platform.database import Database
from payment_service.platform.logging import configure_logging
from payment_service.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

Result = TypeVar("Result")

SETTINGS_REFUSED = 2


def load_settings() -> Settings:
    """Return the settings with logging set up; exits with 2 when they are refused."""
    try:
        settings = Settings.from_env()
    except SettingsError as error:
        for problem in error.problems:
            click.echo(problem, err=True)
        click.echo(f"{len(error.problems)} problem(s) in the settings; nothing was started.", err=True)
        sys.exit(SETTINGS_REFUSED)
    configure_logging(settings)
    return settings


def with_database(work: Callable[[Settings, Database], Awaitable[Result]], *, name: str) -> Result:
    """Do the work of the command `name` and return its result; an error of ours is a message, not a traceback."""
    settings = load_settings()

    async def run() -> Result:
        database = Database.from_settings(settings.database, application_name=f"payments-{name}")
        try:
            return await work(settings, database)
        finally:
            await database.close()

    try:
        return asyncio.run(run())
    except PaymentsError as error:
        raise click.ClickException(error.detail) from error
