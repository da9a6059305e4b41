"""One pass over one environment: observe, decide, act. Everything it remembers between passes may be lost."""

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Final

from payment_operator import names
from payment_operator.clients.protocols import Clients
from payment_operator.decide.decision import decide
from payment_operator.decide.objects import restore
from payment_operator.decide.status.report import read
from payment_operator.effects.reports import DEAD, Reports
from payment_operator.errors import Conflict, OperatorError, Overdue
from payment_operator.metrics import RECONCILE_SECONDS, RECONCILES
from payment_operator.model.actions import Decision
from payment_operator.model.observed import Observed
from payment_operator.model.readable_spec import readable
from payment_operator.observe.cluster_state import SpecInvalid
from payment_operator.observe.observer import Observer
from payment_operator.redaction import redact
from payment_operator.resources.metadata import Manifest
from payment_operator.runtime.condition_metrics import measure_conditions, measure_death
from payment_operator.runtime.executor import Executor
from payment_operator.runtime.rotation_metrics import measure
from payment_operator.runtime.trouble import IN_A_ROW

PASS_SECONDS: Final = 90.0
"""A pass that lasts longer is ended; what it has done stands, as after a crash."""
_utc_now: Final = partial(datetime.now, UTC)


@dataclass
class Memory:
    """What is remembered of one environment."""

    observer: Observer
    executor: Executor
    deaths: int = 0
    """Passes in a row that did not come to their end."""


class Reconciler:
    """Brings environments to what their specs ask for."""

    def __init__(
        self,
        clients: Clients,
        *,
        resync: float,
        unsafe_pods: bool = False,
        request_policy: str = "",
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._clients = clients
        self._cluster = clients.kubernetes
        self._resync = resync
        self._unsafe_pods = unsafe_pods
        self._policy = request_policy
        self._now = now
        self._reports = Reports(clients.kubernetes, now)
        self._memory: dict[names.EnvironmentKey, Memory] = {}

    async def __call__(self, key: names.EnvironmentKey) -> float | None:
        """Make one pass; return after how many seconds to look again, None when the environment is gone."""
        started = time.perf_counter()
        result = "error"
        try:
            again = await self._bounded(key)
            memory = self._memory.get(key)
            result = "error" if memory is not None and memory.executor.trouble.found else "done"
        except Conflict:
            result = "conflict"
            if (memory := self._memory.get(key)) is not None:
                memory.executor.conflicts += 1
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
        now = self._now()
        try:
            observed = await memory.observer.observe(
                environment,
                now=now,
                policy=self._policy,
                unsafe_pods=self._unsafe_pods,
                setbacks=memory.executor.trouble.setbacks(now),
            )
        except SpecInvalid as error:
            await self._restore(environment, memory)
            await self._reports.invalid(environment, str(error))
            measure_death(key)
            return self._resync
        again = await self._decide_and_act(key, observed, memory)
        memory.deaths = 0
        return again

    async def _restore(self, environment: Manifest, memory: Memory) -> None:
        if (left := readable(environment)) is not None:
            observed = await memory.observer.observe_cluster(left, now=self._now())
            await memory.executor.carry_out(observed, Decision([restore(observed)]))

    async def _record_death(self, key: names.EnvironmentKey, error: Exception) -> None:
        """Say in the status what a pass died of; of what may pass by itself, when it did so twice in a row."""
        memory = self._memory.setdefault(key, self._nothing_remembered())
        memory.deaths += 1
        if isinstance(error, OperatorError) and memory.deaths < IN_A_ROW:
            return
        message = f"the pass: {type(error).__name__}: {redact(str(error), memory.observer.secrets)}"
        with suppress(OperatorError):
            environment = await self._cluster.get(names.KIND, *key)
            if environment is not None:
                await self._reports.fault(environment, DEAD, reason="PassFailed", message=message)

    async def _decide_and_act(self, key: names.EnvironmentKey, observed: Observed, memory: Memory) -> float:
        decision, executor = decide(observed), memory.executor
        if decision.afresh:
            self._reports.afresh(key)
        whole = await executor.carry_out(observed, decision)
        executor.conflicts = 0
        await self._reports.write(observed.metadata, decision.status, former=observed.status)
        status = read(decision.status)
        measure(key, status.rotation)
        measure_conditions(key, status.conditions)
        await self._reports.publish(observed, decision)
        resync = self._resync * random.uniform(0.8, 1.2)  # noqa: S311 - jitter
        again = min(resync, decision.again_after or resync)
        return again if whole else min(again, executor.trouble.wait(observed.now))

    def _nothing_remembered(self) -> Memory:
        observer = Observer.of(self._clients)
        return Memory(observer, Executor(self._clients, observer))
