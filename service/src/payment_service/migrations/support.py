"""Whether a database and this application can work together, by schema numbers alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import func, select

from payment_service.storage.tables import schema_versions

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

APPLICATION_SCHEMA: Final = 23
"""The schema number that this application is written for: the number of its newest migration."""
REQUIRED_SCHEMA: Final = 23
"""The least schema number it needs in the database: that of its newest expand migration."""

_NUMBERS = select(func.max(schema_versions.c.number), func.max(schema_versions.c.oldest_application))


@dataclass(frozen=True, slots=True)
class SchemaSupport:
    """The numbers of both sides."""

    database: int
    oldest_application: int
    application: int = APPLICATION_SCHEMA
    required: int = REQUIRED_SCHEMA

    @property
    def supported(self) -> bool:
        """Whether the database has what the application needs and still supports so old an application."""
        return self.database >= self.required and self.application >= self.oldest_application


async def read_support(connection: AsyncConnection) -> SchemaSupport:
    """Read the database's numbers; raises the driver's error when there is no schema yet."""
    database, oldest = (await connection.execute(_NUMBERS)).one()
    return SchemaSupport(database=database or 0, oldest_application=oldest or 0)
