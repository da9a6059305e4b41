"""One of several operators acts: the holder of a Lease. Whoever loses it ends its process.

Correctness does not rest on it: all writes are tested or repeatable. It saves two operators from working twice.

The leader election of `kubernetes` 37 judges by the wall clock, so a step of it keeps or loses the Lease; a request
that hangs outlasts its deadline, the Lease is not given back at the end, and its transitions are not counted. Kopf's
peering knows priorities, not holders: of two equal operators both pause.
"""

import asyncio
import logging
import time
from datetime import UTC, datetime
from typing import Any, Final

from payment_operator.clients.protocols import Kubernetes
from payment_operator.errors import Conflict, OperatorError

DURATION_SECONDS: Final = 15
RENEW_SECONDS: Final = 5.0
RETRY_SECONDS: Final = 2.0

log = logging.getLogger("payment_operator.runtime.lease")


class LeaseLost(OperatorError):
    """Another operator holds the Lease, or it could not be renewed in time."""


def _in_time() -> float:
    """When a Lease that is held now must have been renewed: before another operator may take it."""
    return time.monotonic() + DURATION_SECONDS - RENEW_SECONDS


class Lease:
    """A Lease of coordination.k8s.io/v1."""

    def __init__(self, cluster: Kubernetes, *, namespace: str, name: str, identity: str) -> None:
        self._cluster = cluster
        self._namespace, self._name, self._identity = namespace, name, identity
        self._seen: tuple[str, float] = ("", 0.0)
        self.checked = time.monotonic()
        """When the API server last said anything about the Lease."""

    async def acquire(self) -> None:
        """Wait until this process holds the Lease."""
        while True:
            try:
                if await self._try():
                    return
            except OperatorError as error:
                log.warning("the Lease cannot be had: %s", error)
            await asyncio.sleep(RETRY_SECONDS)

    async def hold(self) -> None:
        """Renew until cancelled.

        Raises:
            LeaseLost: it is held by another, or was not renewed before it ran out.
        """
        pause, until = RENEW_SECONDS, _in_time()
        while True:
            await asyncio.sleep(pause)
            try:
                async with asyncio.timeout(until - time.monotonic()):
                    held = await self._try()
            except (OperatorError, TimeoutError) as error:
                if time.monotonic() + RETRY_SECONDS > until:
                    raise LeaseLost(f"the Lease could not be renewed: {type(error).__name__}: {error}") from error
                pause = RETRY_SECONDS
                continue
            if not held:
                raise LeaseLost("another operator holds the Lease")
            pause, until = RENEW_SECONDS, _in_time()

    async def release(self) -> None:
        """Let a successor begin at once."""
        try:
            live = await self._cluster.get("Lease", self._namespace, self._name)
            if live is not None and live["spec"].get("holderIdentity") == self._identity:
                await self._cluster.replace(live | {"spec": live["spec"] | {"holderIdentity": ""}})
        except OperatorError as error:
            log.warning("the Lease was not released: %s", error)

    async def _try(self) -> bool:
        live = await self._cluster.get("Lease", self._namespace, self._name)
        self.checked = time.monotonic()
        try:
            if live is None:
                await self._cluster.create(self._manifest({"leaseTransitions": 0}))
                return True
            if not self._free(live):
                return False
            await self._cluster.replace(self._manifest(live["spec"], live["metadata"]["resourceVersion"]))
        except Conflict:
            return False
        return True

    def _free(self, live: dict[str, Any]) -> bool:
        """Whether it is ours, or its holder has not renewed it for its whole duration, by our own clock."""
        spec = live["spec"]
        holder = spec.get("holderIdentity", "")
        if holder in ("", self._identity):
            return True
        version = live["metadata"]["resourceVersion"]
        if self._seen[0] != version:
            self._seen = (version, time.monotonic())
        return bool(time.monotonic() - self._seen[1] > spec.get("leaseDurationSeconds", DURATION_SECONDS))

    def _manifest(self, former: dict[str, Any], version: str = "") -> dict[str, Any]:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        ours = former.get("holderIdentity") == self._identity
        metadata = {"name": self._name, "namespace": self._namespace}
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": metadata | ({"resourceVersion": version} if version else {}),
            "spec": {
                "holderIdentity": self._identity,
                "leaseDurationSeconds": DURATION_SECONDS,
                "acquireTime": former.get("acquireTime", now) if ours else now,
                "renewTime": now,
                "leaseTransitions": former.get("leaseTransitions", 0) + (0 if ours else 1),
            },
        }
