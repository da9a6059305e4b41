"""What commands share: settings or every problem of them, a database for as long as the work takes."""

from __future__ import annotations

import asyncio
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from payment_service.caching.redis import close, connect
from payment_service.config.checks import NEEDED, database_urls
from payment_service.config.settings import Settings
from payment_service.errors import PaymentsError, SettingsError
from payment_service.http.failures import to_problem
from payment_service.observability.logging import configure_logging
from payment_service.observability.redaction import redact
from payment_service.printing import Failed, echo
from payment_service.storage.database import Database, create_engine, is_busy, is_unavailable
from payment_service.storage.notifications import FEED_CHANNEL, Notifier
from payment_service.storage.webhook_tables import webhook_endpoints

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Collection

    from payment_service.storage.changed_rows import Change

Result = TypeVar("Result")

SETTINGS_REFUSED = 2
DATABASE = ("DATABASE_URL",)
"""What a command needs that uses nothing but the database."""
WORKER = ("DATABASE_URL", "REDIS_URL", "STRIPE_SECRET_KEY")
SMOKE = ("DATABASE_URL", "STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET")


def load_settings(needs: Collection[str] = tuple(NEEDED)) -> Settings:
    """Return the settings with logging set up; exits with 2 when they are refused or one of `needs` is missing."""
    try:
        settings = Settings.from_env(needs=needs)
    except SettingsError as error:
        for problem in error.problems:
            echo(problem, err=True)
        echo(f"{len(error.problems)} problem(s) in the settings; nothing was started.", err=True)
        sys.exit(SETTINGS_REFUSED)
    configure_logging(settings)
    return settings


def with_database(
    work: Callable[[Settings, Database], Awaitable[Result]], *, name: str, needs: Collection[str] = ()
) -> Result:
    """Do the work of the command `name` and return its result; an error of ours is a message, not a traceback.

    `needs` are the secrets that it uses beside the database's. A database that is away or busy is a message too.
    """
    settings = load_settings((*DATABASE, *needs))

    async def run() -> Result:
        async with _opened(settings, name=name) as database:
            return await work(settings, database)

    try:
        return asyncio.run(run())
    except PaymentsError as error:
        raise Failed(error.detail) from error
    except (SQLAlchemyError, OSError) as error:
        if not (is_busy(error) or is_unavailable(error)):
            raise
        raise Failed(to_problem(error).detail) from error


@asynccontextmanager
async def _opened(settings: Settings, *, name: str) -> AsyncIterator[Database]:
    """Open the database; workers are told of webhook endpoints that the command has changed."""

    def changed(changes: set[Change]) -> None:
        if any(change.table == webhook_endpoints.name for change in changes):
            notifier.notify()

    bell = connect(settings.redis_url) if settings.redis_url else None
    database = Database.from_settings(
        settings.database, application_name=f"payments-{name}", on_change=changed, bell=bell
    )
    notifier = Notifier(database, channel=FEED_CHANNEL)
    try:
        yield database
    finally:
        await notifier.finish()
        await database.close()
        if bell is not None:
            await close(bell)


async def unfit_databases(settings: Settings) -> list[str]:
    """Log in at every address of a database; return what each that cannot be used says, by setting."""
    problems = []
    for name, url in database_urls(settings):
        if not url:
            continue
        replica = url is settings.database.replica_url
        engine = create_engine(url, settings=settings.database, application_name="payments-config", replica=replica)
        try:
            async with engine.connect():
                pass
        except Exception as error:  # noqa: BLE001 - whatever a driver raises is the answer
            said = error.orig if isinstance(error, DBAPIError) else error
            problems.append(redact(f"{name}: {str(said) or type(said).__name__}"))
        finally:
            await engine.dispose()
    return problems
