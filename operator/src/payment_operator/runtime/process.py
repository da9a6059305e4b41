"""`payment-operator run`: takes the Lease, then watches, resyncs and reconciles until it is told to stop."""

import asyncio
import logging
import os
import signal
import socket
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from aiohttp import web

from payment_operator import names
from payment_operator.api.crd import crd_manifests
from payment_operator.clients import database_roles
from payment_operator.clients.kubernetes import Cluster
from payment_operator.clients.pod_admin import Admin
from payment_operator.clients.protocols import Clients
from payment_operator.clients.stripe_http import StripeHttp
from payment_operator.effects.events import post_event
from payment_operator.errors import OperatorError
from payment_operator.metrics import LEADER
from payment_operator.model.actions import Event
from payment_operator.resources.metadata import Manifest
from payment_operator.runtime.health import Staleness, application
from payment_operator.runtime.lease import Lease
from payment_operator.runtime.queue import WorkQueue
from payment_operator.runtime.reconciler import Reconciler
from payment_operator.runtime.watches import Watches

KEPT: Final = "the database, Redis, the Stripe account and the Secrets that the spec named were kept"
log = logging.getLogger("payment_operator")


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the command line says."""

    namespaces: Sequence[str] = ()
    lease: str = "payment-operator"
    lease_namespace: str = ""
    host: str | None = None
    """None: every address, IPv4 and IPv6, for probes come from the node."""
    port: int = 8080
    resync: float = 30.0
    kubeconfig: str = ""
    unsafe_pods: bool = False
    request_policy: str = ""
    """Of the admission policy that vouches for who makes a request; empty: none does."""


class Operator:
    """The parts of a running operator."""

    def __init__(self, options: Options, cluster: Cluster) -> None:
        self.options = options
        self.cluster = cluster
        self.admin = Admin()
        self.stripe = StripeHttp()
        self.queue = WorkQueue(self._reconciler())
        self.staleness = Staleness(options.resync)
        self.watches = Watches(
            changed=self.queue.add,
            deleted=self.deleted,
            seen=self.staleness.watched,
            namespaces=options.namespaces,
            kubeconfig=options.kubeconfig,
        )
        identity = f"{socket.gethostname()}_{uuid.uuid4().hex[:8]}"
        namespace = options.lease_namespace or os.environ.get("POD_NAMESPACE", "default")
        self.lease = Lease(cluster, namespace=namespace, name=options.lease, identity=identity)
        self._events: set[asyncio.Task[None]] = set()

    def _reconciler(self) -> Reconciler:
        options = self.options
        return Reconciler(
            Clients(self.cluster, self.admin, self.stripe, database_roles),
            resync=options.resync,
            unsafe_pods=options.unsafe_pods,
            request_policy=options.request_policy,
        )

    async def lead(self) -> None:
        """Hold the Lease and do the work until one of them ends.

        Raises:
            LeaseLost: another operator works now.
        """
        self.staleness.alive = asyncio.get_running_loop().time()
        await self.lease.acquire()
        log.info("leading")
        LEADER.set(1)
        self.staleness.leading = True
        async with asyncio.TaskGroup() as group:
            group.create_task(self.lease.hold())
            group.create_task(self.resync())
            group.create_task(self.watches.run())

    async def resync(self) -> None:
        """Read all environments again and again, so that nothing depends on an event."""
        while True:
            try:
                found = [item for where in self.options.namespaces or (None,) for item in await self._list(where)]
                self.staleness.read(found)
                for item in found:
                    self.queue.add((item["metadata"]["namespace"], item["metadata"]["name"]))
            except OperatorError as error:
                log.warning("no resync: %s", error)
            self.staleness.turned = time.monotonic()
            await asyncio.sleep(self.options.resync)

    async def _list(self, namespace: str | None) -> list[Manifest]:
        return await self.cluster.list_all(names.KIND, namespace)

    def deleted(self, metadata: Manifest) -> None:
        """Say what a deleted environment leaves."""
        event = Event("Deleted", KEPT)
        task = asyncio.create_task(self._publish(metadata, event))
        self._events.add(task)
        task.add_done_callback(self._events.discard)

    async def _publish(self, metadata: Manifest, event: Event) -> None:
        log.info("%s: %s", event.reason, event.message, extra={"environment": metadata["name"]})
        try:
            await post_event(self.cluster, metadata, event, now=datetime.now(UTC))
        except OperatorError as error:
            log.warning("no event: %s", error)

    def problems(self) -> list[str]:
        """Why `/healthz` fails."""
        self.staleness.alive = self.lease.checked
        dead = self.watches.pulse.problems() if self.staleness.leading else []
        return [*self.staleness.problems(longest_pass=self.queue.longest_pass()), *dead]

    async def close(self) -> None:
        """Stop all passes and let a successor begin."""
        await self.queue.close()
        if self.staleness.leading:
            await self.lease.release()
        await self.admin.close()
        await self.stripe.close()
        await self.cluster.close()


async def apply_crd(kubeconfig: str, *, existing: bool = False) -> bool:
    """Write this version's CustomResourceDefinitions; `existing`: over those that are there. Tell whether it was all.

    Argo CD runs the chart's hook before a first sync brings the kinds: then there is nothing to upgrade, and no right
    to create one is needed.
    """
    cluster, missing = await Cluster.connect(kubeconfig), 0
    try:
        for manifest in crd_manifests().values():
            if existing and await cluster.get(manifest["kind"], "", manifest["metadata"]["name"]) is None:
                missing += 1
            else:
                await cluster.apply(manifest)
        return not missing
    finally:
        await cluster.close()


async def listen(health: web.Application, *, host: str | None, port: int) -> web.AppRunner:
    """Serve the operator's HTTP port; the caller cleans up.

    One socket for each kind of address: asyncio lets none take both, and goes on without IPv6 where there is none.
    """
    runner = web.AppRunner(health, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    return runner


async def run(options: Options) -> int:
    """Run until SIGTERM; return the exit code."""
    operator = Operator(options, await Cluster.connect(options.kubeconfig))
    health = application(operator.problems, lambda: operator.staleness.leading)
    runner = await listen(health, host=options.host, port=options.port)
    leading = asyncio.create_task(operator.lead())
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, leading.cancel)
    try:
        return await _outcome(leading)
    finally:
        await operator.close()
        await runner.cleanup()


async def _outcome(leading: asyncio.Task[None]) -> int:
    """Wait for the end; 0 when it was asked for."""
    try:
        await leading
    except asyncio.CancelledError:
        log.info("stopping")
        return 0
    except BaseExceptionGroup as group:
        log.error("stopping: %s", "; ".join(map(str, group.exceptions)))  # noqa: TRY400 - their traces say nothing
    return 1
