"""What the log line of a refused request says: the code, why in a word, and whose API key it was.

It is read from the problem document itself, so no route has to tell it. Of the document nothing is taken that a caller
or Stripe wrote: no detail, and names of fields only where the route that matched declares them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from payment_service.http.parameters import declared_words

if TYPE_CHECKING:
    from collections.abc import Iterator

REFUSED: Final = 400
_WORD: Final = re.compile(r"[A-Za-z][A-Za-z_-]{0,39}")
_FIELDS: Final = 5


def note_refusal(scope: Any, message: Any) -> None:
    """Note the code and the reason of a problem document, in whose one message it is sent."""
    try:
        document = msgspec.json.decode(message.get("body", b""))
    except msgspec.DecodeError:
        return
    if isinstance(document, dict):
        scope["code"] = _word(document.get("code"))
        handler = scope.get("route_handler")
        known = declared_words(handler) if handler is not None else frozenset[str]()
        scope["reason"] = scope.get("reason") or ",".join(_reasons(document, known)) or None


def _reasons(document: dict[str, Any], known: frozenset[str]) -> Iterator[str]:
    for name in ("reason", "decline_code"):
        if word := _word(document.get(name)):
            yield word
    for error in (document.get("errors") or ())[:_FIELDS]:
        if error.get("field") in known:
            yield error["field"]


def _word(text: object) -> str | None:
    return text if isinstance(text, str) and _WORD.fullmatch(text) else None


def told(scope: Any) -> dict[str, str]:
    """Return what was noted, as members of the log line."""
    found = {"code": scope.get("code"), "reason": scope.get("reason"), "caller": scope.get("key_id")}
    return {name: text for name, text in found.items() if text}
