"""`/healthz` by staleness, `/readyz`, `/metrics`.

A watch can end silently and leave a process that answers probes and does nothing; so health is whether environments
are really looked at: the resync turns, every pass ends, and the watch shows what the resync reads. An environment that
fails is named there and is no problem of the process: a restart would cure nothing and stop the work on the others.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web
from prometheus_client import generate_latest

from payment_operator.metrics import REGISTRY
from payment_operator.names import EnvironmentKey
from payment_operator.resources.metadata import Manifest
from payment_operator.runtime.condition_metrics import failing_environments

STUCK_SECONDS: Final = 120.0
ENDLESS_SECONDS: Final = 180.0
"""A pass is ended after 90 s; one that goes on all the same only ends with the process."""
WATCH_LAG_SECONDS: Final = 60.0


@dataclass
class Staleness:
    """When the parts of a working operator last did their work."""

    resync: float
    """Seconds between two resyncs."""
    leading: bool = False
    turned: float = field(default_factory=time.monotonic)
    """When the resync last asked for the environments, whatever the API server said."""
    alive: float = field(default_factory=time.monotonic)
    """When a standby last asked for the Lease."""
    _seen: dict[EnvironmentKey, str] = field(default_factory=dict)
    _missed: dict[EnvironmentKey, tuple[str, float]] = field(default_factory=dict)

    def watched(self, key: EnvironmentKey, version: str) -> None:
        """The watch has shown this version of an environment."""
        self._seen[key] = version

    def read(self, environments: list[Manifest]) -> None:
        """The resync has read these environments."""
        now = time.monotonic()
        present: dict[EnvironmentKey, tuple[str, float]] = {}
        for item in environments:
            metadata = item["metadata"]
            key, version = (metadata["namespace"], metadata["name"]), metadata["resourceVersion"]
            if self._seen.get(key) != version:
                former = self._missed.get(key)
                seen = self._seen.get(key, "")
                present[key] = former if former and former[0] == seen else (seen, now)
        self._missed = present

    def problems(self, *, longest_pass: float) -> list[str]:
        """What has been still for too long, the loop or a watch; empty when all is well."""
        now = time.monotonic()
        if not self.leading:
            return ["the Lease has not been asked for"] if now - self.alive > STUCK_SECONDS else []
        found = []
        if now - self.turned > 3 * self.resync + 30:
            found.append(f"the loop is stuck: no resync for {now - self.turned:.0f} s")
        if longest_pass > ENDLESS_SECONDS:
            found.append(f"the loop is stuck: a pass has not ended for {longest_pass:.0f} s")
        lag = now - min((since for _, since in self._missed.values()), default=now)
        if lag > max(WATCH_LAG_SECONDS, 3 * self.resync):
            found.append(f"a watch is dead: it has shown nothing for {lag:.0f} s that a resync has read")
        return found


def application(problems: Callable[[], list[str]], leading: Callable[[], bool]) -> web.Application:
    """The HTTP port of the operator."""

    async def healthz(_: web.Request) -> web.Response:
        found = problems()
        answer = {"healthy": not found, "problems": found, "failing": failing_environments()}
        return web.json_response(answer, status=503 if found else 200)

    async def readyz(_: web.Request) -> web.Response:
        return web.json_response({"leading": leading()})

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(REGISTRY), headers={"Content-Type": "text/plain; version=0.0.4"})

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    return app
