"""Health: what the server and the middleware cost without any work."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from tests.bench.arms import Ours, Raw, Seed
from tests.bench.session import get_request

if TYPE_CHECKING:
    from tests.bench.arms import Arm
    from tests.bench.generator import Result
    from tests.bench.session import Session

SECONDS = 2.0
IN_FLIGHT = 32


def run(session: Session) -> None:
    """Measure requests per second with 32 in flight, and the processor time of one."""
    ours = Ours(session.machine)
    arms: list[Arm] = [Raw(session.machine), ours, Seed(session.machine)]
    paths = [("hello", arm, arm.health) for arm in arms] + [("/health with its checks", ours, "/health")]
    try:
        for arm in arms:
            arm.prepare()
            arm.start()
        for _ in session.turns("health"):
            for what, arm, path in paths:
                load = session.measured(arm, partial(hello, session, arm, path))
                session.record(f"{what}, {IN_FLIGHT} in flight", arm.name, load.result.per_second, "requests/s")
                session.record(f"{what}, CPU", arm.name, load.cpu_microseconds, "µs")
    finally:
        for arm in arms:
            arm.stop()


def hello(session: Session, arm: Arm, path: str) -> Result:
    """Ask one path for as long as a turn lasts."""
    return session.drive(arm.port, connections=IN_FLIGHT, seconds=SECONDS, requests=[get_request(path)])
