"""Refusals of the feed's own."""

from __future__ import annotations

from payment_service.errors import PaymentsError


class CursorExpired(PaymentsError):
    """Events behind this place are kept no more, so going on would pass some by."""

    status, code, title = 410, "cursor_expired", "Events behind this place are no longer kept"


class CursorUnknown(PaymentsError):
    """This place is not of this feed: the database was restored to an earlier time since."""

    status, code, title = 410, "cursor_unknown", "There is no such event in the feed"
