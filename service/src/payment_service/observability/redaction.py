"""What never leaves a process: secrets, card numbers and addresses of people. The one place that knows them.

The service, the operator and `kubectl payments` use the same files. The first two may not import each other and are
wheels and images of their own, and the plugin is a single file without libraries: a third package would have to be
published, copied into both images and packed for nothing but this. So `make shared` copies the files, and what they
need, into `payment_operator`, and a test holds them equal. Hence also: only the standard library, imports by siblings.

What begins a secret may stay (`sk_live_`, `whsec_`, the user of an address), of the rest not one character. Ids of
Stripe's and ours, request ids, times, host names and the addresses of pods stay: people need them. Addresses of callers
go where their field says that they are (`x-forwarded-for`, `client_ip`).

Every rule says which characters of the text as it came it would take, in what percent-encoded words say too, and all of
them go: no rule can break up what another one has to see whole. Only the passwords of addresses are covered before the
others look: anything may stand in one, and what follows its `@` is a host and no person's mail.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from heapq import merge
from io import StringIO
from typing import Any, Final, NamedTuple
from urllib.parse import quote, unquote, urlsplit

from .card_numbers import card_numbers
from .mail_in_text import AT_SIGNS, SLASHES, mail_in_text
from .secret_patterns import (
    CREDENTIALS,
    PAIR,
    PAIR_FORMS,
    PAIR_MARKS,
    PAIR_WORDS,
    PARAMETER,
    SECRET_NAME,
    TOKENS,
)

MARK: Final = "***"
SHORTEST_SECRET: Final = 6
"""A given value that is shorter would be found in ordinary words."""
SHORTEST_OWN_SECRET: Final = 12
"""Shorter than what a machine makes, and longer than the words that development uses (`payments`)."""
OWN_SECRETS: Final = 64
DECODED: Final = 3
"""How often text may be percent-encoded: an address in an address in an address."""

_ADDRESS: Final = re.compile(rf"""{SLASHES}(?P<rest>[^\s"<>`]*)""")
_NEXT_ADDRESS: Final = re.compile(rf"[,;|](?=[A-Za-z][A-Za-z0-9+.-]{{0,20}}{SLASHES})")
_HOST: Final = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?(?:[/?#\\]|\Z)")
_WEB: Final = ("http", "https", "ws", "wss", "oci", "docker", "s3", "file")
_ENCODED: Final = re.compile(r"""[^\s"'<>&=?]+""")
_OCTETS: Final = re.compile(r"(?:%[0-9A-Fa-f]{2})++")
_OPENING: Final = re.compile(r"""[bfruBFRU]*+(\\*+["'])""")
_PIECE: Final = 65_536
_LONGEST_WORD: Final = 16
_own: dict[str, None] = {}  # what this process must not say is one fact for all of it; the newest are last


class Taken(NamedTuple):
    """Characters of a text that go, and what comes in their place."""

    start: int
    end: int
    mark: str = MARK


def hide(secret: str) -> None:
    """Remove a secret of this process from every text from now on; of an address only its password is one."""
    for value in _passwords(secret) if "://" in secret else {secret, *re.split(r"[\s,]+", secret)}:
        if len(value) >= SHORTEST_OWN_SECRET and len(_without(value, (), decode=0)) > len(f"sk_live_{MARK}"):
            _own[value] = _own.pop(value, None)
    for value in [*_own][:-OWN_SECRETS]:
        del _own[value]


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Remove what must not be read from `text`, and the secrets that `hide` was told.

    Args:
        text: of any origin and length.
        secrets: values that are known here: they go wherever they stand, as do the passwords of addresses among them.
    """
    return _without(text, {*_parts(secrets), *_own}, decode=DECODED)


def _without(text: str, known: Collection[str], *, decode: int) -> str:
    return _marked(text, _merged(_taken(text, known, decode=decode)))


def _marked(text: str, taken: Iterable[Taken]) -> str:
    """Return the text with a mark in the place of what was taken."""
    kept, at = StringIO(), 0
    for start, end, mark in taken:
        kept.write(text[at:start])
        kept.write(mark)
        at = end
    if not at:
        return text
    kept.write(text[at:])
    return kept.getvalue()


def _merged(rules: list[Iterator[Taken]]) -> Iterator[Taken]:
    """Join what overlaps: the one that holds the others says what comes in their place.

    What a rule takes is as many as the text has characters, so each is asked for one at a time, from left to right.
    """
    joined: Taken | None = None
    for one in rules[0] if len(rules) == 1 else merge(*rules, key=lambda one: (one.start, -one.end)):
        if joined is None or one.start >= joined.end:
            if joined:
                yield joined
            joined = one
        elif one.end > joined.end:
            joined = Taken(joined.start, one.end)
    if joined:
        yield joined


def _taken(text: str, known: Collection[str], *, decode: int) -> list[Iterator[Taken]]:
    """Return what each rule that has something to say of the text would take of it, from left to right."""
    rules = [_spans(re.compile(re.escape(value)), text) for value in known if value in text]
    if "@" in text and "/" in text and next(_in_addresses(text), None):
        rules += [_in_addresses(text), _spans(PARAMETER, text)]  # whose `@` was its own
        text = _marked(text, (one._replace(mark="*" * (one.end - one.start)) for one in _in_addresses(text)))
    if any(mark in text for mark in PAIR_MARKS) and _says(text, PAIR_WORDS):
        rules.append(map(_pair, PAIR.finditer(text)))
    if _says(text, ("bearer", "basic")):
        rules.append(_spans(CREDENTIALS, text))
    rules += [_spans(pattern, text) for needed, pattern in TOKENS if needed in text]
    if any(at in text for at in AT_SIGNS):
        rules.append(Taken(*span) for span in mail_in_text(text))
    rules.append(Taken(*span) for span in card_numbers(text))
    if decode and "%" in text:
        rules.append(_encoded(text, known, decode=decode - 1))
    return rules


def _spans(pattern: re.Pattern[str], text: str) -> Iterator[Taken]:
    """Yield what a pattern finds, without its first group."""
    kept = min(pattern.groups, 1)
    return (Taken(found.end(kept) if kept else found.start(), found.end()) for found in pattern.finditer(text))


def _says(text: str, words: tuple[str, ...]) -> bool:
    """Tell whether one of these words stands in the text, in letters of any case."""
    for at in range(0, len(text), _PIECE):  # to lower a text that is not ASCII costs twelve bytes a character
        piece = text[at : at + _PIECE + _LONGEST_WORD].lower()
        if any(word in piece for word in words):
            return True
    return False


def _encoded(text: str, known: Collection[str], *, decode: int) -> Iterator[Taken]:
    """Look at what percent-encoded words say (RFC 3986, section 2.1), as parameters of a query do."""
    for word in _ENCODED.finditer(text):
        if "%" in word[0] and _OCTETS.search(word[0]):
            plain, place = _decoded(word[0])
            for start, end, mark in _merged(_taken(plain, known, decode=decode)):
                yield Taken(word.start() + place(start), word.start() + place(end), quote(mark, safe="*"))


def _decoded(word: str) -> tuple[str, Callable[[int], int]]:
    """Return what a word says, and what tells where each of its characters begins in it and the last one ends."""
    plain, decoded, encoded = StringIO(), array("I"), array("I")
    length = at = 0
    for found in _OCTETS.finditer(word):
        length += plain.write(word[at : found.start()])
        at = found.start()
        for char in bytes.fromhex(found[0].replace("%", "")).decode(errors="surrogateescape"):
            decoded.append(length)
            encoded.append(at)
            length += plain.write(char)
            at += len("%00") * len(char.encode(errors="surrogateescape"))
        decoded.append(length)
        encoded.append(at)
    plain.write(word[at:])

    def place(index: int) -> int:
        before = bisect_right(decoded, index) - 1
        return index if before < 0 else encoded[before] + index - decoded[before]

    return plain.getvalue(), place


def redact_value(value: Any, *, name: str = "", secrets: Iterable[str] = ()) -> Any:
    """Remove it from a value of JSON's kinds, or from the text of any other, by the name of its field too.

    Pairs of a name and a value (`{"name": "DATABASE_PASSWORD", "value": "…"}`, as Kubernetes has them) count as fields.
    """
    if isinstance(value, Mapping):
        named = value.get("name") if "value" in value else None
        return {
            (redact(key, secrets) if isinstance(key, str) else key): redact_value(
                inner, name=named if key == "value" and isinstance(named, str) else str(key), secrets=secrets
            )
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [redact_value(item, name=name, secrets=secrets) for item in value]
    if value is None or isinstance(value, bool):
        return value
    if name and is_secret_name(name):
        return MARK if value not in ("", b"") else value
    if isinstance(value, int | float):
        return _number(value)
    return redact(value if isinstance(value, str) else str(value), secrets)


def is_secret_name(name: str) -> bool:
    """Tell whether a field, variable or header of this name holds something that must not be read."""
    return SECRET_NAME.search(name) is not None


def _number(value: float) -> float | str:
    """Remove a card number; a number with a fraction was measured, however many digits it has."""
    if value % 1:
        return value
    text = str(int(value))
    return value if redact(text) == text else MARK


def _parts(secrets: Iterable[str]) -> set[str]:
    found: set[str] = set()
    for value in secrets:
        found |= {value, *value.split(",")}
        if "://" in value:
            found |= _passwords(value)
    return {part for part in found if len(part) >= SHORTEST_SECRET}


def _passwords(url: str) -> set[str]:
    try:
        password = urlsplit(url).password
    except ValueError:
        return set()
    return {password, unquote(password)} if password else set()


def _in_addresses(text: str) -> Iterator[Taken]:
    for found in _ADDRESS.finditer(text):
        if "@" not in found["rest"]:
            continue
        at, scheme = found.start("rest"), text[max(0, found.start() - 21) : found.start()]
        for piece in _addresses(found["rest"]):
            rest = piece
            if at > found.start("rest"):
                scheme, rest = re.split(SLASHES, piece, maxsplit=1)
            if password := _password(rest, scheme=scheme):
                begin = at + len(piece) - len(rest)
                yield Taken(begin + password.start, begin + password.stop)
            at += len(piece) + 1


def _addresses(rest: str) -> Iterator[str]:
    """Yield the addresses of a list, one for one."""
    at = 0
    for found in _NEXT_ADDRESS.finditer(rest):
        yield rest[at : found.start()]
        at = found.end()
    yield rest[at:]


def _password(rest: str, *, scheme: str) -> slice | None:
    """Say where the password before the last `@` is: one with `/`, `?` or `@` in it, as people write them, is one too.

    For the web's schemes what reads as a host and a port is none: paths may hold an `@` there.
    """
    user, at, _ = rest.rpartition("@")
    web = scheme.lower().endswith(_WEB)
    if not at or (web and _HOST.match(rest)):
        return None
    name, colon, password = user.partition(":")
    if colon and (password or not web):
        return slice(len(name) + 1, len(user))
    return slice(0, len(user)) if web else None


def _pair(found: re.Match[str]) -> Taken:
    start = next(found.end(form) for form in PAIR_FORMS if found[form])
    opening = _OPENING.match(found.string, start, found.end())
    quote = opening[1] if opening else ""
    if found["member"] and not quote:  # a number or a list: the member stays JSON
        quote = found["member"].rstrip(" :=,\t\n")[-1]
        mark = f"[{quote}{MARK}{quote}]" if found.string[start] == "[" else f"{quote}{MARK}{quote}"
        return Taken(start, found.end(), mark)
    return Taken(start, found.end(), f"{quote}{MARK}{quote}")
