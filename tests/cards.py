"""Makes numbers of payment cards as they are issued, disguises them as people do, and makes what looks like them."""

from __future__ import annotations

import hashlib
import string
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from payment_service.storage.ids import new_id

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    Maker = Callable[[random.Random], str]

ISSUED: Final = {
    "Visa": (("4",), (16, 19)),
    "Visa, 13 digits": (("40", "42", "45", "48"), (13,)),
    "Mastercard": (("51", "53", "55", "2221", "2229", "2345", "2701", "2720"), (16,)),
    "American Express": (("34", "37"), (15,)),
    "Diners Club": (("300", "305", "3095", "36", "38", "39"), (14, 15, 16, 19)),
    "Discover": (("6011", "644", "649", "65"), (16, 19)),
    "JCB": (("3528", "3589"), (16, 19)),
    "UnionPay": (("62", "81"), (16, 17, 18, 19)),
    "Maestro": (("5018", "5020", "5038", "5612", "5893", "6304", "6390", "6759", "6761", "6799"), (16, 17, 18, 19)),
    "Maestro, short": (("5018", "5038", "5612", "6759", "6761", "6799"), (12, 13, 14, 15)),
}
"""Beginnings and numbers of digits (en.wikipedia.org/wiki/Payment_card_number#Issuer_identification_number_(IIN))."""
DASHES: Final = "-\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d"
SPACES: Final = " \u00a0\u2000\u2002\u2003\u2007\u2009\u200a\u202f\u205f\u3000"
OTHERS: Final = "._/|*+~:;\u00b7\u2022\uff0e\uff3f"
UNSEEN: Final = "\u200b\u200c\u200d\u2060\ufeff\u00ad\u034f"


def card(chance: random.Random, *, issuer: str | None = None) -> str:
    """Return the number of a card; of short ones none that is right as an article's number too."""
    beginnings, lengths = ISSUED[issuer or chance.choice(list(ISSUED))]
    while True:
        digits = chance.choice(beginnings)
        digits += "".join(chance.choices(string.digits, k=chance.choice(lengths) - len(digits) - 1))
        digits += str(-_luhn(digits + "0") % 10)
        if len(digits) > len("4006381333931") or not is_article(digits):
            return digits


def _luhn(digits: str) -> int:
    doubled = [sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2]]
    return sum(doubled) + sum(int(digit) for digit in digits[-1::-2])


def is_article(digits: str) -> bool:
    """Tell whether this is right as a GTIN-12 or GTIN-13."""
    return sum(int(digit) * (1, 3)[place % 2] for place, digit in enumerate(reversed(digits))) % 10 == 0


def grouped(digits: str, separator: str, size: int = 4) -> str:
    """Return it in groups."""
    return separator.join(digits[at : at + size] for at in range(0, len(digits), size))


def in_script(digits: str, zero: int) -> str:
    """Return it in the digits of another script."""
    return "".join(chr(zero + int(digit)) for digit in digits)


def _cut(digits: str, chance: random.Random) -> str:
    """Return it with one to three separators anywhere."""
    for place in sorted(chance.sample(range(1, len(digits)), chance.randint(1, 3)), reverse=True):
        digits = digits[:place] + chance.choice(" -._/") + digits[place:]
    return digits


def _each(digits: str, chance: random.Random, characters: str) -> str:
    return "".join(digit + chance.choice(["", chance.choice(characters)]) for digit in digits)


DISGUISES: Final[dict[str, Callable[[str, random.Random], str]]] = {
    "as it is": lambda digits, _: digits,
    "in letters": lambda digits, chance: chance.choice(string.ascii_letters) + digits + chance.choice("xyzG"),
    "in a word": lambda digits, _: f"card{digits}",
    "as an id": lambda digits, _: f"pi_{digits}",
    "in letters of others": lambda digits, _: f"ж{digits}数",
    "in groups, with spaces": lambda digits, chance: grouped(digits, chance.choice(SPACES)),
    "in groups, with dashes": lambda digits, chance: grouped(digits, chance.choice(DASHES)),
    "in groups, with others": lambda digits, chance: grouped(digits, chance.choice(OTHERS)),
    "in groups, with commas": lambda digits, _: grouped(digits, ", "),
    "in groups, wide": lambda digits, chance: grouped(digits, f" {chance.choice(DASHES)} "),
    "in groups of three": lambda digits, chance: grouped(digits, chance.choice(SPACES + DASHES), 3),
    "in pairs": lambda digits, chance: grouped(digits, chance.choice(SPACES + DASHES + OTHERS), 2),
    "a digit a group, with spaces": lambda digits, chance: chance.choice(SPACES).join(digits),
    "a digit a group, with dashes": lambda digits, chance: chance.choice(DASHES).join(digits),
    "a digit a group, with others": lambda digits, chance: chance.choice(OTHERS).join(digits),
    "cut anywhere": _cut,
    "full width": lambda digits, _: in_script(digits, 0xFF10),
    "Arabic": lambda digits, _: in_script(digits, 0x660),
    "of mathematics": lambda digits, _: in_script(digits, 0x1D7CE),
    "circled": lambda digits, _: digits.replace("4", "\u2463").replace("2", "\u2461"),
    "with what nobody sees": lambda digits, chance: _each(digits, chance, UNSEEN),
    "as keys": lambda digits, _: "\ufe0f\u20e3".join(digits),
    "full width, in groups": lambda digits, chance: grouped(in_script(digits, 0xFF10), chance.choice(SPACES + DASHES)),
    "with the date": lambda digits, _: f"{grouped(digits, ' ')} 12/26 123",
    "in a sentence": lambda digits, _: f"pay 17 with {digits}, please (order 4711-1)",
}

_BASE62: Final = string.ascii_letters + string.digits
_PHONES: Final = {
    "1": (10,),
    "7": (10,),
    "20": (10,),
    "27": (9,),
    "30": (10,),
    "31": (9,),
    "32": (8, 9),
    "33": (9,),
    "34": (9,),
    "36": (8, 9),
    "39": (9, 10),
    "40": (9,),
    "41": (9,),
    "43": (10, 11),
    "44": (10,),
    "45": (8,),
    "46": (9,),
    "47": (8,),
    "48": (9,),
    "49": (10, 11),
    "51": (9,),
    "52": (10,),
    "54": (10, 11),
    "55": (10, 11),
    "56": (9,),
    "57": (10,),
    "58": (10,),
    "60": (8, 9, 10),
    "61": (9,),
    "62": (9, 10, 11, 12),
    "63": (10,),
    "64": (8, 9, 10),
    "65": (8,),
    "66": (9,),
    "81": (9, 10),
    "82": (10,),
    "86": (11,),
    "90": (10,),
    "91": (10,),
    "351": (9,),
    "353": (7, 9),
    "380": (9,),
    "385": (9,),
    "420": (9,),
    "421": (9,),
    "502": (8,),
    "590": (9,),
    "593": (9,),
    "675": (8,),
    "679": (7,),
    "852": (8,),
    "971": (9,),
}
"""Country codes with the lengths of the numbers behind them (itu.int/oth/T0202, E.164)."""


def _phone(chance: random.Random) -> str:
    code = chance.choice(list(_PHONES))
    number = str(chance.randint(1, 9)) + "".join(chance.choices(string.digits, k=chance.choice(_PHONES[code]) - 1))
    return chance.choice(
        [
            f"+{code}{number}",
            f"{code}{number}",
            f"00{code}{number}",
            f"0{number}",
            f"+{code} {number[:3]} {number[3:]}",
            f"+{code} ({number[:3]}) {grouped(number[3:], '-', 4)}",
            f"+{code}-{grouped(number, '-', 3)}",
            f"+{code} {number[0]} {grouped(number[1:], ' ', 2)}",
            f"tel. +{code} {number[:3]} {number[3:]}, fax +{code} {number[:3]} {number[3:-1]}0",
        ]
    )


def _stripe_id(chance: random.Random) -> str:
    prefix = chance.choice(["cus", "sub", "price", "prod", "in", "pi", "pm", "ch", "re", "dp", "evt", "si", "cs_test"])
    return f"{prefix}_{''.join(chance.choices(_BASE62, k=chance.choice([14, 24, 24, 24, 58])))}"


def _own_id(chance: random.Random) -> str:
    prefix = chance.choice(["lpc", "lps", "lpo", "lpk", "rec"])
    return f"{prefix}_{(chance.randint(1_790_000_000_000, 1_990_000_000_000) << 80) | chance.getrandbits(80):032x}"


def _moment(chance: random.Random) -> datetime:
    return datetime.fromtimestamp(chance.uniform(1e9, 1.9e9), tz=UTC)


LOOK_ALIKES: Final[dict[str, Maker]] = {
    "Stripe's id": _stripe_id,
    "id of ours": _own_id,
    "id made now": lambda _: new_id("lps"),
    "UUID": lambda chance: str(uuid.UUID(int=chance.getrandbits(128), version=4)),
    "UUID without dashes": lambda chance: uuid.UUID(int=chance.getrandbits(128), version=4).hex,
    "digest": lambda chance: hashlib.sha256(chance.randbytes(8)).hexdigest(),
    "commit": lambda chance: hashlib.sha1(chance.randbytes(8)).hexdigest(),
    "trace": lambda chance: f"00-{chance.getrandbits(128):032x}-{chance.getrandbits(64) | 0xA << 60:016x}-01",
    "seconds": lambda chance: str(chance.randint(10**9, 19 * 10**8)),
    "milliseconds": lambda chance: str(chance.randint(10**12, 19 * 10**11)),
    "microseconds": lambda chance: str(chance.randint(10**15, 19 * 10**14)),
    "nanoseconds": lambda chance: str(chance.randint(10**18, 19 * 10**17)),
    "two times": lambda chance: f"{chance.randint(10**9, 19 * 10**8)} {chance.randint(10**9, 19 * 10**8)}",
    "phone number": _phone,
    "moment": lambda chance: _moment(chance).isoformat(chance.choice("T "), chance.choice(["seconds", "microseconds"])),
    "days": lambda chance: chance.choice([" ", ", ", "/"]).join(_moment(chance).date().isoformat() for _ in range(4)),
    "days as people write them": lambda chance: " ".join(f"{_moment(chance):%d.%m.%Y}" for _ in range(4)),
    "addresses": lambda chance: " ".join(
        ".".join(str(chance.randint(0, 255)) for _ in range(4)) for _ in range(chance.randint(1, 3))
    ),
    "API key": lambda chance: f"lp_live_{''.join(chance.choices(_BASE62, k=48))}",
    "amount": lambda chance: f"{chance.randint(1, 10**11) / 100:,.2f}",
}
"""Nothing of this is a card's number."""
