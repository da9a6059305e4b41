"""Headers that people add to an endpoint's webhooks: what receivers, and proxies before them, let a sender in by."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

MAXIMUM_HEADERS: Final = 10
MAXIMUM_CHARACTERS: Final = 1024
_CASELESS: Final = re.ASCII | re.IGNORECASE  # without the first, U+212A is a "k"
_ALLOWED: Final = re.compile(r"authorization|x-[a-z0-9-]{1,62}", _CASELESS)
_FORBIDDEN: Final = re.compile(
    r"x-(?:forwarded|real-ip|original|rewrite|http-method|method-override|envoy|amz).*", _CASELESS
)
"""What proxies believe of each other."""
_VALUE: Final = re.compile(r"[!-~](?:[ -~]*[!-~])?")


class UnsafeHeader(ValueError):
    """Such a header is not sent; the text is a sentence for whoever gave it and does not hold the value."""


def check_headers(headers: Mapping[str, str]) -> None:
    """Let `Authorization` and `X-…` pass.

    Raises:
        UnsafeHeader: one is another, stands there twice, or has a value that is no visible ASCII.
    """
    if len(headers) > MAXIMUM_HEADERS:
        raise UnsafeHeader(f"At most {MAXIMUM_HEADERS} headers are added")
    if len({name.lower() for name in headers}) < len(headers):
        raise UnsafeHeader("A header is given twice")
    for name, value in headers.items():
        if not _ALLOWED.fullmatch(name) or _FORBIDDEN.fullmatch(name):
            raise UnsafeHeader(f"The header {name[:64]!r} is not one of Authorization and X-…")
        if len(value) > MAXIMUM_CHARACTERS or not _VALUE.fullmatch(value):
            raise UnsafeHeader(f"The value of {name} is not 1 to {MAXIMUM_CHARACTERS} characters of visible ASCII")
