"""One pass over one environment: observe, decide, act. Everything it remembers between passes may be lost."""

import logging
import random
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

import msgspec

from payment_operator import names
from payment_operator.actions import (
    Action,
    Apply,
    Create,
    CreateEndpoint,
    Decision,
    Delete,
    DeleteEndpoint,
    EndpointAction,
    Event,
    LockRole,
    Patch,
    PrepareRole,
    Tell,
    UpdateEndpoint,
    key_of,
)
from payment_operator.admin import Admin
from payment_operator.cluster import Cluster
from payment_operator.conditions import Finding, stamped
from payment_operator.credentials_watch import CredentialsWatch
from payment_operator.decide.decision import decide
from payment_operator.decide.roles import assign
from payment_operator.endpoint_work import work_on_endpoint
from payment_operator.errors import Conflict, Refused
from payment_operator.logs import environment_of
from payment_operator.metrics import RECONCILE_SECONDS, RECONCILES, RELEASES, STEP_SECONDS
from payment_operator.observe import SpecInvalid, observe
from payment_operator.observed import Key, Observed
from payment_operator.queue import Key as EnvironmentKey
from payment_operator.record import stamp
from payment_operator.redaction import redact
from payment_operator.resources.metadata import Manifest
from payment_operator.role_work import work_on_role
from payment_operator.rotation_metrics import measure
from payment_operator.status import read
from payment_operator.stripe_endpoints import StripeEndpoints, StripeFault
from payment_operator.stripe_http import StripeHttp
from payment_operator.stripe_probe import StripeProbe
from payment_operator.watching import Watching
from payment_operator.webhook_watch import WebhookWatch

RETRY_TELL_SECONDS: Final = 1.0
log = logging.getLogger("payment_operator.reconcile")


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Memory:
    """What is remembered of one environment."""

    watching: Watching
    webhooks: WebhookWatch
    credentials: CredentialsWatch
    refusals: dict[Key, str] = field(default_factory=dict)
    applied: dict[Key, tuple[str, Manifest]] = field(default_factory=dict)
    """What an object was after it was applied: the API server may store it in another form."""


class Reconciler:
    """Brings environments to what their specs ask for."""

    def __init__(
        self,
        cluster: Cluster,
        admin: Admin,
        stripe: StripeHttp,
        *,
        resync: float,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._cluster = cluster
        self._admin = admin
        self._endpoints = StripeEndpoints(stripe)
        self._probe = StripeProbe(stripe)
        self._resync = resync
        self._now = now
        self._memory: dict[EnvironmentKey, Memory] = {}

    async def __call__(self, key: EnvironmentKey) -> float | None:
        """Make one pass; return after how many seconds to look again, None when the environment is gone."""
        started = time.perf_counter()
        result = "error"
        try:
            again = await self._pass(key)
            result = "done"
        except Conflict:
            result = "conflict"
            raise
        finally:
            RECONCILES.labels(result).inc()
            RECONCILE_SECONDS.observe(time.perf_counter() - started)
        return again

    async def _pass(self, key: EnvironmentKey) -> float | None:
        environment = await self._cluster.get(names.KIND, *key)
        if environment is None or "deletionTimestamp" in environment["metadata"]:
            self._memory.pop(key, None)
            measure(key, None)
            return None
        memory = self._memory.setdefault(
            key,
            Memory(Watching(self._admin), WebhookWatch(self._admin, self._endpoints), CredentialsWatch(self._probe)),
        )
        try:
            observed = await observe(self._cluster, environment, now=self._now())
        except SpecInvalid as error:
            await self._report_invalid(environment, str(error))
            return self._resync
        observed = await memory.credentials.look(replace(observed, refusals=memory.refusals))
        observed = await memory.watching.look(observed, assign(observed))
        observed = await memory.webhooks.look(observed)
        memory.watching.forget(observed)
        decision = decide(observed)
        await self._act(observed, decision, memory)
        await self._write_status(observed, decision.status)
        measure(key, read(decision.status).rotation)
        await self._tell_people(observed, decision)
        resync = self._resync * random.uniform(0.8, 1.2)  # noqa: S311 - jitter
        return min(resync, decision.again_after or resync)

    async def _act(self, observed: Observed, decision: Decision, memory: Memory) -> None:
        for action in decision.actions:
            if isinstance(action, Tell):
                if not await memory.watching.tell(observed, action):
                    decision.look_again(RETRY_TELL_SECONDS)
            elif isinstance(action, Apply):
                await self._apply(observed, action.manifest, memory)
            elif isinstance(action, CreateEndpoint | UpdateEndpoint | DeleteEndpoint | PrepareRole | LockRole):
                await self._rotate(action, observed, decision, memory)
            else:
                await self._write(observed, action)
        for step, seconds in decision.durations:
            STEP_SECONDS.labels(step).observe(seconds)
        for outcome in decision.outcomes:
            RELEASES.labels(outcome).inc()

    async def _rotate(
        self, action: EndpointAction | PrepareRole | LockRole, observed: Observed, decision: Decision, memory: Memory
    ) -> None:
        if not isinstance(action, PrepareRole | LockRole):
            await self._work_on_endpoint(action, observed, decision, memory)
        elif await work_on_role(action, memory.credentials.roles, observed, decision):
            await self._write(observed, action.then)

    async def _work_on_endpoint(
        self, action: EndpointAction, observed: Observed, decision: Decision, memory: Memory
    ) -> None:
        try:
            then = await work_on_endpoint(action, self._endpoints, observed, decision)
        except StripeFault as fault:
            log.warning("no change of a webhook endpoint: %s", fault, extra=environment_of(observed.owner))
            decision.look_again(memory.webhooks.calls.failed(str(fault), now=observed.now))
            return
        memory.webhooks.done()
        if then is not None:
            await self._apply(observed, then.manifest, memory)

    async def _apply(self, observed: Observed, manifest: Manifest, memory: Memory) -> None:
        key = key_of(manifest)
        live = observed.objects.get(key)
        if live is not None and memory.applied.get(key) == (live["metadata"]["resourceVersion"], manifest):
            return
        try:
            written = await self._cluster.apply(manifest)
        except Refused as error:
            memory.refusals[key] = f"{error.reason}: {error.message}"
            log.warning("refused: %s %s: %s", *key, error, extra=environment_of(observed.owner))
            return
        memory.refusals.pop(key, None)
        memory.applied[key] = (written["metadata"]["resourceVersion"], manifest)
        log.info("applied %s %s", *key, extra=environment_of(observed.owner))

    async def _write(self, observed: Observed, action: Action) -> None:
        namespace = observed.owner.namespace
        match action:
            case Create(manifest):
                try:
                    await self._cluster.create(manifest)
                except Conflict:
                    return
                log.info("created %s %s", *key_of(manifest), extra=environment_of(observed.owner))
            case Patch(kind, name, operations, subresource):
                await self._cluster.patch(kind, namespace, name, operations, subresource=subresource)
                log.info("patched %s %s", kind, name, extra=environment_of(observed.owner))
            case Delete(kind, name, uid):
                await self._cluster.delete(kind, namespace, name, uid=uid)
                log.info("deleted %s %s", kind, name, extra=environment_of(observed.owner))

    async def _write_status(self, observed: Observed, status: Manifest) -> None:
        if read(status) == read(observed.status):
            return
        operations = [{"op": "add", "path": "/status", "value": status}]
        owner = observed.owner
        await self._cluster.patch(names.KIND, owner.namespace, owner.name, operations, subresource="status")

    async def _report_invalid(self, environment: Manifest, message: str) -> None:
        metadata, status = environment["metadata"], environment.get("status") or {}
        kept = [entry for entry in status.get("conditions") or [] if entry["type"] not in {"Ready", "Stalled"}]
        findings = [
            Finding("Ready", "False", "SpecInvalid", message),
            Finding("Stalled", "True", "SpecInvalid", message),
        ]
        generation = metadata.get("generation", 0)
        former = status.get("conditions") or []
        fresh = stamped(findings, former=former, generation=generation, now=stamp(self._now()))
        wanted = status | {"conditions": [*kept, *msgspec.to_builtins(fresh)], "observedGeneration": generation}
        if read(wanted) != read(status):
            operations = [{"op": "add", "path": "/status", "value": wanted}]
            name, namespace = metadata["name"], metadata["namespace"]
            await self._cluster.patch(names.KIND, namespace, name, operations, subresource="status")

    async def _tell_people(self, observed: Observed, decision: Decision) -> None:
        for event in decision.events:
            log.info("%s: %s", event.reason, event.message, extra=environment_of(observed.owner))
            await post_event(self._cluster, observed.metadata, event, now=self._now())


async def post_event(cluster: Cluster, environment: Manifest, event: Event, *, now: datetime) -> None:
    """Write a line for people beside the environment."""
    at = stamp(now)
    manifest = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": f"{environment['name']}.{uuid.uuid4().hex[:16]}",
            "namespace": environment["namespace"],
        },
        "involvedObject": {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "name": environment["name"],
            "namespace": environment["namespace"],
            "uid": environment["uid"],
        },
        "reason": event.reason,
        "message": redact(event.message)[:1000],
        "type": "Warning" if event.warning else "Normal",
        "source": {"component": names.MANAGER},
        "reportingComponent": names.MANAGER,
        "firstTimestamp": at,
        "lastTimestamp": at,
        "count": 1,
    }
    try:
        await cluster.create(manifest)
    except Refused as error:
        log.warning("no event: %s", error)
