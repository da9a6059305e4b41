"""Numbers of payment cards, which must not come here: PCI DSS scope begins with the first one that is stored or logged.

Cards belong into Stripe.js, which sends them to Stripe alone (docs.stripe.com/security/guide). So a text that holds a
card number is refused wherever a caller may put text, and what was sent is neither echoed nor logged.

A number is one when its length and first digits are those of an issuer (ISO/IEC 7812-1; the ranges are in the table
below), when the last digit is right (Luhn's algorithm, ISO/IEC 7812-1, annex B), and when it stands alone or is grouped
as on a card, by spaces, dashes, points, slashes or underscores. All of it is needed: one in ten numbers passes Luhn's
test by chance, and of random order numbers with 16 digits one in thirty passes all of it. Letters, digits and
underscores beside a number make it a part of something else, an id or a UUID. Of 13 digits, which no issuer gives out
any more, those that are right as an article number (GTIN-13, gs1.org/standards/barcodes) are let through. Maestro's
ranges, which are a third of all numbers, and which are no longer issued, are left out.

What is kept out of logs (`card_numbers.py`) is less exact on purpose: there a number too many costs nobody anything.
"""

from __future__ import annotations

import re
from typing import Final

from payment_service.errors import CardNumberRefused

_UNSEEN: Final = re.compile("[\u00ad\u180e\u200b-\u200f\u2060-\u2064\ufeff]")
"""Characters without a width: between digits they change nothing that a person sees."""
_BREAK: Final = r"[ ./_\u00a0\u2000-\u200a\u2010-\u2015\u2212\u202f\u205f\u3000-]{1,3}"
"""Between groups: spaces, dashes, points, slashes, underscores."""
_GROUPED: Final = (
    rf"\d{{4}}(?:{_BREAK}\d{{4}}){{2}}{_BREAK}\d{{1,4}}(?:{_BREAK}\d{{3}})?|\d{{4}}{_BREAK}\d{{6}}{_BREAK}\d{{4,5}}"
    rf"|\d{{8}}{_BREAK}\d{{8}}"
)
_CANDIDATE: Final = re.compile(rf"(?<!\w)(?:\d{{13,19}}|{_GROUPED})(?!\w)")
_SEPARATOR: Final = re.compile(r"\D")
_ISSUERS: Final = (
    re.compile(r"4(?:\d{12}|\d{15}|\d{18})"),  # Visa
    re.compile(r"(?:5[1-5]\d{2}|222[1-9]|22[3-9]\d|2[3-6]\d{2}|27[01]\d|2720)\d{12}"),  # Mastercard
    re.compile(r"3[47]\d{13}"),  # American Express
    re.compile(r"(?:6011|64[4-9]\d|65\d{2})\d{12,15}"),  # Discover
    re.compile(r"35(?:2[89]|[3-8]\d)\d{12,15}"),  # JCB
    re.compile(r"(?:30[0-5]\d|3095|3[689]\d{2})\d{10,15}"),  # Diners Club
    re.compile(r"(?:62|81)\d{14,17}"),  # UnionPay
)
_GTIN_DIGITS: Final = 13


def holds_card_number(text: str) -> bool:
    """Tell whether a number of a payment card stands in `text`."""
    return any(_is_card_number(_ascii(found[0])) for found in _CANDIDATE.finditer(_UNSEEN.sub("", text)))


def _ascii(found: str) -> str:
    """Return the digits alone; other scripts' and full-width ones as ASCII's."""
    return "".join(str(int(digit)) for digit in _SEPARATOR.sub("", found))


def _is_card_number(digits: str) -> bool:
    if not any(issuer.fullmatch(digits) for issuer in _ISSUERS):
        return False
    if len(digits) == _GTIN_DIGITS and _is_article_number(digits):
        return False
    return _luhn(digits)


def _luhn(digits: str) -> bool:
    doubled = [sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2]]
    return (sum(doubled) + sum(int(digit) for digit in digits[-1::-2])) % 10 == 0


def _is_article_number(digits: str) -> bool:
    return sum(int(digit) * (1, 3)[place % 2] for place, digit in enumerate(digits)) % 10 == 0


def refusal(field: str) -> CardNumberRefused:
    """Return the answer to a request whose `field` holds a card number; the number is not in it."""
    message = "holds a card number; never send one here, collect cards with Stripe.js and send its payment method's id"
    return CardNumberRefused(f"{field}: {message}", errors=[{"field": field, "message": message}])
