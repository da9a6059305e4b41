"""Reads typed values from environment variables and collects every problem instead of stopping at the first.

No library does it whole. pydantic-settings reads a folder of secrets once and, by pydantic's validators, compares
settings only when each alone is valid; environs' `FileAwareEnv` reads `NAME_FILE` once, and its collected errors are
those of single values. Here a file is read again when it changes (`secrets.py`), and all problems are listed at once.
"""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from payment_service.config.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})


def read_env_file(path: Path) -> dict[str, str]:
    """Return what a `.env` file sets, read as Docker Compose reads it; `$` stands for itself."""
    if not path.is_file():
        return {}
    from dotenv import dotenv_values  # noqa: PLC0415 - no process of production needs it

    text = path.read_text(encoding="utf-8", errors="surrogateescape")
    pairs = dotenv_values(stream=StringIO(text), interpolate=False)
    return {name: value for name, value in pairs.items() if value is not None}


def _is_utf8(text: str) -> bool:
    """Tell whether a variable held text; octets that are none stand in it as lone surrogates (PEP 383)."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


class EnvironmentReader:
    """Typed look-ups over one set of environment variables.

    Every look-up returns something usable even when it records a problem, so that all problems can be told at once.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._known: set[str] = set()
        self.problems: list[str] = []

    def text(self, name: str, default: str = "") -> str:
        """Return the variable, stripped."""
        self._known.add(name)
        value = self._environ.get(name, "").strip()
        if not _is_utf8(value):
            self.problems.append(f"{name}: is not UTF-8")
            return default
        return value or default

    def choice(self, name: str, allowed: Iterable[str], default: str) -> str:
        """Return the variable if it is one of `allowed`."""
        options = tuple(allowed)
        value = self.text(name, default)
        if value in options:
            return value
        self.problems.append(f"{name}: {value!r} is not one of {', '.join(options)}")
        return default

    def flag(self, name: str, *, default: bool) -> bool:
        """Return a boolean: true, false, 1, 0, yes, no, on, off."""
        value = self.text(name).lower()
        if value in _TRUE | _FALSE:
            return value in _TRUE
        if value:
            self.problems.append(f"{name}: {value!r} is not a boolean; set true or false")
        return default

    def integer(self, name: str, default: int, *, minimum: int, maximum: int) -> int:
        """Return a whole number between `minimum` and `maximum`."""
        return int(self.number(name, default, minimum=minimum, maximum=maximum, whole=True))

    def number(self, name: str, default: float, *, minimum: float, maximum: float, whole: bool = False) -> float:
        """Return a number between `minimum` and `maximum`."""
        value = self.text(name)
        if not value:
            return default
        try:
            number = float(int(value)) if whole else float(value)
        except (ValueError, OverflowError):
            self.problems.append(f"{name}: {value!r} is not a {'whole ' if whole else ''}number")
            return default
        if not minimum <= number <= maximum:
            self.problems.append(f"{name}: {value} is outside {minimum:g} to {maximum:g}")
            return default
        return number

    def items(self, name: str) -> tuple[str, ...]:
        """Return a comma-separated list without empty entries."""
        return tuple(part.strip() for part in self.text(name).split(",") if part.strip())

    def secret(self, name: str, default: str = "") -> Secret:
        """Return the secret `NAME`, or of the file that `NAME_FILE` names; giving both is a problem."""
        value, file = self.text(name), self.text(f"{name}_FILE")
        if value and file:
            self.problems.append(f"{name}: both {name} and {name}_FILE are set; remove one of them")
        if not file:
            return Secret(value or default)
        try:
            return Secret(path=Path(file))
        except (OSError, UnicodeDecodeError) as error:
            self.problems.append(f"{name}_FILE: {file} cannot be read: {error.__class__.__name__}")
            return Secret(default)

    def reject_unknown(self, prefix: str) -> None:
        """Record a problem for each variable with `prefix` that no look-up asked for: probably a misspelt name."""
        unknown = sorted(name for name in self._environ if name.startswith(prefix) and name not in self._known)
        self.problems.extend(f"{name}: unknown setting; remove it or correct its name" for name in unknown)
