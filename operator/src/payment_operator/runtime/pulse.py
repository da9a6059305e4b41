"""Whether each watch lives, by when the API server last answered it.

Every watch is asked for anew after a fixed time, so one that was not answered for longer is dead, whatever it died of:
a silent connection, a refusal, an answer that is no watch. Streams that end at once prove nothing.
"""

import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Final

from payment_operator.redaction import redact

JSON: Final = "application/json"
OK: Final = 200


@dataclass(frozen=True, kw_only=True)
class Pace:
    """Seconds."""

    renew: int = 20
    """The API server is asked to end each stream after this."""
    silent: float = 25.0
    """A stream or an answer that lasts longer is given up."""
    connect: float = 5.0
    noticed: float = 30.0
    """A watch that was not answered for so long is dead."""
    rest: float = 1.0
    """The least between two requests of one watch; a stream that ends earlier was none."""
    longest_rest: float = 5.0
    """The most between attempts that are refused."""


@dataclass
class Watch:
    """One watch, seen from outside."""

    lived: float
    """When it was last known to work."""
    needed: bool = True
    """Whether it must live; one that may be without its kind must only once it was answered."""
    asked: float = 0.0
    answered: float | None = None
    """When its present stream began."""
    mute: bool = False
    """Whether the stream before was cut, for the API server did not end it."""
    words: str = "it was not answered"
    """What came instead, at last."""


class Pulse:
    """What is known of all watches; written by the thread that watches, read by `/healthz`."""

    def __init__(
        self,
        paths: Iterable[str],
        pace: Pace,
        *,
        optional: Collection[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.pace = pace
        self._clock = clock
        self._watches = {path: Watch(lived=clock(), needed=path not in optional) for path in paths}
        self._fell: tuple[float, float, str] | None = None

    def begin(self) -> None:
        """Count from now on."""
        for watch in self._watches.values():
            watch.lived = self._clock()

    def path(self, url_path: str) -> str | None:
        """The watch that an address belongs to, if any; the API server may stand behind a prefix."""
        return next((path for path in self._watches if url_path.endswith(path)), None)

    def request(self, path: str) -> float:
        """A watch is about to be asked for: in how many seconds it may be."""
        now, watch = self._clock(), self._watches[path]
        self._end(watch, now)
        wait = max(0.0, watch.asked + self.pace.rest - now)
        watch.asked = now + wait
        return wait

    def answered(self, path: str, *, status: int, kind: str) -> None:
        """The API server has answered the request of a watch, or of the list before it."""
        if (status, kind) == (OK, JSON):
            self._watches[path].answered, self._watches[path].needed = self._clock(), True
        else:
            self._watches[path].words = f"the API server answered {status} ({kind})"

    def failed(self, path: str, words: str) -> None:
        """There was no answer."""
        self._watches[path].words = redact(words)

    def fell(self, words: str) -> None:
        """All watches have ended and are started again."""
        now = self._clock()
        first = self._fell[0] if self._fell is not None and now - self._fell[1] <= self.pace.noticed else now
        self._fell = (first, now, redact(words))

    def problems(self) -> list[str]:
        """The watches that are dead, each with what came instead."""
        now, found = self._clock(), []
        if self._fell is not None and now - self._fell[1] <= self.pace.noticed <= now - self._fell[0]:
            found.append(f"a watch is dead: all fall again and again, at last by {self._fell[2]}")
        for path, watch in self._watches.items():
            if watch.needed and (silent := now - self._last(watch, now)) >= self.pace.noticed:
                found.append(f"a watch is dead: {path} for {silent:.0f} s: {watch.words}")
        return found

    def _end(self, watch: Watch, now: float) -> None:
        """Judge the stream that has ended: only one that the API server has ended in time proves that it lived."""
        if watch.answered is None:
            return
        lasted = now - watch.answered
        watch.mute = lasted > (self.pace.renew + self.pace.silent) / 2
        if watch.mute:
            watch.words = "its streams are silent, the API server does not end them"
        elif lasted < self.pace.rest:
            watch.words = "its streams end at once"
        else:
            watch.lived = now
        watch.answered = None

    def _last(self, watch: Watch, now: float) -> float:
        """When it was last known to work: a present stream counts once it goes on, unless the one before was silent."""
        if watch.answered is None or watch.mute or now - watch.answered < self.pace.rest:
            return watch.lived
        return watch.answered
