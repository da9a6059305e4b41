"""One pass over one environment: observe, decide, act. Everything it remembers between passes may be lost."""

import asyncio
import logging
import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Final

from payment_operator import names
from payment_operator.clients.kubernetes import Cluster
from payment_operator.clients.pod_admin import Admin
from payment_operator.clients.stripe_endpoints import StripeEndpoints, StripeFault
from payment_operator.clients.stripe_http import StripeHttp
from payment_operator.clients.stripe_probe import StripeProbe
from payment_operator.decide.decision import decide
from payment_operator.decide.objects import restore
from payment_operator.decide.placement import assign
from payment_operator.decide.status.report import read
from payment_operator.decide.unsafe_pods import unsafe_fields
from payment_operator.effects import ownership
from payment_operator.effects.database_roles import work_on_role
from payment_operator.effects.reports import DEAD, Reports
from payment_operator.effects.webhook_endpoints import work_on_endpoint
from payment_operator.errors import ApiError, Conflict, OperatorError, Overdue, Unreachable
from payment_operator.logs import environment_of
from payment_operator.metrics import RECONCILE_SECONDS, RECONCILES, count_release
from payment_operator.model.actions import (
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
    PutToPod,
    UpdateEndpoint,
    batches,
    key_of,
)
from payment_operator.model.holds import write_of
from payment_operator.model.observed import Key, Observed
from payment_operator.model.readable_spec import readable
from payment_operator.observe.cluster_state import SpecInvalid, observe
from payment_operator.observe.credentials import CredentialsWatch
from payment_operator.observe.pods import Watching
from payment_operator.observe.secret_keys import SecretKeyWatch
from payment_operator.observe.webhooks import WebhookWatch
from payment_operator.redaction import redact
from payment_operator.resources.metadata import Manifest
from payment_operator.runtime.condition_metrics import measure_conditions, measure_death
from payment_operator.runtime.rotation_metrics import measure
from payment_operator.runtime.trouble import IN_A_ROW, MOST_CONFLICTS, Trouble

PASS_SECONDS: Final = 90.0
"""A pass that lasts longer is ended; what it has done stands, as after a crash."""
log = logging.getLogger("payment_operator.runtime.reconciler")
_utc_now: Final = partial(datetime.now, UTC)


@dataclass
class Memory:
    """What is remembered of one environment."""

    watching: Watching
    webhooks: WebhookWatch
    credentials: CredentialsWatch
    secret_keys: SecretKeyWatch
    trouble: Trouble = field(default_factory=Trouble)
    deaths: int = 0
    """Passes in a row that did not come to their end."""
    secrets: tuple[str, ...] = ()
    """Of the last observation: no words may hold them."""
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
        request_policy: str = "",
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._cluster = cluster
        self._admin = admin
        self._endpoints = StripeEndpoints(stripe)
        self._probe = StripeProbe(stripe)
        self._resync = resync
        self._unsafe_pods = unsafe_pods
        self._policy = request_policy
        self._now = now
        self._reports = Reports(cluster, now)
        self._memory: dict[names.EnvironmentKey, Memory] = {}

    async def __call__(self, key: names.EnvironmentKey) -> float | None:
        """Make one pass; return after how many seconds to look again, None when the environment is gone."""
        started = time.perf_counter()
        result = "error"
        try:
            again = await self._bounded(key)
            memory = self._memory.get(key)
            result = "error" if memory is not None and memory.trouble.found else "done"
        except Conflict:
            result = "conflict"
            if (memory := self._memory.get(key)) is not None:
                memory.conflicts += 1
            raise
        except Exception as error:
            measure_death(key)
            await self._record_death(key, error)
            raise
        finally:
            RECONCILES.labels(result).inc()
            RECONCILE_SECONDS.observe(time.perf_counter() - started)
        return again

    async def _bounded(self, key: names.EnvironmentKey) -> float | None:
        try:
            async with asyncio.timeout(PASS_SECONDS) as limit:
                return await self._pass(key)
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise Overdue(f"it did not end in {PASS_SECONDS:.0f} s") from error

    async def _pass(self, key: names.EnvironmentKey) -> float | None:
        environment = await self._cluster.get(names.KIND, *key)
        if environment is None or "deletionTimestamp" in environment["metadata"]:
            self._memory.pop(key, None)
            measure(key, None)
            measure_conditions(key, None)
            await self._reports.gone(key)
            return None
        memory = self._memory.setdefault(key, self._nothing_remembered())
        try:
            observed = await observe(self._cluster, environment, now=self._now(), policy=self._policy)
        except SpecInvalid as error:
            await self._restore(environment, memory)
            await self._reports.invalid(environment, str(error))
            measure_death(key)
            return self._resync
        memory.secrets = observed.sources.secrets
        again = await self._look_and_act(key, observed, memory)
        memory.deaths = 0
        return again

    async def _restore(self, environment: Manifest, memory: Memory) -> None:
        if (left := readable(environment)) is not None:
            observed = await observe(self._cluster, left, now=self._now())
            await self._act(observed, Decision([restore(observed)]), memory)

    async def _record_death(self, key: names.EnvironmentKey, error: Exception) -> None:
        """Say in the status what a pass died of; of what may pass by itself, when it did so twice in a row."""
        memory = self._memory.setdefault(key, self._nothing_remembered())
        memory.deaths += 1
        if isinstance(error, OperatorError) and memory.deaths < IN_A_ROW:
            return
        message = f"the pass: {type(error).__name__}: {redact(str(error), memory.secrets)}"
        with suppress(OperatorError):
            environment = await self._cluster.get(names.KIND, *key)
            if environment is not None:
                await self._reports.fault(environment, DEAD, reason="PassFailed", message=message)

    async def _look_and_act(self, key: names.EnvironmentKey, observed: Observed, memory: Memory) -> float:
        unsafe = () if self._unsafe_pods else unsafe_fields(observed.spec)
        observed = replace(memory.trouble.shown(observed), unsafe=unsafe)
        observed = await memory.credentials.look(observed)
        observed = await memory.watching.look(observed, assign(observed))
        observed = await memory.webhooks.look(observed)
        observed = await memory.secret_keys.look(observed)
        memory.watching.forget(observed)
        decision = decide(observed)
        whole = await self._act(observed, decision, memory)
        memory.conflicts = 0
        await self._reports.write(observed.metadata, decision.status, former=observed.status)
        status = read(decision.status)
        measure(key, status.rotation)
        measure_conditions(key, status.conditions)
        await self._reports.publish(observed, decision)
        resync = self._resync * random.uniform(0.8, 1.2)  # noqa: S311 - jitter
        again = min(resync, decision.again_after or resync)
        return again if whole else min(again, memory.trouble.wait(observed.now))

    def _nothing_remembered(self) -> Memory:
        return Memory(
            Watching(self._admin),
            WebhookWatch(self._admin, self._endpoints),
            CredentialsWatch(self._probe),
            SecretKeyWatch(self._admin),
        )

    async def _act(self, observed: Observed, decision: Decision, memory: Memory) -> bool:
        """Carry it out, part by part; tell whether all of it could be."""
        if decision.afresh:
            memory.trouble.holds.found.clear()
            self._reports.afresh((observed.owner.namespace, observed.owner.name))
        trouble = Trouble(memory.trouble.holds)
        for part in decision.parts:
            if part.fault is not None:
                where = environment_of(observed.owner)
                log.error("a part of the pass failed: %s", part.name, exc_info=part.fault, extra=where)
                trouble.failed(part.name, part.fault, secrets=observed.sources.secrets)
            for batch in batches(part.actions):
                attempts = (self._attempt(action, observed, part, memory, trouble) for action in batch)
                if not all(await asyncio.gather(*attempts)) and not part.independent:
                    part.again_after = None  # it did not come to what was to be looked at
                    part.events.clear()
                    break
            else:
                count_release(part.durations, part.outcomes)
        memory.trouble = trouble.after(memory.trouble, now=observed.now)
        return not trouble.found

    async def _attempt(self, action: Action, observed: Observed, part: Part, memory: Memory, trouble: Trouble) -> bool:
        now, secrets = observed.now, observed.sources.secrets
        if trouble.too_early(action, part.name, now=now, secrets=secrets):
            return False
        try:
            await self._do(action, observed, part, memory)
        except Exception as error:
            if isinstance(error, Unreachable) or (isinstance(error, Conflict) and memory.conflicts < MOST_CONFLICTS):
                raise
            if not isinstance(error, ApiError):
                log.exception("a part of the pass failed: %s", part.name, extra=environment_of(observed.owner))
            trouble.vain(action, part.name, error, now=now, secrets=secrets)
            log.warning("in vain: %s", trouble.last, extra=environment_of(observed.owner))
            return False
        trouble.holds.done(write_of(action))
        return True

    async def _do(self, action: Action, observed: Observed, part: Part, memory: Memory) -> None:
        if isinstance(action, PutToPod):
            if (seconds := await memory.watching.put(observed, action)) is not None:
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
        written = await ownership.apply(self._cluster, observed, manifest)
        memory.applied[key] = (written["metadata"]["resourceVersion"], manifest)
        log.info("applied %s %s", *key, extra=environment_of(observed.owner))

    async def _write(self, observed: Observed, action: Action) -> None:
        namespace = observed.owner.namespace
        match action:
            case Create(manifest):
                if await ownership.create(self._cluster, observed.owner, manifest):
                    log.info("created %s %s", *key_of(manifest), extra=environment_of(observed.owner))
            case Patch(kind, name, operations, subresource):
                await self._cluster.patch(kind, namespace, name, operations, subresource=subresource)
                log.info("patched %s %s", kind, name, extra=environment_of(observed.owner))
            case Delete(kind, name, uid):
                await self._cluster.delete(kind, namespace, name, uid=uid)
                log.info("deleted %s %s", kind, name, extra=environment_of(observed.owner))
