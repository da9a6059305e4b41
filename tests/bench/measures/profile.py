"""Where the processor time of the hot paths goes, by layer."""

from __future__ import annotations

import json
import signal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.arms import Ours
from tests.bench.environments import service_programs
from tests.bench.filling import fill_subscriptions
from tests.bench.measures.create import bodies
from tests.bench.session import get_request

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.bench.session import Session

SECONDS = 6.0


class Profiled(Ours):
    """Ours under the profiler."""

    @property
    def result(self) -> Path:
        """The file with the samples."""
        return self.machine.folder / f"{self.name}.json"

    def command(self) -> Sequence[str | Path]:
        program = [service_programs() / "python", Path(__file__).parents[1] / "profiled.py", self.result]
        return [*program, *super().command()[1:]]


def run(session: Session) -> None:
    """Profile webhook ingest, create-subscription and cached reads."""
    session.say("profile")
    _profile(session, "webhooks", lambda ours: session.webhooks(ours, connections=32, seconds=SECONDS))
    _profile(session, "create-subscription", partial(_create, session))
    _profile(session, "cached read", partial(_read, session))


def _create(session: Session, ours: Ours) -> None:
    requests = bodies(session, ours, count=2000, mark="profiled")
    session.drive(ours.port, connections=64, seconds=SECONDS, requests=requests, repeat=False)


def _read(session: Session, ours: Ours) -> None:
    ids = fill_subscriptions(session.machine, ours.database, count=100)
    requests = [get_request(f"/api/v1/subscriptions/{name}", api_key=ours.api_key) for name in ids]
    session.drive(ours.port, connections=32, seconds=SECONDS, requests=requests)


def _profile(session: Session, name: str, load: Callable[[Ours], object]) -> None:
    ours = Profiled(session.machine, name=f"profiled {name}")
    ours.prepare()
    ours.start()
    try:
        ours.processes()[0].send_signal(signal.SIGUSR1)
        load(ours)
    finally:
        ours.stop()
    samples: dict[str, int] = json.loads(ours.result.read_text())
    total = sum(samples.values())
    for layer, count in sorted(samples.items(), key=lambda item: -item[1]):
        session.record(f"CPU of {name} by layer", layer, 100 * count / total, "%")
