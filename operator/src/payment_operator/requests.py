"""Requests from people: annotations on a PaymentEnvironment, each for one revision, consumed once.

Either ``payments.leanconstruction.io/request`` with JSON, or a plain annotation that a person can type, such as
``payments.leanconstruction.io/promote=18``. The operator moves a request into its own annotation in one patch that
fails if the request has changed, acts on it, and answers in ``status.lastOperation`` under the request's id.
"""

from typing import Annotated, Any, Final, Literal, get_args

import msgspec
from msgspec import Meta

from payment_operator import names

Verb = Literal["promote", "abort", "retry", "rollback", "rotate"]
Credential = Literal["webhook", "api-key", "database", "secret-key"]
CREDENTIALS: Final[tuple[Credential, ...]] = get_args(Credential)
VERBS: Final[tuple[Verb, ...]] = get_args(Verb)
LONGEST_NUMBER: Final = 9
"""Digits of a revision."""


class Request(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a person asks for."""

    id: Annotated[str, Meta(min_length=1, max_length=64)]
    """Chosen by who asks; a request with the id of an earlier one is refused."""
    verb: Verb
    revision: Annotated[int, Meta(ge=0, lt=10**LONGEST_NUMBER)] | None = None
    """The revision that is meant. None: the only one that the verb can mean."""
    reason: str = ""
    what: Credential | None = None
    """The secret that `rotate` means."""
    compromised: bool = False
    """Whether that secret has leaked: holds and overlaps are skipped."""


class Operation(Request, frozen=True, kw_only=True, omit_defaults=True):
    """A request that the operator has taken."""

    refused: str = ""
    """Why it cannot even be understood."""


class RequestRefused(Exception):
    """The annotation cannot be understood; the message tells the fix."""


def annotation(verb: Verb) -> str:
    """The key of a verb's plain annotation."""
    return f"{names.GROUP}/{verb}"


def wire_form(request: Request) -> dict[str, str]:
    """The annotation that carries this request."""
    return {names.ANNOTATION_REQUEST: msgspec.json.encode(request).decode()}


def find(metadata: dict[str, Any]) -> tuple[str, str] | None:
    """The first request annotation of an object's metadata, as key and value."""
    annotations = metadata.get("annotations") or {}
    keys = (names.ANNOTATION_REQUEST, *(annotation(verb) for verb in VERBS))
    return next(((key, annotations[key]) for key in keys if key in annotations), None)


def parse(key: str, value: str, *, resource_version: str) -> Request:
    """Read one annotation. A plain one gets an id made of the version of the object that carried it.

    Raises:
        RequestRefused: it cannot be understood.
    """
    if key == names.ANNOTATION_REQUEST:
        return decode(value)
    (verb,) = (verb for verb in VERBS if annotation(verb) == key)
    number = value.strip()
    if verb == "rotate":
        if number not in CREDENTIALS:
            raise RequestRefused(f"{key}: {value[:40]!r} is none of {', '.join(CREDENTIALS)}; write {key}=webhook")
        return Request(id=f"{verb}-{resource_version}", verb=verb, what=number)
    if number and not (number.isascii() and number.isdecimal() and len(number) <= LONGEST_NUMBER):
        raise RequestRefused(f"{key}: {value[:40]!r} is no revision number; write {key}=18, or leave the value empty")
    return Request(id=f"{verb}-{resource_version}", verb=verb, revision=int(number) if number else None)


def decode(value: str) -> Request:
    """Read a request's JSON.

    Raises:
        RequestRefused: it cannot be understood.
    """
    try:
        return msgspec.json.decode(value, type=Request)
    except msgspec.DecodeError as error:
        example = '{"id": "any", "verb": "promote", "revision": 18}'
        raise RequestRefused(f"{names.ANNOTATION_REQUEST}: {error}; write {example}") from error
