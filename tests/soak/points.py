"""Numbers every suspension of a coroutine and kills the process at the one that was asked for.

Between two suspensions of a task nothing leaves the process: what it wrote to PostgreSQL or Stripe goes out when it
suspends. So two moments of each suspension cover every state that a crash can leave behind: right after the bytes have
gone out (`sent`: the other side may or may not act on them) and right before the task goes on (`answered`: the other
side has acted, this one has not noticed).
"""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator

Moment = Literal["sent", "answered"]
MOMENTS: tuple[Moment, ...] = ("sent", "answered")


@dataclass
class Points:
    """Counts the suspensions of one request; dies at number `kill_at` (from 1; 0: never)."""

    moment: Moment
    kill_at: int
    tell: Callable[[str], None]
    """Gets the place in the code, right before the death."""
    reached: int = 0

    def reach(self, moment: Moment, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Count one moment and die when it is the wanted one."""
        if moment != self.moment:
            return
        self.reached += 1
        if self.reached != self.kill_at:
            return
        self.tell(place(coroutine))
        if moment == "answered":
            die()
        loop = asyncio.get_running_loop()
        loop.call_soon(loop.call_soon, die)  # the event loop flushes what was written at the end of its turn


class Counted:
    """Awaits a coroutine and reports each of its suspensions."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], points: Points) -> None:
        self._coroutine = coroutine
        self._points = points

    def __await__(self) -> Generator[Any, Any, Any]:
        """Drive the coroutine as an event loop's task would."""
        error: BaseException | None = None
        while True:
            self._points.reach("answered", self._coroutine)
            try:
                future = self._coroutine.send(None) if error is None else self._coroutine.throw(error)
            except StopIteration as stop:
                return stop.value
            self._points.reach("sent", self._coroutine)
            error = None
            try:
                yield future
            except BaseException as thrown:  # noqa: BLE001 - a cancellation, too, belongs to the inner coroutine
                error = thrown


def die() -> None:
    """End the process as the kernel's out-of-memory killer would."""
    os.kill(os.getpid(), signal.SIGKILL)


def place(coroutine: Any) -> str:
    """Return the innermost line of the service that awaits."""
    found = "before the service"
    while coroutine is not None and hasattr(coroutine, "cr_frame"):
        frame = coroutine.cr_frame
        if frame is not None and "payment_service" in frame.f_code.co_filename:
            found = f"{Path(frame.f_code.co_filename).stem}.{frame.f_code.co_name}:{frame.f_lineno}"
        coroutine = coroutine.cr_await
    return found
