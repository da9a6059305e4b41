"""How many of a process's database connections one caller may hold.

All callers take connections from one pool, so one whose statements are slow could hold every one of them, and the
others would wait, or be answered 503. So a caller that holds some takes another only while enough are left over: a free
one for each three that it holds. Alone it gets three quarters of the pool, beside others less, and its first one
always: it is asked of the pool itself, whose line then holds each caller once. What is beyond its share waits in a line
of the caller's own and is handed out in order, to each caller in turn; after a while it is refused, 429: a 5xx would
make a caller's crowd look like a fault of the release.

What belongs to no caller (webhooks, probes, the worker, what several callers wait for) is counted and never waits here.
Who holds a connection and asks for a second one does not wait either, for it could be waiting for itself.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final, NamedTuple

from payment_service.errors import TooManyInFlight
from payment_service.observability.metrics import IN_FLIGHT_REFUSED

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

HELD_FOR_ONE_FREE: Final = 3
"""Connections of one caller for each that must be left free."""
PATIENCE_SECONDS: Final = 5.0
"""As long as the pool's own line is waited in."""
RETRY_AFTER_SECONDS: Final = 1.0


class Holder(NamedTuple):
    """For whom a connection counts."""

    kind: str
    """As the metric names it: `key`, `address`, `admin`."""
    subject: str


_COVERED: Final = Holder("", "")
"""Stands for a caller while it holds a connection."""
_counted: ContextVar[Holder | None] = ContextVar("for whom connections count", default=None)


@contextmanager
def counting_for(caller: Holder | None) -> Iterator[None]:
    """Count the connections of this block, and of tasks begun in it, for a caller, or for nobody."""
    outer = _counted.get()
    _counted.set(caller)
    try:
        yield
    finally:
        _counted.set(outer)


class Shares:
    """Hands the right to a connection out.

    Args:
        connections: of the pool.
    """

    def __init__(self, connections: int) -> None:
        self._free = connections
        self._held: Counter[Holder] = Counter()
        self._waiting: OrderedDict[Holder, deque[asyncio.Future[None]]] = OrderedDict()

    def one(self) -> Share:
        """Return what holds the right for as long as a block lasts."""
        return Share(self)

    async def take(self, caller: Holder | None) -> None:
        """Take the right to one connection.

        Raises:
            TooManyInFlight: the caller's share was in use for too long.
        """
        if caller is None or (caller not in self._waiting and self._may(caller)):
            self._give(caller)
            return
        turn = asyncio.get_running_loop().create_future()
        line = self._waiting.setdefault(caller, deque())
        line.append(turn)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await turn
        except BaseException as error:
            self._leave(caller, turn)
            if isinstance(error, TimeoutError):
                raise _refusal(caller) from error
            raise

    def give_back(self, caller: Holder | None) -> None:
        """Give one back, to whoever may have it now."""
        self._free += 1
        if caller is not None:
            self._held[caller] -= 1
            if not self._held[caller]:
                del self._held[caller]
        while any(self._hand_out(waiting) for waiting in list(self._waiting)):
            pass

    def _may(self, caller: Holder) -> bool:
        held = self._held[caller]
        return not held or held + 1 <= HELD_FOR_ONE_FREE * (self._free - 1)

    def _give(self, caller: Holder | None) -> None:
        self._free -= 1
        if caller is not None:
            self._held[caller] += 1

    def _hand_out(self, caller: Holder) -> bool:
        """Let the first in this caller's line have one, if it may."""
        if not self._may(caller):
            return False
        turn = self._waiting[caller].popleft()
        self._waiting.move_to_end(caller)
        self._tidy(caller)
        if not turn.done():  # cancelled, and not yet told
            self._give(caller)
            turn.set_result(None)
        return True

    def _leave(self, caller: Holder, turn: asyncio.Future[None]) -> None:
        """Wait no more; what was handed out at the same moment is given back."""
        if turn.done() and not turn.cancelled():
            self.give_back(caller)
            return
        if turn in self._waiting.get(caller, ()):
            self._waiting[caller].remove(turn)
            self._tidy(caller)

    def _tidy(self, caller: Holder) -> None:
        if not self._waiting[caller]:
            del self._waiting[caller]


class Share:
    """The right to one connection, for one block."""

    __slots__ = ("_caller", "_shares")

    def __init__(self, shares: Shares) -> None:
        self._shares = shares
        self._caller: Holder | None = None

    async def __aenter__(self) -> None:
        """Wait for it."""
        self._caller = _counted.get()
        if self._caller is _COVERED:
            return
        await self._shares.take(self._caller)
        if self._caller is not None:
            _counted.set(_COVERED)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give it back."""
        if self._caller is _COVERED:
            return
        if self._caller is not None:
            _counted.set(self._caller)
        self._shares.give_back(self._caller)


def _refusal(caller: Holder) -> TooManyInFlight:
    IN_FLIGHT_REFUSED.labels(caller.kind).inc()
    return TooManyInFlight(
        "The database connections that one caller may hold are all at work on its other requests; send fewer at once",
        retry_after=RETRY_AFTER_SECONDS,
    )
