"""Whether a worker claims, by a file that it follows: so it starts to work where nobody can call it.

The file is a key of a mounted ConfigMap. The kubelet brings a change within a minute and a half, so a call on the
admin port is the fast way, and for as long the file is not believed to be newer.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from payment_service.clock import Clock

FOLLOW_SECONDS: Final = 5.0
"""Between two looks."""
LAG_SECONDS: Final = 120.0
"""What was written before a call may still appear so long after it."""
LONGEST: Final = 16
"""Bytes that are read."""


class ClaimFile:
    """What one file says; a change counts, and what was there when a call overruled it does not.

    Args:
        path: the file; it may not be there yet.
        clock: the time.
    """

    def __init__(self, path: str, *, clock: Clock) -> None:
        self._path = Path(path)
        self._clock = clock
        self._seen = self._read()
        self._called = float("-inf")

    @property
    def claim(self) -> bool:
        """Whether the file said `true` when it was last believed; one that is missing says no."""
        return bool(self._seen)

    def overruled(self) -> None:
        """Take note of a call."""
        self._called = self._clock.timestamp()

    def change(self) -> bool | None:
        """Return what the file says if that is new; None if it is not, or makes no sense."""
        found = self._read()
        late = 0 <= self._clock.timestamp() - self._called < LAG_SECONDS
        if found is None or found == self._seen or late:
            return None
        self._seen = found
        return found

    def _read(self) -> bool | None:
        try:
            with self._path.open("rb") as file:
                text = file.read(LONGEST).strip()
        except OSError:
            return None
        return {b"true": True, b"false": False}.get(text)
