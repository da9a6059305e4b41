"""Writes each applied migration's numbers into `schema_versions`, in the migration's own transaction."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from alembic.script import Script
from sqlalchemy import delete, insert

from payment_service.storage.tables import schema_versions

if TYPE_CHECKING:
    from alembic.runtime.migration import MigrationContext, MigrationInfo


def record_version(ctx: MigrationContext, step: MigrationInfo, heads: Any, run_args: Any) -> None:  # noqa: ARG001 - alembic's signature
    """Insert (or after a downgrade delete) the row of the migration that was just run."""
    script = step.up_revision
    if not isinstance(script, Script) or ctx.connection is None:
        return
    module = script.module
    if step.is_upgrade:
        row = {
            "number": module.schema_number,
            "revision": script.revision,
            "phase": module.phase,
            "oldest_application": module.oldest_application,
            "applied_at": datetime.now(tz=UTC),
        }
        ctx.connection.execute(insert(schema_versions).values(row))
    elif module.schema_number > 1:
        ctx.connection.execute(delete(schema_versions).where(schema_versions.c.number == module.schema_number))
