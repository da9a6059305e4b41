"""The one check of what Stripe shows, in an event, in a list or in an answer, before a row is made of it.

Each kind of object that has rows has a shape: the members that are read, in all API versions that are, with the types
that Stripe's reference gives them (the modules of `mirror/`). A member that is missing counts as null. What does not
fit now never will, so whoever meets it gives it up at once, and says which member it is.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Final, TypeGuard, TypeVar

import msgspec
from msgspec import Meta, Struct

from payment_service.errors import StripeUnavailable

if TYPE_CHECKING:
    from payment_service.json_types import JsonObject

ShapeT = TypeVar("ShapeT", bound=Struct)
Integer = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
"""As a column of 64 bits holds it."""
Small = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
Seconds = Annotated[int, Meta(ge=-62_135_596_800, le=253_402_300_799)]
"""Since the Unix epoch, within the years 1 to 9999."""
Name = Annotated[str, Meta(max_length=512)]
"""A text by which rows are found: PostgreSQL's indexes hold 2 704 bytes (postgresql.org/docs/current/btree.html)."""
Metadata = dict[str, str]


class Expanded(Struct):
    """An object where its id could stand (docs.stripe.com/api/expanding_objects)."""

    id: Name


Id = Name | Expanded


class Object(Struct):
    """What every object has."""

    id: str


class Page(Struct):
    """A page of a list (docs.stripe.com/api/pagination); whatever stands in it is checked where it is used."""

    data: list[object]
    has_more: bool

    @property
    def objects(self) -> list[JsonObject]:
        """What has an id: of anything else nothing can be made."""
        return [found for found in self.data if has_id(found)]

    @property
    def last_id(self) -> str:
        """Where the next page begins: after the last object that has an id.

        Raises:
            StripeUnavailable: none has one.
        """
        ids = [id_in(obj) for obj in self.objects]
        if not ids:
            raise StripeUnavailable("Stripe's list names no object")
        return ids[-1]


_AT: Final = re.compile(r"(?P<said>.*?)(?: - at (?:`key` in )?`\$\.?(?P<member>.*)`)?")
_MISSING: Final = re.compile(r"Object missing required field `(\w+)`")
_WRONG: Final = re.compile(r"Expected `(.*)`, got `(\w+)`")
_WORDS: Final = {
    "int": "an integer",
    "float": "a number with a fraction",
    "str": "a string",
    "bool": "a boolean",
    "object": "an object",
    "array": "an array",
    "null": "null",
}


class StripeUnreadable(StripeUnavailable):
    """Stripe shows an object that is not as its reference says; no later attempt reads it.

    `problem` names the member and what is wrong about it, and holds nothing of the object.
    """

    title = "Stripe answered what cannot be read"

    def __init__(self, problem: str) -> None:
        super().__init__(f"Stripe's object cannot be read: {problem}")
        self.problem = problem


def read(obj: JsonObject, shape: type[ShapeT]) -> ShapeT:
    """Read the members of an object that the shape names; none is used before all of them are checked.

    Raises:
        StripeUnreadable: a member is missing, of another type than in `shape`, or larger than a row holds.
    """
    try:
        return msgspec.convert(obj, shape)
    except msgspec.ValidationError as error:
        noun = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", shape.__name__).lower()
        raise StripeUnreadable(f"the {noun}'s {_in_words(str(error))}") from error


def has_id(obj: object) -> TypeGuard[JsonObject]:
    """Tell whether this is an object with an id."""
    return isinstance(obj, dict) and isinstance(obj.get("id"), str)


def id_in(obj: JsonObject) -> str:
    """Return an object's id.

    Raises:
        StripeUnreadable: it has none.
    """
    return read(obj, Object).id


def created_in(obj: JsonObject) -> int:
    """Return when an object was made, in Stripe's seconds; 0 where it does not say."""
    seconds = obj.get("created")
    return seconds if isinstance(seconds, int) else 0


def member(obj: JsonObject, name: str) -> JsonObject:
    """Return a member that is an object; an empty one where it is none."""
    found = obj.get(name)
    return found if isinstance(found, dict) else {}


def id_of(value: str | Expanded | None) -> str | None:
    """Return the id of a member that holds an id or, expanded, the object."""
    return value.id if isinstance(value, Expanded) else value


def _in_words(said: str) -> str:
    """Say what msgspec found in the words of Stripe's reference; it quotes no value, and no name in a dictionary."""
    found = _AT.fullmatch(said)
    text, member = (found["said"], found["member"] or "") if found else (said, "")
    if missing := _MISSING.fullmatch(text):
        return f"{'.'.join(filter(None, (member, missing[1])))} is missing"
    if wrong := _WRONG.fullmatch(text):
        wanted = [_WORDS.get(word, word) for word in wrong[1].split(" | ") if word != "null"]
        return f"{member} is {_WORDS.get(wrong[2], wrong[2])}, not {' or '.join(wanted)}"
    return f"{member} is {'too long' if 'length' in text else 'out of range'}"
