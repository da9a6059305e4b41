"""Kills the operator at each of its writes, before and after they are taken, and sees that it finishes all the same."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, get_args

from tests.cluster.operator.trial_journal import TrialJournal
from tests.cluster.proxy.requests import When

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.cluster.operator.harness import Operator
    from tests.cluster.proxy.server import CuttingProxy

SHARD_SECONDS = 3000
CUT_SECONDS = 180


class Point(NamedTuple):
    """A kill: before or after the `number`-th write to a server."""

    server: str
    number: int
    when: When


@dataclass
class Sweep:
    """The same change over and over, with a kill at another of its writes each time.

    Args:
        name: of the file that remembers what has passed.
        victim: the operator; it reaches each server through its proxy.
        proxies: by the server's name.
        change: begin the change; given a number that was never given before.
        finished: wait until it is over and check what it has left.
        say: prints a line.
    """

    name: str
    victim: Operator
    proxies: Mapping[str, CuttingProxy]
    change: Callable[[int], None]
    finished: Callable[[], None]
    say: Callable[[str], None]
    _made: int = field(default=0, init=False)

    def run(self, *, whole: bool) -> None:
        """Count the writes of a change without a kill, then kill at each; unless `whole` at the two of the day.

        SHARD=2/3 in the environment takes the second of three parts, to run them side by side.
        """
        points = self._points()
        passed = TrialJournal(self.name, keep=whole)
        day = time.gmtime().tm_yday * 7
        chosen = points if whole else [points[(day + half) % len(points)] for half in (0, len(points) // 2)]
        started, missed = time.monotonic(), []
        for number, point in enumerate(passed.left(_own_shard(chosen))):
            if time.monotonic() - started > SHARD_SECONDS:
                self.say(f"{self.name}: the shard is over after {number} kills; run it again for the others")
                break
            reached = self._trial(point)
            if not reached:
                missed.append(point)
            passed.add(point)
            self.say(f"killed {point.when} {point.server} {reached or f'write {point.number}, not reached'}: finished")
        assert len(missed) <= len(chosen) // 2, f"the operator made fewer writes than counted: {missed}"

    def _points(self) -> list[Point]:
        before = {name: len(proxy.writes) for name, proxy in self.proxies.items()}
        self._begin()
        self.finished()
        counts = {name: len(proxy.writes) - before[name] for name, proxy in self.proxies.items()}
        self.say(f"{self.name}: " + ", ".join(f"{count} writes to {name}" for name, count in counts.items()))
        assert all(counts.values())
        return [
            Point(name, number, when)
            for name, count in counts.items()
            for number in range(1, count + 1)
            for when in get_args(When)
        ]

    def _begin(self) -> None:
        self._made += 1
        self.change(self._made)

    def _trial(self, point: Point) -> str:
        """Kill at the point; return the write, or nothing when this change made fewer."""
        proxy = self.proxies[point.server]
        proxy.cut(point.number, point.when, self.victim.kill)
        self._begin()
        write = proxy.wait_for_cut(seconds=CUT_SECONDS)
        self.victim.kill()
        self.victim.start()
        self.finished()
        return f"write {point.number} ({write.method} {write.resource})" if write else ""


def _own_shard(points: list[Point]) -> list[Point]:
    """Return this shard's part, which does not depend on how many writes this shard has counted."""
    part, _, parts = os.environ.get("SHARD", "1/1").partition("/")
    order = get_args(When)
    return [
        point
        for point in points
        if (len(order) * (point.number - 1) + order.index(point.when)) % int(parts) == int(part) - 1
    ]
