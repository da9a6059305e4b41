"""Paths that no honest client sends: refused before anything else reads them (RFC 3986, sections 3.3 and 6.2.2).

Two programs that read one path differently are how access control is passed by, so what a proxy, a router or a log may
read differently is refused by name instead of being normalised: empty segments, encoded slashes, dot segments,
backslashes, control characters, what is not UTF-8.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote_to_bytes

from payment_service.errors import BadPath

if TYPE_CHECKING:
    from litestar.types import Scope

_SEGMENT: Final = rb"(?!\.{1,2}(?:[/;]|\Z))[A-Za-z0-9._~!$&'()*+,;=:@-]+"
_USUAL: Final = re.compile(rb"/|(?:/" + _SEGMENT + rb")+")
"""A path without percent-encoding that is right: nearly every one."""
_ENCODED_SEPARATOR: Final = re.compile(rb"%2f|%5c|\\", re.IGNORECASE)
_HALF_ENCODED: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f]")


def check_path(scope: Scope) -> None:
    """Look at the path of a request as it was sent, and as it is decoded.

    Raises:
        BadPath: with what to send instead.
    """
    raw = scope["raw_path"]
    if _USUAL.fullmatch(raw) is None:
        _check_decoded(raw, scope["path"])


def _check_decoded(raw: bytes, path: str) -> None:
    if _ENCODED_SEPARATOR.search(raw):
        raise BadPath("The path holds an encoded slash or a backslash; what holds one cannot stand in a path")
    if _HALF_ENCODED.search(raw):
        raise BadPath("The path holds a % that begins no encoded byte; send %25 for the character itself")
    try:
        unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        raise BadPath("The path is not UTF-8 when it is decoded; encode it as UTF-8") from None
    if _CONTROL.search(path):
        raise BadPath("The path holds a control character; remove it")
    _check_segments(path)


def _check_segments(path: str) -> None:
    before, *segments = path.split("/")
    if before or not segments or "" in segments:
        raise BadPath(
            "The path has an empty segment; send it with one slash at its start, single slashes and none at its end"
        )
    if any(segment.partition(";")[0] in {".", ".."} for segment in segments):
        raise BadPath("The path has a dot segment; send the path that it leads to")
