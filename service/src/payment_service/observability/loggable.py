"""Texts of others that a log line may hold: those of the form of their kind; of any other only that there was one.

A pattern that finds what must not be logged is never complete: an address of a person, of a network or a key may stand
anywhere. So the names that callers and events bring are logged only when they look as such names do, and `redact` sees
them after that.
"""

from __future__ import annotations

import re
from typing import Final

from payment_service.observability.card_numbers import holds_card_number
from payment_service.observability.redaction import MARK, redact

_SEGMENT: Final = r"[a-z][a-z0-9_]{0,63}"
_EVENT_TYPE: Final = re.compile(
    rf"(?=.{{1,255}}\Z){_SEGMENT}(?:\[{_SEGMENT}(?:\.{_SEGMENT})*\])?(?:\.{_SEGMENT}(?:\[{_SEGMENT}(?:\.{_SEGMENT})*\])?)*"
)
"""docs.stripe.com/api/events/types; those of the v2 API hold brackets."""
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,255}")
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")
_IP_ADDRESS: Final = re.compile(r"(?<![0-9])[0-9]{1,3}(?:[._-][0-9]{1,3}){3}(?![0-9])")


def event_type(text: str) -> str:
    """Return an event's type, or that it has none of Stripe's form."""
    return text if _EVENT_TYPE.fullmatch(text) else MARK


def object_id(text: str) -> str:
    """Return the id of an event or object, or that it has another form than ids that Stripe makes."""
    return text if _ID.fullmatch(text) else MARK


def is_request_id(text: str) -> bool:
    """Tell whether a caller's id of a request may be repeated: it has the form, and is no secret and no address."""
    if not _REQUEST_ID.fullmatch(text):
        return False
    return not (_IP_ADDRESS.search(text) or holds_card_number(text) or redact(text) != text)
