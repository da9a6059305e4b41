"""What the API server says when a write is about another object, version or manager than the stored one."""

from typing import Final

from payment_operator.errors import Conflict
from payment_operator.resources.metadata import Manifest
from payment_operator.testing.field_managers import Path

Place = tuple[str, str, str]
"""Kind, namespace and name."""
NEWER: Final = "the object has been modified; please apply your changes to the latest version and try again"


def conflict(place: Place, why: str) -> Conflict:
    """The write is about something else than what is stored."""
    return Conflict(409, "Conflict", f'Operation cannot be fulfilled on {place[0]} "{place[2]}": {why}')


def not_that_one(place: Place, uid: str, live: Manifest) -> Conflict:
    """Another object has the name."""
    there = live["metadata"]["uid"]
    return conflict(place, f"Precondition failed: UID in precondition: {uid}, UID in object meta: {there}")


def told(lost: dict[str, list[Path]]) -> str:
    """Which fields are whose."""
    number = sum(map(len, lost.values()))
    where = "; ".join(f'conflict with "{name}": .{_spelled(path)}' for name, paths in lost.items() for path in paths)
    return f"Apply failed with {number} conflict{'s' if number > 1 else ''}: {where}"


def _spelled(path: Path) -> str:
    return ".".join(step if isinstance(step, str) else str(dict(step.keys)) for step in path)
