"""What the log line of a refused request says: the code, why in a word, and whose API key it was.

It is read from the problem document itself, so no route has to tell it. Of the document nothing is taken that a caller
or Stripe wrote: no detail, and names of fields only where the route that matched declares them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec
from litestar.handlers import BaseRouteHandler

from payment_service.http.parameters import declared_words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from payment_service.http.scope import RequestScope

REFUSED: Final = 400
_WORD: Final = re.compile(r"[A-Za-z][A-Za-z_-]{0,39}")
_FIELDS: Final = 5


class _FieldError(msgspec.Struct):
    field: object = None


class _Problem(msgspec.Struct):
    """What is read of a problem document."""

    code: object = None
    reason: object = None
    decline_code: object = None
    errors: list[_FieldError] | None = None


def note_refusal(scope: RequestScope, body: bytes) -> None:
    """Note the code and the reason of a problem document, in whose one message it is sent."""
    try:
        document = msgspec.json.decode(body, type=_Problem)
    except msgspec.DecodeError:
        return
    scope["code"] = _word(document.code)
    handler: object = scope.get("route_handler")
    known = declared_words(handler) if isinstance(handler, BaseRouteHandler) else frozenset[str]()
    scope["reason"] = scope.get("reason") or ",".join(_reasons(document, known)) or None


def _reasons(document: _Problem, known: frozenset[str]) -> Iterator[str]:
    yield from filter(None, (_word(document.reason), _word(document.decline_code)))
    for error in (document.errors or ())[:_FIELDS]:
        yield from known.intersection([error.field])


def _word(text: object) -> str | None:
    return text if isinstance(text, str) and _WORD.fullmatch(text) else None


def log_members(scope: RequestScope) -> dict[str, str]:
    """Return what was noted, as members of the log line."""
    found = {"code": scope.get("code"), "reason": scope.get("reason"), "caller": scope.get("key_id")}
    return {name: text for name, text in found.items() if text}
