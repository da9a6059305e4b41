"""Numbers of payment cards in text (PCI DSS 4.0.1, requirement 3): one decision for what is refused and what is logged.

One of the files that the service and the operator share: see `redaction.py`.

A number is one when its length and first digits are those of an issuer (ISO/IEC 7812-1; the table is below), when the
last digit is right (Luhn's algorithm, ISO/IEC 7812-1, annex B), and when its groups are ones that a person would write:
any separator may stand between digits, letters may touch the number, digits may be of any script, and what has no width
counts as nothing. Letters and digits beside it make it a part of something else only within long words of hexadecimal
digits: ids, hashes, UUIDs. What many harmless texts look like is let through:

- Times since 1970 and years: no issuer's number begins so.
- Phone numbers: what begins as a country's code and is as long as its numbers is none of Visa's old 13 digits (43, 49),
  and none of Maestro's or UnionPay's short ones.
- Article numbers that are right as such (GTIN-12 and GTIN-13, gs1.org/standards/barcodes): Visa's 13 digits and
  Maestro's 12 and 13 are issued no more.
- Lists, dates and addresses: groups of uneven sizes are a card's if there are few of them, or if none but the last is
  short and one separator stands between them all.

One in ten numbers passes Luhn's test by chance: of random numbers of 16 digits one in 26 passes all of it.
"""

from __future__ import annotations

import re
import string
import unicodedata
from functools import lru_cache
from itertools import accumulate, islice
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

WORD_START: Final = (
    r"(?:(?<![A-Za-z0-9])|(?<=\\[nrtbfav])|(?<=%[0-9A-Fa-f]{2})|(?<=\\x[0-9A-Fa-f]{2})|(?<=\\u[0-9A-Fa-f]{4})"
    r"|(?<=\[[0-9]m)|(?<=[\[;][0-9]{2}m))"
)
"""A pattern: a word begins here, after no letter or digit, or after the end of an escape or of a colour."""
_UNSEEN: Final = "\u200b"
_MARK: Final = r"[!-/:-@\[-`{-~]"
_ESCAPES: Final = r"(?:\\u[0-9A-Fa-f]{4}|\\x[0-9A-Fa-f]{2}){1,3}"
_BREAK: Final = rf"(?:{_ESCAPES}| ?{_MARK} ?|[ ]{{1,3}})"
"""Between groups: one separator, with spaces around it; in JSON and Python it may be written out."""
_RUN: Final = re.compile(rf"[0-9](?:{_UNSEEN}*(?:{_BREAK}{_UNSEEN}*)?[0-9]){{11,}}+")
_GROUP: Final = re.compile(rf"(?P<digits>[0-9](?:{_UNSEEN}*+[0-9])*+)(?P<gap>{_UNSEEN}*(?:{_BREAK})?)")
_PLAIN_GAPS: Final = frozenset(" -./_")
_ID: Final = re.compile(
    r"(?<![0-9A-Za-z])(?=[0-9-]{0,50}[A-Fa-f])"
    r"(?:[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}|[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2})"
    r"(?![0-9A-Za-z])"
)
"""A UUID (RFC 9562), or the place in a trace (w3.org/TR/trace-context)."""
_HEX: Final = re.compile(r"[0-9A-Fa-f]+")
_LETTERS_AND_DIGITS: Final = string.ascii_letters + string.digits
_SHORTEST_HEX: Final = 24
_LONGEST_WORD: Final = 128
_TYPICAL: Final = frozenset({(4, 6, 5), (4, 6, 4), (4, 4, 5), (4, 4, 4, 1), (8, 8)})
_FEW_GROUPS: Final = 4
_SOME_GROUPS: Final = 7
_SHORT_GROUP: Final = 2
_ARTICLE_DIGITS: Final = (12, 13)
_DOUBLED: Final = str.maketrans("0123456789", "0246813579")
_LONGEST: Final = 19
_TOO_LONG: Final = "0" * (_LONGEST + 1)
"""What stands for a longer group, which is a part of no number."""
_AT_ONCE: Final = 256
_CHARACTERS_KEPT: Final = 8192


def holds_card_number(text: str) -> bool:
    """Tell whether a number of a payment card stands in `text`."""
    return next(card_numbers(text), None) is not None


def card_numbers(text: str) -> Iterator[tuple[int, int]]:
    """Yield where card numbers begin and end; they may overlap."""
    plain = text if text.isascii() else text.translate(_PLAIN)
    if not _RUN.search(plain):
        return
    plain = _ID.sub(lambda found: "x" * len(found[0]), plain)
    for run in _RUN.finditer(plain):
        for start, end in _in_run(_GROUP.finditer(plain, *run.span())):
            if not _is_of_hex(plain, start, end):
                yield start, end


def _in_run(groups: Iterator[re.Match[str]]) -> Iterator[tuple[int, int]]:
    """Yield where groups of digits begin and end that are a card number together.

    A run may be as long as the text: so many groups are held at once, and those that a number and its neighbours take.
    """
    held, first = [*islice(groups, _AT_ONCE)], 0
    while held:
        more = [*islice(groups, _AT_ONCE)]
        until = len(held) - _LONGEST - 1 if more else len(held)
        yield from _in_groups(held, first, until)
        held, first = held[until - 1 :] + more if more else [], 1


def _in_groups(groups: list[re.Match[str]], first: int, until: int) -> Iterator[tuple[int, int]]:
    """Yield the same of the numbers that begin with one of some groups."""
    texts = [text if len(text := _digits(group)) <= _LONGEST else _TOO_LONG for group in groups]
    sizes = [len(text) for text in texts]
    digits = "".join(texts)
    places = list(accumulate(sizes, initial=0))
    ends = {place: index for index, place in enumerate(places[1:])}
    sums = _sums(digits)
    for index, place in enumerate(places[first:until], first):
        for length in _lengths(digits[place : place + 4]):
            end = place + length
            if end not in ends or (sums[end % 2][end] - sums[end % 2][place]) % 10:
                continue
            if not _is_article(digits[place:end]) and _is_written_so(groups, sizes, index, ends[end]):
                yield groups[index].start("digits"), groups[ends[end]].end("digits")


def _digits(group: re.Match[str]) -> str:
    return group["digits"].replace(_UNSEEN, "")


def _sums(digits: str) -> tuple[list[int], list[int]]:
    """Return Luhn's sums of all beginnings: as if the number ended after an even and after an odd number of digits."""
    doubled = digits.translate(_DOUBLED)
    even, odd = list(digits), list(digits)
    even[::2], odd[1::2] = doubled[::2], doubled[1::2]
    return list(accumulate(map(int, even), initial=0)), list(accumulate(map(int, odd), initial=0))


@lru_cache(maxsize=10_000)
def _lengths(first: str) -> tuple[int, ...]:
    """Return how many digits the cards have whose numbers begin with these four."""
    if first[:1] not in {"2", "3", "4", "5", "6", "8"} or len(first) < 4:  # noqa: PLR2004 - of a whole beginning
        return ()
    return tuple(sorted(length for pattern, lengths in _ISSUERS if pattern.match(first) for length in set(lengths)))


_ISSUERS: Final = (
    (re.compile("4"), (16, 19)),  # Visa
    (re.compile("4[0-24-8]"), (13,)),
    (re.compile("5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720"), (16,)),  # Mastercard
    (re.compile("3[47]"), (15,)),  # American Express
    (re.compile("30[0-5]|3095|3[689]"), range(14, 20)),  # Diners Club
    (re.compile("35(?:2[89]|[3-8])"), range(16, 20)),  # JCB
    (re.compile("81"), range(16, 20)),  # UnionPay
    (re.compile("6"), range(16, 20)),  # Discover, UnionPay, Maestro
    (re.compile("5[0678]"), range(16, 20)),  # Maestro
    (re.compile("5[0678]|6[013-9]"), range(13, 16)),
    (re.compile("50|56|6[789]"), (12,)),
)


def _is_article(digits: str) -> bool:
    """Tell whether these are an article's number that is right as such."""
    if len(digits) not in _ARTICLE_DIGITS:
        return False
    return (sum(map(int, digits[-1::-2])) + 3 * sum(map(int, digits[-2::-2]))) % 10 == 0


def _is_written_so(groups: list[re.Match[str]], sizes: list[int], first: int, last: int) -> bool:
    """Tell whether these groups are ones that a card's number is written in, and not a list or dates."""
    if first == last:
        return True
    wanted = tuple(sizes[first : last + 1])
    size = wanted[0]
    gaps = {group["gap"].strip(_UNSEEN) for group in groups[first:last]}
    plain, uniform = gaps <= _PLAIN_GAPS, len(gaps) == 1
    if wanted in _TYPICAL:
        return True
    if set(wanted[:-1]) == {size} and wanted[-1] <= size:
        if size > _SHORT_GROUP:
            return uniform or size > _SHORT_GROUP + 1
        if size == 1 and plain and uniform:
            return True
        return size not in sizes[max(0, first - 1) : first] + sizes[last + 1 : last + 2]  # all of a list, and no part
    return plain and (
        len(wanted) <= _FEW_GROUPS or (uniform and len(wanted) <= _SOME_GROUPS and min(wanted[:-1]) > _SHORT_GROUP)
    )


def _is_of_hex(text: str, start: int, end: int) -> bool:
    """Tell whether the number begins or ends within a long word of hexadecimal digits that has others beside it."""
    before = text[max(0, start - _LONGEST_WORD) : start]
    before = before[len(before.rstrip(_LETTERS_AND_DIGITS)) :]
    after = text[end : end + _LONGEST_WORD]
    after = after[: len(after) - len(after.lstrip(_LETTERS_AND_DIGITS))]
    if not any(map(str.isdigit, before + after)):
        return False
    within = text[start:end]
    words = [before + within + after] if within.isdigit() else [before + within[:1], within[-1:] + after]
    return any(len(word) >= _SHORTEST_HEX and _HEX.fullmatch(word) for word in words)


class _Plain(dict[int, str]):
    """What each character counts as, one for one: a digit, a separator, a letter, or nothing that is seen.

    It forgets: all of Unicode would take 100 MiB.
    """

    def __missing__(self, code: int) -> str:
        if len(self) >= _CHARACTERS_KEPT:
            self.clear()
        self[code] = found = _plain(chr(code))
        return found


def _plain(char: str) -> str:
    """Return the ASCII character that this one counts as (Unicode 16.0: NFKC, general categories)."""
    if char.isascii():
        return char
    if (digit := unicodedata.digit(char, None)) is not None:
        return str(digit)
    folded = unicodedata.normalize("NFKC", char)
    if len(folded) == 1 and folded.isascii():
        return folded
    category = unicodedata.category(char)
    if category in {"Cf", "Mn", "Me", "Cc"}:
        return _UNSEEN
    if category == "Zs":
        return " "
    return "x" if category[0] in "LNM" else "-"


_PLAIN: Final = _Plain()
