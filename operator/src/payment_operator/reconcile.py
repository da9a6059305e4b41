"""One pass over one environment: observe, decide, act. Everything it remembers between passes may be lost."""

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

import msgspec

from payment_operator import claims, names
from payment_operator.actions import (
    Action,
    Apply,
    Create,
    CreateEndpoint,
    Decision,
    Delete,
    DeleteEndpoint,
    EndpointAction,
    LockRole,
    Part,
    Patch,
    PrepareRole,
    Tell,
    UpdateEndpoint,
    key_of,
)
from payment_operator.admin import Admin
from payment_operator.cluster import Cluster
from payment_operator.condition_metrics import measure_conditions
from payment_operator.conditions import Finding, Status, stamped
from payment_operator.credentials_watch import CredentialsWatch
from payment_operator.decide.decision import REQUESTS, decide
from payment_operator.decide.roles import assign
from payment_operator.decide.unsafe_pods import unsafe_fields
from payment_operator.endpoint_work import work_on_endpoint
from payment_operator.errors import ApiError, Conflict, OperatorError, Refused, Unreachable
from payment_operator.events import post_event
from payment_operator.logs import environment_of
from payment_operator.metrics import RECONCILE_SECONDS, RECONCILES, RELEASES, STEP_SECONDS
from payment_operator.observe import SpecInvalid, observe
from payment_operator.observed import Key, Observed
from payment_operator.queue import Key as EnvironmentKey
from payment_operator.record import stamp
from payment_operator.redaction import redact, redact_value
from payment_operator.resources.metadata import Manifest
from payment_operator.role_work import work_on_role
from payment_operator.rotation_metrics import measure
from payment_operator.secret_key_watch import SecretKeyWatch
from payment_operator.status import read
from payment_operator.stripe_endpoints import StripeEndpoints, StripeFault
from payment_operator.stripe_http import StripeHttp
from payment_operator.stripe_probe import StripeProbe
from payment_operator.trouble import Trouble
from payment_operator.watching import Watching
from payment_operator.webhook_watch import WebhookWatch

MOST_CONFLICTS: Final = 5
"""Passes in a row; more, and it is no old view."""
log = logging.getLogger("payment_operator.reconcile")


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Memory:
    """What is remembered of one environment."""

    watching: Watching
    webhooks: WebhookWatch
    credentials: CredentialsWatch
    secret_keys: SecretKeyWatch
    trouble: Trouble = field(default_factory=Trouble)
    conflicts: int = 0
    """Passes in a row that ended because something was not as it was read."""
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
        unsafe_pods: bool = False,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._cluster = cluster
        self._admin = admin
        self._endpoints = StripeEndpoints(stripe)
        self._probe = StripeProbe(stripe)
        self._resync = resync
        self._unsafe_pods = unsafe_pods
        self._now = now
        self._memory: dict[EnvironmentKey, Memory] = {}

    async def __call__(self, key: EnvironmentKey) -> float | None:
        """Make one pass; return after how many seconds to look again, None when the environment is gone."""
        started = time.perf_counter()
        result = "error"
        try:
            again = await self._pass(key)
            memory = self._memory.get(key)
            result = "error" if memory is not None and memory.trouble.found else "done"
        except Conflict:
            result = "conflict"
            if (memory := self._memory.get(key)) is not None:
                memory.conflicts += 1
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
            measure_conditions(key, None)
            return None
        memory = self._memory.setdefault(key, self._nothing_remembered())
        try:
            observed = await observe(self._cluster, environment, now=self._now())
        except SpecInvalid as error:
            invalid: dict[str, Status] = {"Ready": "False", "Stalled": "True"}
            await self._report(environment, invalid, reason="SpecInvalid", message=str(error))
            return self._resync
        try:
            return await self._look_and_act(key, observed, memory)
        except OperatorError:
            raise
        except Exception as error:
            words = f"the pass: {type(error).__name__}: {redact(str(error), observed.sources.secrets)}"
            await self._report(environment, {"Ready": "False", "Failing": "True"}, reason="PassFailed", message=words)
            raise

    async def _look_and_act(self, key: EnvironmentKey, observed: Observed, memory: Memory) -> float:
        trouble = memory.trouble
        unsafe = () if self._unsafe_pods else unsafe_fields(observed.spec)
        observed = replace(observed, refusals=trouble.refusals, faults=trouble.lasting, unsafe=unsafe)
        observed = await memory.credentials.look(observed)
        observed = await memory.watching.look(observed, assign(observed))
        observed = await memory.webhooks.look(observed)
        observed = await memory.secret_keys.look(observed)
        memory.watching.forget(observed)
        decision = decide(observed)
        whole = await self._act(observed, decision, memory)
        memory.conflicts = 0
        await self._write_status(observed, decision.status)
        status = read(decision.status)
        measure(key, status.rotation)
        measure_conditions(key, status.conditions)
        await self._tell_people(observed, decision)
        resync = self._resync * random.uniform(0.8, 1.2)  # noqa: S311 - jitter
        again = min(resync, decision.again_after or resync)
        return again if whole else min(again, memory.trouble.wait)

    def _nothing_remembered(self) -> Memory:
        return Memory(
            Watching(self._admin),
            WebhookWatch(self._admin, self._endpoints),
            CredentialsWatch(self._probe),
            SecretKeyWatch(self._admin),
        )

    async def _act(self, observed: Observed, decision: Decision, memory: Memory) -> bool:
        """Carry it out, part by part; tell whether all of it could be."""
        trouble = Trouble()
        for part in decision.parts:
            if part.fault is not None:
                where = environment_of(observed.owner)
                log.error("a part of the pass failed: %s", part.name, exc_info=part.fault, extra=where)
                trouble.failed(part.name, part.fault, secrets=observed.sources.secrets)
            for action in part.actions:
                done = await self._attempt(action, observed, part, memory, trouble)
                if not done and not part.independent:
                    part.again_after = None  # it did not come to what was to be looked at
                    part.events.clear()
                    break
            else:
                for step, seconds in part.durations:
                    STEP_SECONDS.labels(step).observe(seconds)
                for outcome in part.outcomes:
                    RELEASES.labels(outcome).inc()
        if decision.parts[0].name != REQUESTS:  # nothing else was tried
            memory.trouble = trouble.after(memory.trouble)
        return not trouble.found

    async def _attempt(self, action: Action, observed: Observed, part: Part, memory: Memory, trouble: Trouble) -> bool:
        try:
            await self._do(action, observed, part, memory)
        except Unreachable:
            raise
        except Conflict as error:
            if memory.conflicts < MOST_CONFLICTS:
                raise
            trouble.failed(part.name, error, secrets=observed.sources.secrets)
        except Refused as error:
            trouble.refused(action, error)
        except ApiError as error:
            trouble.failed(part.name, error, secrets=observed.sources.secrets)
        except Exception as error:
            log.exception("a part of the pass failed: %s", part.name, extra=environment_of(observed.owner))
            trouble.failed(part.name, error, secrets=observed.sources.secrets)
        else:
            return True
        log.warning("in vain: %s", trouble.last, extra=environment_of(observed.owner))
        return False

    async def _do(self, action: Action, observed: Observed, part: Part, memory: Memory) -> None:
        if isinstance(action, Tell):
            if (seconds := await memory.watching.tell(observed, action)) is not None:
                part.look_again(seconds)
        elif isinstance(action, Apply):
            await self._apply(observed, action.manifest, memory)
        elif isinstance(action, CreateEndpoint | UpdateEndpoint | DeleteEndpoint | PrepareRole | LockRole):
            await self._rotate(action, observed, part, memory)
        else:
            await self._write(observed, action)

    async def _rotate(
        self, action: EndpointAction | PrepareRole | LockRole, observed: Observed, part: Part, memory: Memory
    ) -> None:
        if not isinstance(action, PrepareRole | LockRole):
            await self._work_on_endpoint(action, observed, part, memory)
        elif await work_on_role(action, memory.credentials.roles, observed, part):
            await self._write(observed, action.then)

    async def _work_on_endpoint(self, action: EndpointAction, observed: Observed, part: Part, memory: Memory) -> None:
        try:
            then = await work_on_endpoint(action, self._endpoints, observed, part)
        except StripeFault as fault:
            log.warning("no change of a webhook endpoint: %s", fault, extra=environment_of(observed.owner))
            part.look_again(memory.webhooks.calls.failed(str(fault), now=observed.now))
            return
        memory.webhooks.done()
        if then is not None:
            await self._apply(observed, then.manifest, memory)

    async def _apply(self, observed: Observed, manifest: Manifest, memory: Memory) -> None:
        key = key_of(manifest)
        live = observed.objects.get(key)
        if live is not None and memory.applied.get(key) == (live["metadata"]["resourceVersion"], manifest):
            return
        written = await claims.apply(self._cluster, observed, manifest)
        memory.applied[key] = (written["metadata"]["resourceVersion"], manifest)
        log.info("applied %s %s", *key, extra=environment_of(observed.owner))

    async def _write(self, observed: Observed, action: Action) -> None:
        namespace = observed.owner.namespace
        match action:
            case Create(manifest):
                if await claims.create(self._cluster, observed.owner, manifest):
                    log.info("created %s %s", *key_of(manifest), extra=environment_of(observed.owner))
            case Patch(kind, name, operations, subresource):
                await self._cluster.patch(kind, namespace, name, operations, subresource=subresource)
                log.info("patched %s %s", kind, name, extra=environment_of(observed.owner))
            case Delete(kind, name, uid):
                await self._cluster.delete(kind, namespace, name, uid=uid)
                log.info("deleted %s %s", kind, name, extra=environment_of(observed.owner))

    async def _write_status(self, observed: Observed, status: Manifest) -> None:
        await self._put_status(observed.metadata, status, former=observed.status)

    async def _report(self, environment: Manifest, types: dict[str, Status], *, reason: str, message: str) -> None:
        """Write these conditions over a status that is otherwise left as it is."""
        metadata, status = environment["metadata"], msgspec.to_builtins(read(environment.get("status") or {}))
        kept = [entry for entry in status.get("conditions") or [] if entry["type"] not in types]
        findings = [Finding(name, state, reason, message) for name, state in types.items()]
        generation = metadata.get("generation", 0)
        former = status.get("conditions") or []
        fresh = stamped(findings, former=former, generation=generation, now=stamp(self._now()))
        wanted = status | {"conditions": [*kept, *msgspec.to_builtins(fresh)], "observedGeneration": generation}
        await self._put_status(metadata, wanted, former=status)

    async def _put_status(self, metadata: Manifest, status: Manifest, *, former: Manifest) -> None:
        """Write a status that differs from the former one: the one way for words to get there."""
        status = redact_value(status)
        if read(status) == read(former):
            return
        operations = [{"op": "add", "path": "/status", "value": status}]
        name, namespace = metadata["name"], metadata["namespace"]
        await self._cluster.patch(names.KIND, namespace, name, operations, subresource="status")

    async def _tell_people(self, observed: Observed, decision: Decision) -> None:
        for event in decision.events:
            log.info("%s: %s", event.reason, event.message, extra=environment_of(observed.owner))
            await post_event(self._cluster, observed.metadata, event, now=self._now())
