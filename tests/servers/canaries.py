"""Looks for words in every column of every table, as a person with a dump of the database could."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import MetaData, select

if TYPE_CHECKING:
    from payment_service.storage.database import Database


def whole(rows: list[dict[str, Any]], personal: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows of the outbox with the personal fields that they refer to."""
    held = {row["id"]: row["content"] for row in personal}

    def side(row: dict[str, Any], name: str) -> dict[str, Any] | None:
        told: dict[str, Any] | None = row[name]
        return None if told is None else told | held.get(row["personal_id"], {}).get(name, {})

    return [row | {"before": side(row, "before"), "after": side(row, "after")} for row in rows]


async def found_in(database: Database, *words: str) -> set[str]:
    """Return where one of the words stands, as `table.column`, whatever the column's type."""
    wanted = [word.lower() for word in words]
    places: set[str] = set()
    async with database.read() as connection:
        tables = MetaData()
        await connection.run_sync(tables.reflect)
        for table in tables.sorted_tables:
            for row in await connection.execute(select(table)):
                places |= {f"{table.name}.{name}" for name, value in row._mapping.items() if _holds(value, wanted)}
    return places


def _holds(value: Any, wanted: list[str]) -> bool:
    if isinstance(value, bytes | memoryview):
        text = bytes(value).decode(errors="replace")
    else:
        text = value if isinstance(value, str) else msgspec.json.encode(value, enc_hook=str).decode()
    return any(word in text.lower() for word in wanted)
