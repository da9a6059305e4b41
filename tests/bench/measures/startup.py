"""From starting the process to the first 200 on the readiness probe, with database and Redis up."""

from __future__ import annotations

import time
from http.client import HTTPConnection
from typing import TYPE_CHECKING

from tests.bench.arms import Arm, Ours, Seed

if TYPE_CHECKING:
    from tests.bench.session import Session

_READY = {"ours": "/health/ready", "S": "/health"}


def run(session: Session) -> None:
    """Start each arm in turns."""
    arms: list[Arm] = [Ours(session.machine), Seed(session.machine)]
    for arm in arms:
        arm.prepare()
        start(arm)
    for _ in session.turns("start-up"):
        for arm in arms:
            seconds, memory = start(arm)
            session.record("start to first ready", arm.name, seconds, "s")
            session.record("memory at rest", arm.name, memory, "MiB")


def start(arm: Arm) -> tuple[float, float]:
    """Return the seconds to the first 200 and the memory then."""
    arm.answers = lambda: _ready(arm.port, _READY[arm.name])  # type: ignore[method-assign] # asks more often
    began = time.perf_counter()
    try:
        arm.start()
        return time.perf_counter() - began, arm.memory_mib()
    finally:
        arm.stop()


def _ready(port: int, path: str) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
