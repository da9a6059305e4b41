"""Alembic's entry point, for `payments migrate` and for plain `alembic upgrade head`.

`payments migrate` hands its connection over in `config.attributes`; plain alembic connects to `DATABASE_MIGRATION_URL`
or `DATABASE_URL`. Both hold the same lock, so that two runs cannot overlap.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from alembic import context

from payment_service.migrations.recorder import record_version
from payment_service.migrations.schema import metadata

if TYPE_CHECKING:
    from sqlalchemy import Connection


def run(connection: Connection) -> None:
    """Run what alembic was asked for on `connection`."""
    context.configure(
        connection=connection,
        target_metadata=metadata,
        on_version_apply=record_version,
        transaction_per_migration=True,
        render_as_batch=connection.dialect.name == "sqlite",
    )
    with context.begin_transaction():
        context.run_migrations()


def run_alone() -> None:
    """Connect by the environment's settings, take the lock and run."""
    from payment_service.config.settings import Settings  # noqa: PLC0415 - as above
    from payment_service.migrations.runner import locked_connection  # noqa: PLC0415 - only without `payments migrate`

    async def go() -> None:
        async with locked_connection(Settings.from_env(needs=("DATABASE_URL",)).database) as connection:
            await connection.run_sync(run)
            await connection.commit()

    asyncio.run(go())


if context.is_offline_mode():
    context.configure(dialect_name="postgresql", target_metadata=metadata, literal_binds=True, as_sql=True)
    with context.begin_transaction():
        context.run_migrations()
elif (shared := context.config.attributes.get("connection")) is not None:
    run(shared)
else:
    run_alone()
