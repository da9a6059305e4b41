"""One strict reading of JSON that comes from others: what it takes at the door can be read again at any time later.

A decoder that skips the members it does not need takes bodies that a full one refuses: bytes that are no UTF-8,
`1e400`, an integer of 5 000 digits. So a body is always read whole, here, by every part that reads it. It follows RFC
8259 (no NaN) and I-JSON (RFC 7493: no unpaired surrogate, numbers that others can hold), with limits that do not depend
on how deep the stack is when it is called.

A member that stands twice in an object is refused where a caller sends the body (`unique_members`), who may have meant
either. Events signed by Stripe are not refused for it: every decoder here takes the last one, and a refusal loses them.

The text is decoded once, in C; the tree is walked only when a cheap upper bound does not settle a question. What may
hold too much is counted in the text before: an object with one member has seven bytes there, and 232 in memory.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Final, Literal, TypeVar, cast

import msgspec

Reason = Literal["encoding", "syntax", "surrogate", "number", "depth", "members", "duplicate"]
_DECODER: Final = msgspec.json.Decoder()
_NOT_STORABLE: Final = re.compile("[\x00\ud800-\udfff]")
_REPLACEMENT: Final = "\ufffd"
_HIGH_SURROGATE: Final = re.compile(rb"\\u[dD][89abAB]")
_DIGITS: Final = bytes(ord("0") if ord("0") <= byte <= ord("9") else ord(" ") for byte in range(256))
_LONG_NUMBER: Final = b"0" * 19
"""2**63 has 19 digits: a text without so many in a row holds no integer beyond 64 bits."""
_TOKEN: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[{\]},]', re.DOTALL)
_OPENED: Final = frozenset((b"[", b"{"))
_CLOSED: Final = frozenset((b"]", b"}"))
_INTEGERS: Final = range(-(2**63), 2**63)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a body may hold."""

    depth: int = 128
    """Arrays and objects within each other: far beyond any object of Stripe's, far below what a stack takes."""
    members: int = 50_000
    """Members of objects and elements of arrays together: each costs up to 100 bytes of memory."""
    unique_members: bool = False
    """Whether a member that stands twice in an object is refused."""
    small_integers: bool = False
    """Whether integers must fit into 64 bits; else they are exact up to 4 300 digits."""


T = TypeVar("T")
EVENTS: Final = Limits()
"""Of Stripe's events."""


class NotStrictJson(ValueError):
    """The body is not JSON, or exceeds a limit; the text says why and holds nothing of the body.

    `reason` is for programs. `member` is the name that stands twice, as the body has it.
    """

    def __init__(self, reason: Reason, message: str, *, member: str | None = None) -> None:
        super().__init__(message)
        self.reason: Reason = reason
        self.member = member


def decode(body: bytes, *, limits: Limits = EVENTS) -> object:
    """Read a body whole.

    Integers are exact; other numbers are floats within IEEE 754 binary64.

    Raises:
        NotStrictJson: not UTF-8, not JSON, too deep, too large, a number out of range, or a member that stands twice.
    """
    if body.count(b",") + body.count(b"{") + body.count(b"[") > limits.members:
        _check_size(body, limits)
    try:
        content = _DECODER.decode(body)
    except UnicodeDecodeError as error:
        raise NotStrictJson("encoding", "a text is not UTF-8") from error
    except RecursionError as error:
        raise _too_deep(limits) from error
    except msgspec.ValidationError as error:
        raise NotStrictJson("number", "a number is out of range") from error
    except msgspec.DecodeError as error:
        raise _malformed(body, error) from error
    _check_tree(body, content, limits)
    return content


def _malformed(body: bytes, error: msgspec.DecodeError) -> NotStrictJson:
    """Say what msgspec says, which names a place and nothing of the content."""
    text = str(error).removeprefix("JSON is malformed: ")
    if "surrogate" in text or ("truncated" in text and _HIGH_SURROGATE.search(body)):
        return NotStrictJson("surrogate", "it is not JSON: a text holds half of a surrogate pair")
    return NotStrictJson("syntax", f"it is not JSON: {text[:1].lower()}{text[1:]}")


def _too_deep(limits: Limits) -> NotStrictJson:
    return NotStrictJson("depth", f"it is nested deeper than {limits.depth}")


def _check_size(body: bytes, limits: Limits) -> None:
    """Count what stands outside of texts; of texts there are at most two for each value of a body that is JSON."""
    depth = opened = commas = 0
    for count, found in enumerate(_TOKEN.finditer(body)):
        token = found[0]
        if token in _OPENED:
            opened, depth = opened + 1, depth + 1
        elif token in _CLOSED:
            depth -= 1
        commas += token == b","
        if depth > limits.depth:
            raise _too_deep(limits)
        if max(commas, opened - 1) > limits.members or count > 8 * limits.members:
            raise _too_many(limits)


def _too_many(limits: Limits) -> NotStrictJson:
    return NotStrictJson("members", f"it has more than {limits.members} members")


def _check_tree(body: bytes, content: object, limits: Limits) -> None:
    long_number = limits.small_integers and _LONG_NUMBER in body.translate(_DIGITS)
    small = body.count(b"{") + body.count(b"[") <= limits.depth and body.count(b",") < limits.members
    if small and not long_number and not limits.unique_members:
        return
    members = _walk(content, limits, long_number=long_number)
    if limits.unique_members and body.count(b":") != members:  # a colon within a text, or a member that was lost
        _check_unique(body, limits)


def _check_unique(body: bytes, limits: Limits) -> None:
    """Read the body once more with every member; what is lost was not walked, and may be as deep as a stack takes."""
    try:
        json.loads(body, object_pairs_hook=_unique)
    except RecursionError as error:
        raise _too_deep(limits) from error


def _walk(content: object, limits: Limits, *, long_number: bool) -> int:
    """Check depth, size and integers, level by level, and return the number of objects' members."""
    level, depth, values, members = [content], 0, 0, 0
    while level:
        if long_number and any(type(value) is int and value not in _INTEGERS for value in level):
            raise NotStrictJson("number", "a number is out of range")
        holders = [value for value in level if type(value) is dict or type(value) is list]
        depth += bool(holders)
        if depth > limits.depth:
            raise _too_deep(limits)
        members += sum(len(value) for value in holders if type(value) is dict)
        level = [below for value in holders for below in (value.values() if type(value) is dict else value)]
        values += len(level)
        if values > limits.members:
            raise _too_many(limits)
    return members


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    seen: dict[str, object] = {}
    for name, value in pairs:
        if name in seen:
            raise NotStrictJson("duplicate", "a member stands twice in an object", member=name)
        seen[name] = value
    return seen


def storable(content: T) -> T:
    """Return content of Stripe's as a database takes it: what no text column or JSON column holds is replaced.

    U+0000 and unpaired surrogates become U+FFFD, the replacement character (Unicode 16.0, section 5.22), and numbers
    that are not finite null: one odd letter in a name must not keep a payment's state from being known. PostgreSQL
    stores neither (postgresql.org/docs/current/datatype-json.html); the SDK's decoder lets all three through.

    Raises:
        NotStrictJson: it is too deep to be walked. What is merely deeper than an event may be is left to its reader.
    """
    try:
        return cast("T", _replaced(content))
    except RecursionError as error:
        raise _too_deep(EVENTS) from error


def _replaced(content: object) -> object:
    if isinstance(content, str):
        return _NOT_STORABLE.sub(_REPLACEMENT, content)
    if isinstance(content, dict):
        return {_replaced(name): _replaced(value) for name, value in content.items()}
    if isinstance(content, list):
        return [_replaced(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content
