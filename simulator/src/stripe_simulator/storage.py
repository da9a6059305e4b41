"""Keeps the simulator's objects, and how far its clock was moved, in a SQLite file over restarts."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_TABLE = (
    "CREATE TABLE IF NOT EXISTS simulated ("
    "  world TEXT, id TEXT, seq INTEGER, body BLOB, hidden BLOB, PRIMARY KEY (world, id)"
    ")"
)
_CLOCK_TABLE = "CREATE TABLE IF NOT EXISTS moved_clock (id INTEGER PRIMARY KEY CHECK (id = 1), seconds REAL NOT NULL)"
_KEEP_CLOCK = "INSERT INTO moved_clock VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET seconds = excluded.seconds"
_UPSERT = (
    "INSERT INTO simulated (world, id, seq, body, hidden) VALUES (?, ?, ?, ?, ?) "
    "ON CONFLICT (world, id) DO UPDATE SET body = excluded.body, hidden = excluded.hidden"
)


class Stored(NamedTuple):
    """One object of a world; `body` None: it is to be deleted."""

    object_id: str
    body: dict[str, Any] | None
    hidden: dict[str, Any]


class Storage:
    """One file for all worlds; each write is one transaction."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=NORMAL")
        self._database.execute(_TABLE)
        self._database.execute(_CLOCK_TABLE)
        ((self._seq,),) = self._database.execute("SELECT coalesce(max(seq), 0) FROM simulated")

    def worlds(self) -> list[str]:
        """Return the names of the worlds in the file."""
        return [world for (world,) in self._database.execute("SELECT DISTINCT world FROM simulated")]

    def moved_seconds(self) -> float:
        """Return how far the clock was moved."""
        ((seconds,),) = self._database.execute("SELECT coalesce(max(seconds), 0.0) FROM moved_clock")
        return float(seconds)

    def keep_moved_seconds(self, seconds: float) -> None:
        """Note how far the clock is moved now."""
        self._database.execute(_KEEP_CLOCK, (seconds,))

    def load(self, world: str) -> Iterator[Stored]:
        """Return a world's objects in the order of their creation."""
        rows = self._database.execute(
            "SELECT id, body, hidden FROM simulated WHERE world = ? ORDER BY seq", (world,)
        ).fetchall()
        for object_id, body, hidden in rows:
            yield Stored(object_id, msgspec.json.decode(body), msgspec.json.decode(hidden))

    def write(self, world: str, changed: Iterable[Stored]) -> None:
        """Write and delete in one transaction."""
        self._database.execute("BEGIN")
        for item in changed:
            if item.body is None:
                self._database.execute("DELETE FROM simulated WHERE world = ? AND id = ?", (world, item.object_id))
                continue
            self._seq += 1
            values = (msgspec.json.encode(item.body), msgspec.json.encode(item.hidden))
            self._database.execute(_UPSERT, (world, item.object_id, self._seq, *values))
        self._database.execute("COMMIT")

    def close(self) -> None:
        """Close the file."""
        self._database.close()
