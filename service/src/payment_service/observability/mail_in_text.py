"""Addresses of people in text, with what stands before the @ whole.

One of the files that the service and the operator share: see `redaction.py`.

A local part may hold what paths, queries and assignments are made of (RFC 5322, section 3.2.3). It is taken for a part
of the address where it is none of those: a word without `=` and `?`, what a gateway or a mailing list writes, and all
that stands in `<…>`. Of `to=grace@mail.example` the name of the parameter stays.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

AT_SIGNS: Final = ("@", "\uff20", "\ufe6b", "u0040", "uff20", "ufe6b", "\\xef\\x")
"""What never leaves an address: one of them is in each."""
SLASHES: Final = r":\\{0,4}/\\{0,4}/"
"""Of an address of a server, as some encoders of JSON write them too."""
_AT: Final = r"(?:[@\uff20\ufe6b]|\\{1,4}u(?:0040|ff20|fe6b)|\\xef\\x(?:bc\\xa0|b9\\xab))"
DOT: Final = r"(?:[.\uff0e\u3002\uff61]|\\{1,4}u(?:ff0e|3002|ff61)|\\xef\\xbc\\x8e)"
LAST: Final = r"(?:xn--[\w-]+|[^\W\d_]{2,})"
_MAIL: Final = re.compile(
    r"(?![BEbe]')"  # what begins a text of Python's or SQL's
    rf"(?:[\w.\uff0e+!#$^~-][\w.\uff0e+!#$^~'-]*|[/=&?{{|}}`](?={_AT}))"
    rf"(?P<domain>{_AT}(?:(?:[\w-]+{DOT})+{LAST}|\[(?:IPv6:)?[0-9A-Fa-f.:]+\]))?"
)
_AFTER_SLASHES: Final = re.compile(rf"{SLASHES}\Z")
_BEFORE: Final = re.compile(r"(?P<open><?)(?P<run>[\w.+!#$%^~*/=&?{|}`-]{1,64})\Z")
_LONGEST: Final = 64
"""Characters of a local part (RFC 5321, section 4.5.3.1.1)."""
_WORD: Final = re.compile(r"\w[^=?]*|\{[^/=&?]*")
"""`rock&roll`, `a/b`: no parameters, and no path from a root."""
_GATEWAY: Final = re.compile(r"(?:/[A-Za-z0-9]{1,8}=[^/=&?]+)+")
"""`/G=Grace/S=Hopper/@gateway.example` (RFC 2156, section 4.3)."""
_RETURN: Final = re.compile(r"[\w.+!#$^~-]+=\Z")
"""`list-grace=mail.example@lists.example`: whom a message was for that came back (cr.yp.to/proto/verp.txt)."""
_DOMAIN: Final = re.compile(rf"(?:[\w-]+\.)+{LAST}")


def mail_in_text(text: str) -> Iterator[tuple[int, int]]:
    """Yield where each address begins and ends, from left to right."""
    for found in _MAIL.finditer(text):
        if not found["domain"] or _AFTER_SLASHES.search(text, max(0, found.start() - 11), found.start()):
            continue
        start = _start(found)
        if start < found.start() or text[start] not in "/=&?{|}`":
            yield start, found.end()


def _start(found: re.Match[str]) -> int:
    """Say where the local part begins that ends where the match does."""
    text, begin = found.string, found.start()
    before = _BEFORE.search(text, max(0, begin - _LONGEST - 1), begin)
    if before is None:
        return begin
    form = _GATEWAY if text[begin] == "/" else _WORD
    if form.fullmatch(before["run"]) or (before["open"] and text[found.end() : found.end() + 1] == ">"):
        return before.start("run")
    returned = None
    if _DOMAIN.fullmatch(text, begin, found.start("domain")):
        returned = _RETURN.search(before["run"])
    return before.start("run") + returned.start() if returned else begin
