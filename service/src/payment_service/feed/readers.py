"""Answers readers of the feed at once, after a wait, or for as long as they listen.

A key may end meanwhile: after each wait, and before each page of a stream, the caller is identified again.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import msgspec

from payment_service.errors import Forbidden, Unauthorized
from payment_service.feed.errors import CursorExpired, CursorUnknown
from payment_service.storage.database import is_busy, is_unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from payment_service.feed.arrivals import Arrivals
    from payment_service.feed.filters import Filters
    from payment_service.feed.schemas import FeedPage
    from payment_service.feed.service import Feed
    from payment_service.http.scope import RequestScope

HEARTBEAT_SECONDS: Final = 15.0
"""Between two signs of life on a stream: proxies close a connection that is silent for long."""
STREAM_LIMIT: Final = 100


class FeedReaders:
    """The feed for those who wait."""

    def __init__(self, feed: Feed, arrivals: Arrivals) -> None:
        self.feed = feed
        self._arrivals = arrivals

    async def page(
        self, *, after: str | None, filters: Filters, limit: int, wait: float, scope: RequestScope
    ) -> FeedPage:
        """Return a part of the feed; an empty one only when nothing came for `wait` seconds.

        Raises:
            CursorExpired: see `Feed.page`.
            CursorUnknown: see `Feed.page`.
            Unprocessable: see `Feed.page`.
            Unauthorized: the caller's key ended while it waited.
        """
        deadline = time.monotonic() + wait
        while True:
            found = await self.feed.page(after=after, filters=filters, limit=limit)
            left = deadline - time.monotonic()
            if found.page.data or found.page.has_more or left <= 0 or self._arrivals.closing:
                return found.page
            after = found.page.next
            with _waiting(scope):
                arrived = await self._arrivals.beyond(found.until, seconds=left)
            if not arrived:
                return found.page
            await _identify(scope)

    async def stream(self, first: FeedPage, *, filters: Filters, scope: RequestScope) -> AsyncIterator[bytes]:
        """Yield events as they come, in the form of Server-Sent Events (html.spec.whatwg.org, section 9.2).

        It ends when this process drains, when the caller's key ends, when the reader is so slow that what it has to
        read next is gone, when the database was restored or is away: its client comes again with the last id that it
        has seen, and is told.
        """
        page, until = first, -1
        while not self._arrivals.closing:
            yield _encoded(page)
            if not page.has_more and until >= 0:
                with _waiting(scope):
                    arrived = await self._arrivals.beyond(until, seconds=HEARTBEAT_SECONDS)
            else:
                arrived = True
            try:
                await _identify(scope)
                if arrived:
                    page, until = await self.feed.page(after=page.next, filters=filters, limit=STREAM_LIMIT)
                else:
                    page.data.clear()
            except (CursorExpired, CursorUnknown, Unauthorized, Forbidden):
                return
            except Exception as error:
                if is_unavailable(error) or is_busy(error):
                    return
                raise


async def _identify(scope: RequestScope) -> None:
    """Ask again who the caller is.

    Raises:
        Unauthorized: its key has ended.
        Forbidden: it may not read events any more.
    """
    identify = scope.get("identify_again")
    if identify is not None:
        await identify()


@contextmanager
def _waiting(scope: RequestScope) -> Iterator[None]:
    """Note how long the caller waits for what has not happened yet."""
    began = time.monotonic()
    try:
        yield
    finally:
        scope["waited"] = scope.get("waited", 0.0) + time.monotonic() - began


def _encoded(page: FeedPage) -> bytes:
    """Return the events; in the end the place that was looked at, by a message that says nothing but its id."""
    messages = [b"id: %s\ndata: %s\n\n" % (event.id.encode(), msgspec.json.encode(event)) for event in page.data]
    reached = b"id: %s\n\n" % page.next.encode() if page.next else b""
    return b"".join(messages) + (reached or b": nothing yet\n\n")
