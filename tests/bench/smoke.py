"""`make bench-smoke`: catches a hot path that has become half as fast; at most two minutes.

What is compared is processor time by request, against that of a raw ASGI application in the same round: noise from
other programs changes how long things take, hardly what they cost. A limit is at least twice the usual ratio, and only
a ratio that is over it in each of several tries fails.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import click
from tests.bench.arms import Ours, Raw
from tests.bench.filling import fill_subscriptions
from tests.bench.machine import Machine
from tests.bench.measures.create import bodies
from tests.bench.session import Session, get_request

if TYPE_CHECKING:
    from tests.bench.arms import Arm
    from tests.bench.session import Load

TRIES = 3
SECONDS = 1.5


@dataclass(frozen=True)
class Limit:
    """One hot path: how many times R's hello it may cost."""

    name: str
    usual: float
    at_most: float


LIMITS = (
    Limit("/health/live", 1.3, 3),
    Limit("webhook", 5.5, 12),
    Limit("read of a subscription", 24, 55),
    Limit("idempotent replay", 80, 200),
    Limit("create-subscription", 420, 950),
)
WAL_SYNCS_AT_MOST = 0.5
"""By event with 32 in flight; usually 0.05, and 1 without the lane that inserts many in one statement."""


class Smoke:
    """The arms of one run."""

    def __init__(self, session: Session, raw: Raw, ours: Ours) -> None:
        self._session = session
        self._raw = raw
        self._ours = ours
        self._number = 0
        ids = fill_subscriptions(session.machine, ours.database, count=1000)
        self._reads = [get_request(f"/api/v1/subscriptions/{name}", api_key=ours.api_key) for name in ids]
        self._stored = bodies(session, ours, count=20, mark="stored")
        once = {"warmup": 0.0, "repeat": False}
        session.drive(ours.port, connections=10, seconds=30, requests=self._stored, **once)

    def round(self) -> dict[str, float]:
        """Return each path's cost against R's, and the WAL syncs of an event."""
        hello = [self._cost(self._raw, [get_request("/")])]
        webhook = self._session.webhooks(self._ours, connections=32, seconds=SECONDS)
        costs = {
            "/health/live": self._cost(self._ours, [get_request("/health/live")]),
            "webhook": webhook,
            "read of a subscription": self._cost(self._ours, self._reads),
            "idempotent replay": self._cost(self._ours, self._stored),
            "create-subscription": self._create(),
        }
        hello.append(self._cost(self._raw, [get_request("/")]))
        unit = min(load.cpu_microseconds for load in hello)
        ratios = {name: load.cpu_microseconds / unit for name, load in costs.items()}
        return {**ratios, "WAL syncs": webhook.wal_syncs}

    def _cost(self, arm: Arm, requests: list[bytes], *, repeat: bool = True) -> Load:
        work = partial(self._session.drive, arm.port, connections=32, seconds=SECONDS)
        return self._session.measured(arm, partial(work, requests=requests, repeat=repeat))

    def _create(self) -> Load:
        self._number += 1
        requests = bodies(self._session, self._ours, count=400, mark=f"n{self._number}")
        return self._cost(self._ours, requests, repeat=False)


def failures(least: dict[str, float]) -> list[str]:
    """Return a sentence for each limit that the least ratio of all tries exceeds."""
    found = [
        f"{limit.name} costs {least[limit.name]:.1f} times a raw ASGI answer; the limit is {limit.at_most:g}"
        for limit in LIMITS
        if least[limit.name] > limit.at_most
    ]
    if least["WAL syncs"] > WAL_SYNCS_AT_MOST:
        found.append(f"an event takes {least['WAL syncs']:.2f} WAL syncs; limit {WAL_SYNCS_AT_MOST}")
    return found


@click.command()
def main() -> None:
    """Compare and exit with 1 when a hot path has become much slower."""
    with Machine() as machine:
        machine.slow_stripe(1)
        session = Session(machine, rounds=TRIES)
        raw, ours = Raw(machine), Ours(machine)
        ours.prepare()
        try:
            raw.start()
            ours.start()
            smoke = Smoke(session, raw, ours)
            least = smoke.round()
            for _ in range(TRIES - 1):
                if not failures(least):
                    break
                session.say("over a limit: once more, noise passes")
                least = {name: min(value, least[name]) for name, value in smoke.round().items()}
        finally:
            ours.stop()
            raw.stop()
    for limit in LIMITS:
        click.echo(f"{limit.name:24} {least[limit.name]:6.1f} x R   usual {limit.usual:g}, limit {limit.at_most:g}")
    click.echo(f"{'WAL syncs by event':24} {least['WAL syncs']:6.2f}       usual 0.05, limit {WAL_SYNCS_AT_MOST}")
    if found := failures(least):
        sys.exit("\n".join(found))


if __name__ == "__main__":
    main()
