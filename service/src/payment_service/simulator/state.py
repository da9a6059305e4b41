"""What the simulator remembers: objects by id, in memory and, when asked, in a SQLite file.

Private members of an object begin with an underscore; they are never shown.
"""

from __future__ import annotations

import secrets
import sqlite3
from typing import TYPE_CHECKING, Any

import msgspec

from payment_service.simulator.errors import missing

if TYPE_CHECKING:
    from pathlib import Path

    from payment_service.platform.clock import Clock

API_VERSION = "2026-10-28.endive"
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def random_text(length: int) -> str:
    """Return random letters and digits."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


class State:
    """Objects by id; insertion order is the order of creation.

    Args:
        path: a SQLite file that survives restarts; None: memory only.
        clock: Stripe's time.
        livemode: what `livemode` says on every object.
    """

    def __init__(self, *, path: Path | None, clock: Clock, livemode: bool) -> None:
        self.clock = clock
        self.livemode = livemode
        self.objects: dict[str, dict[str, Any]] = {}
        self.by_kind: dict[str, dict[str, dict[str, Any]]] = {}
        self._changed: set[str] = set()
        self._database: sqlite3.Connection | None = None
        if path is not None:
            self._open(path)

    def _open(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("CREATE TABLE IF NOT EXISTS objects (id TEXT PRIMARY KEY, seq INTEGER, body BLOB)")
        for (body,) in self._database.execute("SELECT body FROM objects ORDER BY seq"):
            obj = msgspec.json.decode(body)
            self.objects[obj["id"]] = obj
            self.by_kind.setdefault(obj["object"], {})[obj["id"]] = obj

    @property
    def now(self) -> int:
        """Stripe's time in whole seconds."""
        return int(self.clock.timestamp())

    def new_id(self, prefix: str) -> str:
        """Return a new id such as `cus_…`."""
        return f"{prefix}_{random_text(24)}"

    def add(self, obj: dict[str, Any]) -> dict[str, Any]:
        """Store a new object."""
        self.objects[obj["id"]] = obj
        self.by_kind.setdefault(obj["object"], {})[obj["id"]] = obj
        self._changed.add(obj["id"])
        return obj

    def touch(self, obj: dict[str, Any]) -> None:
        """Note that an object was changed."""
        self._changed.add(obj["id"])

    def remove(self, obj: dict[str, Any]) -> None:
        """Forget an object."""
        self.objects.pop(obj["id"], None)
        self.by_kind[obj["object"]].pop(obj["id"], None)
        if self._database is not None:
            self._database.execute("DELETE FROM objects WHERE id = ?", (obj["id"],))

    def get(self, kind: str, object_id: str, *, param: str = "id") -> dict[str, Any]:
        """Return an object; raises Stripe's `resource_missing`."""
        found = self.by_kind.get(kind, {}).get(object_id)
        if found is None:
            raise missing(kind, object_id, param=param)
        return found

    def all(self, kind: str) -> list[dict[str, Any]]:
        """Return all objects of a kind, newest first."""
        return list(reversed(self.by_kind.get(kind, {}).values()))

    def flush(self) -> None:
        """Write what changed to the file, in one transaction."""
        changed, self._changed = self._changed, set()
        if self._database is None or not changed:
            return
        self._database.execute("BEGIN")
        for object_id in changed:
            obj = self.objects.get(object_id)
            if obj is not None:
                self._database.execute(
                    "INSERT INTO objects VALUES (?, (SELECT coalesce(max(seq), 0) + 1 FROM objects), ?) "
                    "ON CONFLICT (id) DO UPDATE SET body = excluded.body",
                    (object_id, msgspec.json.encode(obj)),
                )
        self._database.execute("COMMIT")

    def close(self) -> None:
        """Write and close the file."""
        self.flush()
        if self._database is not None:
            self._database.close()
