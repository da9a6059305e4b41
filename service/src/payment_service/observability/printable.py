"""Text of others as a terminal may show it: what would steer the terminal is written out instead.

A name, a payload or a pod's line can hold sequences that clear the screen, set the window's title, hide a line or turn
its direction round (CWE-150; Unicode Technical Report 36, section 2.9). One of the files that the service and the
operator share: see `redaction.py`.
"""

from __future__ import annotations

import re
from typing import Final
from unicodedata import category

_SUSPECT: Final = re.compile(r"[\x00-\x08\x0b-\x1f]|[^\x00-~]")
_STEERING: Final = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Controls, formats (directions, what is invisible), halves of pairs (undecodable octets), other ends of lines."""


def printable(text: str) -> str:
    r"""Return the text with what steers a terminal as `\x1b` or `\u202e`, the latter as in JSON, which stays JSON."""
    return text if text.isascii() and text.isprintable() else _SUSPECT.sub(_written_out, text)


def _written_out(found: re.Match[str]) -> str:
    char = found[0]
    if char < " ":  # in JSON these are written out already
        return f"\\x{ord(char):02x}"
    if category(char) not in _STEERING:
        return char
    return "".join(f"\\u{unit:04x}" for unit in memoryview(char.encode("utf-16-le", "surrogatepass")).cast("H"))
