"""Card numbers in text (PCI DSS 4.0, requirement 3.4): found by their digits and Luhn's check.

One of the files that the service and the operator share: see `redaction.py`.
"""

from __future__ import annotations

import re
from typing import Final

SHORTEST: Final = 13
LONGEST: Final = 19
"""Digits of a card number (ISO/IEC 7812-1)."""
LONGEST_RUN: Final = 200
"""More characters in one run of digits are no list that somebody reads; they go as a whole."""
WORD_START: Final = (
    r"(?:(?<![A-Za-z0-9])|(?<=\\[nrtbfav])|(?<=%[0-9A-Fa-f]{2})|(?<=\\x[0-9A-Fa-f]{2})|(?<=\\u[0-9A-Fa-f]{4})"
    r"|(?<=\[[0-9]m)|(?<=[\[;][0-9]{2}m))"
)
"""A pattern: a word begins here, after no letter or digit, or after the end of an escape or of a colour."""
_GAP: Final = r"[ \u00a0\u202f\u2010-\u2013-]?"
"""Between digits: a space or a dash, also those that do not break a line."""
_POINTS: Final = r"\d{4}(?:\.\d{4,6}){2,3}(?:\.\d{1,6})?"
"""In groups that no address and no date has."""
_DIGITS: Final = re.compile(rf"{WORD_START}(?:{_POINTS}|\d(?:{_GAP}\d){{{SHORTEST - 1},}})(?![A-Za-z0-9_])")
_LONG_NUMBER: Final = re.compile(rf"\d(?:{_GAP}\d){{{SHORTEST - 1}}}|\d{{4}}\.\d{{4}}")
_GROUPS: Final = re.compile(r"\d+")


def without_card_numbers(text: str, *, mark: str) -> str:
    """Put `mark` in the place of each card number, whose digits may stand in groups: with spaces, dashes, points."""
    if not _LONG_NUMBER.search(text):
        return text
    return _DIGITS.sub(lambda found: _without(found[0], mark=mark), text)


def is_card_number(digits: str) -> bool:
    """Tell whether these digits pass Luhn's check (ISO/IEC 7812-1, annex B) and are no time since 1970."""
    if not SHORTEST <= len(digits) <= LONGEST or digits[0] == "0":
        return False
    if digits[0] == "1" and len(digits) in {13, 16, 19}:  # milli-, micro- or nanoseconds until 2033; no card begins so
        return False
    doubled = (divmod(2 * int(digit), 10) for digit in digits[-2::-2])
    return (sum(map(int, digits[-1::-2])) + sum(tens + ones for tens, ones in doubled)) % 10 == 0


def _without(text: str, *, mark: str) -> str:
    """Remove whole groups of digits that are a card number together; several may stand side by side."""
    if len(text) > LONGEST_RUN:
        return mark
    groups = [(match.start(), match.end()) for match in _GROUPS.finditer(text)]
    kept, at = "", 0
    for index, (start, _) in enumerate(groups):
        end = _card_end(text, groups[index:])
        if end <= at:
            continue
        kept += (text[at:start] + mark) if start >= at else ""
        at = end
    return kept + text[at:]


def _card_end(text: str, groups: list[tuple[int, int]]) -> int:
    """Return where the longest card number that begins with the first group ends, 0 without one.

    Dates are none: but for the last, a card's groups have at least three digits, or all have one.
    """
    digits, sizes, found = "", set[int](), 0
    for start, end in groups:
        digits += text[start:end]
        if (sizes <= {1} or min(sizes) > len("00")) and is_card_number(digits):
            found = end
        sizes.add(end - start)
        if len(digits) >= LONGEST:
            break
    return found
