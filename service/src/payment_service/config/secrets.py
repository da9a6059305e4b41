"""Secrets: never printed, hidden from whatever else prints, and read again when their mounted file changes.

Kubernetes swaps the symlink `..data` of a mounted Secret, so the file is compared by what `stat` says of its target
(device, inode, modification time, size) at most once a second, and read only when that differs.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from typing import TYPE_CHECKING

from payment_service.observability.redaction import hide

if TYPE_CHECKING:
    from pathlib import Path

RECHECK_SECONDS = 1.0


class Secret:
    """A secret value, fixed or from a file that may change."""

    __slots__ = ("_checked", "_parted", "_parts", "_path", "_stat", "_value")

    def __init__(self, value: str = "", *, path: Path | None = None) -> None:
        self._value = value
        self._path = path
        self._stat: tuple[int, ...] | None = None
        self._checked = float("-inf")
        self._parted = ""
        self._parts: tuple[str, ...] = ()
        if path is not None:
            self._reload(path)
        else:
            hide(value)

    def __repr__(self) -> str:
        return "***"

    def __bool__(self) -> bool:
        return bool(self.reveal())

    def reveal(self) -> str:
        """Return the current value, stripped of surrounding white space."""
        if self._path is not None and time.monotonic() - self._checked >= RECHECK_SECONDS:
            self._reload(self._path)
        return self._value

    def parts(self) -> tuple[str, ...]:
        """Return the values of a secret that may hold several, separated by commas or lines; empty ones are dropped."""
        value = self.reveal()
        if value != self._parted:
            self._parts = tuple(part for chunk in value.split(",") for part in chunk.split() if part)
            self._parted = value
        return self._parts

    def _reload(self, path: Path) -> None:
        """Read the file again if it changed; keep the last value while it cannot be read (a swap, or no text)."""
        self._checked = time.monotonic()
        try:
            info = path.stat()
            stat = (info.st_dev, info.st_ino, info.st_mtime_ns, info.st_size)
            if stat == self._stat:
                return
            self._value = path.read_text(encoding="utf-8").strip()
            self._stat = stat
            hide(self._value)
        except (OSError, UnicodeDecodeError):
            if self._stat is None:
                raise


def fingerprint(secret: str, *, salt: str) -> str:
    """Return the salted fingerprint by which two sides compare a secret without showing it: 16 hex digits."""
    return hmac.new(salt.encode(), secret.encode(), hashlib.sha256).hexdigest()[:16]
