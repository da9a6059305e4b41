"""Watches a release: redraws on a terminal, prints one line a change elsewhere, ends with the release."""

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Final

from payment_operator.plugin import clock
from payment_operator.plugin.describe import status_of
from payment_operator.plugin.errors import NoAnswer, Unreachable
from payment_operator.plugin.kubectl import Kubectl
from payment_operator.plugin.model import BAD, OVER, Status
from payment_operator.plugin.output import Output
from payment_operator.plugin.screens import status_screen
from payment_operator.plugin.snapshot import observe

INTERVAL_SECONDS: Final = 2.0
_LOST_ANSWERS: Final = 10
"""So many looks in a row may fail: an API server that restarts ends no watch."""

Goal = Callable[[Status], int | None]
"""The exit code when a status ends the watch, else nothing."""


def until_over(status: Status) -> int | None:
    """End when the release is over: 0 when it serves, 1 when it failed or is stuck."""
    if status.state in OVER:
        return int(status.state in BAD)
    return None


def until_hold(status: Status) -> int | None:
    """End as well when the candidate waits for a person."""
    return 0 if status.state == "Waiting" else until_over(status)


@dataclass(kw_only=True)
class Watch:
    """One watch. ``settle_seconds``: an end seen earlier than this is the state before a request took effect."""

    kubectl: Kubectl
    output: Output
    name: str
    goal: Goal = until_over
    timeout_seconds: float | None = None
    settle_seconds: float = 0
    suffix: str = ""
    _printed: str = field(default="", init=False)
    _lost: int = field(default=0, init=False)

    def run(self) -> int:
        """Watch until the goal is reached and return the exit code.

        Raises:
            NoAnswer: the time is over.
            Unreachable: the cluster stopped to answer.
        """
        begun = time.monotonic()
        live = self.output.live
        with self.output.screen() if live else nullcontext():
            return self._loop(begun, live=live)

    def _loop(self, begun: float, *, live: bool) -> int:
        while True:
            status = self._look()
            spent = time.monotonic() - begun
            if status is not None:
                self._draw(status, live=live)
                code = self.goal(status)
                if code is not None and spent >= self.settle_seconds:
                    return code
            if self.timeout_seconds is not None and spent >= self.timeout_seconds:
                now = f"{status.state}, step {status.step or 'none'}" if status else "unknown"
                raise NoAnswer(f"not over after {clock.duration(spent)}; now: {now}", fix="watch on: status -w")
            time.sleep(INTERVAL_SECONDS)

    def _look(self) -> Status | None:
        try:
            status = status_of(observe(self.kubectl, self.name), suffix=self.suffix)
        except Unreachable:
            self._lost += 1
            if self._lost >= _LOST_ANSWERS:
                raise
            return None
        self._lost = 0
        return status

    def _draw(self, status: Status, *, live: bool) -> None:
        if live:
            self.output.draw(status_screen(status, self.output.style))
            return
        change = f"{status.state} {status.step} {status.revision} {status.detail}"
        if change == self._printed:
            return
        self._printed = change
        text = f"{clock.now():%H:%M:%S}  {status.headline}  {status.detail}".rstrip()
        self.output.change(text, status.plain())
