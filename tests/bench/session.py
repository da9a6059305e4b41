"""One benchmark run: rounds, samples, progress, and the load generator's process."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import psutil  # type: ignore[import-untyped] # ships no types
from tests.bench.generator import Plan, Result, Webhooks
from tests.bench.machine import WEBHOOK_SECRET

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.bench.arms import Arm
    from tests.bench.machine import Machine

_ROOT = Path(__file__).parents[2]
LOAD_CPU = max(os.sched_getaffinity(0))
"""The load generator, and pgbench, stay on this core; all servers may use all cores."""
FASTEST_WEBHOOKS = 12_000
"""More per second than any arm takes: so many are signed before the clock starts."""


class UnequalWork(Exception):
    """An arm answered without doing the work, or refused it."""


@dataclass
class Series:
    """The samples of one measure of one arm, one a round."""

    unit: str
    values: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return median(self.values)


@dataclass
class Load:
    """One run of the generator with what it cost."""

    result: Result
    cpu_microseconds: float
    """Of the arm's processes, by request."""
    wal_syncs: float
    """Of PostgreSQL, by request."""


class Session:
    """What measures work with.

    Args:
        machine: the servers.
        rounds: how often each arm has its turn.
        pace: scales the seconds of every turn.
    """

    def __init__(self, machine: Machine, *, rounds: int, pace: float = 1.0) -> None:
        self.machine = machine
        self.rounds = rounds
        self.pace = pace
        self.series: dict[str, dict[str, Series]] = {}
        self.began = time.monotonic()
        self.busiest = 0.0
        """The highest share of its core that the generator used in any turn."""
        self._serial = 0

    def say(self, text: str) -> None:
        """Show progress."""
        sys.stderr.write(f"[{time.monotonic() - self.began:5.0f} s] {text}\n")
        sys.stderr.flush()

    def turns(self, title: str, *, rounds: int | None = None) -> Iterator[int]:
        """Yield the rounds: inside one, each arm has one turn."""
        for number in range(1, (rounds or self.rounds) + 1):
            self.say(f"{title}: round {number} of {rounds or self.rounds}")
            yield number

    def record(self, measure: str, arm: str, value: float, unit: str) -> None:
        """Keep one sample."""
        self.series.setdefault(measure, {}).setdefault(arm, Series(unit)).values.append(value)

    def get(self, measure: str, arm: str) -> float | None:
        """Return the median, None when it was not measured."""
        found = self.series.get(measure, {}).get(arm)
        return found.median if found else None

    def drive(self, port: int, *, seconds: float, connections: int, **options: Any) -> Result:
        """Load a port.

        Raises:
            UnequalWork: not every answer was a 2xx.
        """
        plan = Plan(port=port, connections=connections, seconds=seconds * self.pace, cpu=LOAD_CPU, **options)
        done = subprocess.run(
            [sys.executable, "-m", "tests.bench.generator"],
            input=pickle.dumps(plan),
            stdout=subprocess.PIPE,
            check=True,
            cwd=_ROOT,
            timeout=300,
        )
        result: Result = pickle.loads(done.stdout)
        refused = {status: count for status, count in result.statuses.items() if not 200 <= status < 300}
        if refused:
            raise UnequalWork(f"port {port}: {refused} beside {result.statuses.total()} answers")
        self.busiest = max(self.busiest, result.busy)
        return result

    def webhooks(
        self, arm: Arm, *, connections: int, seconds: float, rate: float | None = None, **options: Any
    ) -> Load:
        """Send signed, unique events; each must have become a row."""
        fastest = rate or FASTEST_WEBHOOKS
        count = int(fastest * (seconds * self.pace + 1))
        return self.measured(
            arm,
            lambda: self.drive(
                arm.port,
                seconds=seconds,
                connections=connections,
                rate=rate,
                repeat=False,
                webhooks=self.signed(arm, count=count),
                **options,
            ),
            rows=arm.count_events,
        )

    def signed(self, arm: Arm, *, count: int) -> Webhooks:
        """Describe so many signed requests with ids that no earlier ones had."""
        self._serial += 1
        body = self.machine.event_body
        prefix = f"b{self._serial}x"
        return Webhooks(body=body, path=arm.webhook, secret=WEBHOOK_SECRET, prefix=prefix, count=count)

    def measured(self, arm: Arm, work: Callable[[], Result], *, rows: Callable[[], int] | None = None) -> Load:
        """Run a load and tell what it cost the arm and PostgreSQL; check its rows.

        Raises:
            UnequalWork: the rows are not as many as the requests.
        """
        before = rows() if rows else 0
        syncs, cpu = self.machine.wal_syncs(), arm.cpu_seconds()
        result = work()
        cpu, syncs = arm.cpu_seconds() - cpu, self.machine.wal_syncs() - syncs
        made = rows() - before if rows else result.sent
        if made != result.sent:
            raise UnequalWork(f"{arm.name}: {result.sent} requests made {made} rows")
        return Load(result, cpu_microseconds=cpu / result.sent * 1e6, wal_syncs=syncs / result.sent)


def get_request(path: str, *, api_key: str = "") -> bytes:
    """Build a GET request."""
    authorization = f"Authorization: Bearer {api_key}\r\n" if api_key else ""
    return f"GET {path} HTTP/1.1\r\nHost: bench\r\n{authorization}\r\n".encode()


def post_request(path: str, body: bytes, *, api_key: str = "", idempotency_key: str = "") -> bytes:
    """Build a POST request with a JSON body."""
    headers = ["Host: bench", "Content-Type: application/json", f"Content-Length: {len(body)}"]
    if api_key:
        headers.append(f"Authorization: Bearer {api_key}")
    if idempotency_key:
        headers.append(f"Idempotency-Key: {idempotency_key}")
    return f"POST {path} HTTP/1.1\r\n".encode() + "\r\n".join(headers).encode() + b"\r\n\r\n" + body


def processes_cpu_seconds(pid: int) -> float:
    """Return the processor time of a process and its children."""
    main = psutil.Process(pid)
    return sum(sum(process.cpu_times()[:2]) for process in [main, *main.children(recursive=True)])
