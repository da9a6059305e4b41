"""Colours and marks, where the output is a terminal that shows them; nothing else steers it."""

import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TextIO

from payment_operator.printable import printable

_CODES: Final = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "blue": "34", "cyan": "36"}
_OURS: Final = secrets.token_hex(8)
"""Stands in our own sequences until they are printed: what others wrote cannot hold it."""
_LOOK: Final = re.compile(rf"{_OURS}(\[[0-9;]+m)")
_MARKS: Final = {
    "done": ("✓", "+"),
    "running": ("▸", ">"),
    "failed": ("✗", "x"),
    "ahead": ("·", "."),
    "attention": ("!", "!"),
}


@dataclass(frozen=True, kw_only=True)
class Style:
    """How text may look."""

    colour: bool = False
    unicode: bool = True

    def paint(self, text: str, *looks: str) -> str:
        """Return the text in these looks, or as it is."""
        if not (self.colour and text and looks):
            return text
        return f"{_OURS}[{';'.join(_CODES[look] for look in looks)}m{text}{_OURS}[0m"

    def sign(self, name: str) -> str:
        """Return a sign of one column."""
        return _MARKS[name][0 if self.unicode else 1]


def shown(text: str) -> str:
    """Return the text as the terminal gets it: our own looks, and nothing else that would steer it."""
    return _LOOK.sub("\x1b\\1", printable(text))


def style_of(stream: TextIO, *, environ: Mapping[str, str] = os.environ, colour: str = "auto") -> Style:
    """Return what ``stream`` can show.

    ``NO_COLOR`` (https://no-color.org) and ``TERM=dumb`` switch colour off; ``--color`` decides over both.
    """
    wanted = {"always": True, "never": False}.get(colour)
    if wanted is None:
        wanted = stream.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
    encoding = (getattr(stream, "encoding", None) or "ascii").lower().replace("-", "")
    return Style(colour=wanted, unicode=encoding.startswith("utf"))


def table(rows: list[list[str]], *, indent: str = "") -> list[str]:
    """Return rows as lines with columns two spaces apart; the last column is never padded."""
    if not rows:
        return []
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        (indent + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))).rstrip()
        for row in rows
    ]
