# ruff: noqa: ARG002 - it answers the calls of others
"""The real operator over a world: every pass is of a new process, which remembers nothing and may die at any write."""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from payment_operator.clients.protocols import Clients
from payment_operator.model.key_proof import KeySight
from payment_operator.observe.observer import Observer
from payment_operator.observe.pods import PodWatch
from payment_operator.observe.webhooks import WebhookWatch
from payment_operator.runtime.condition_metrics import measure_conditions
from payment_operator.runtime.executor import Executor, Pass
from payment_operator.runtime.reconciler import Memory, Reconciler
from payment_operator.runtime.rotation_metrics import measure

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from tests.unit.operator.world import World

    from payment_operator.decide.placement import Placement
    from payment_operator.model.actions import Action, Decision, LockRole, Part, PrepareRole
    from payment_operator.model.observed import Bake, ClusterState, Observed, Probe
    from payment_operator.model.webhook import WebhookSight
    from payment_operator.resources.credentials import StagedCredentials
    from payment_operator.resources.metadata import Manifest

_LOOP: list[asyncio.AbstractEventLoop] = []


class Lost(BaseException):
    """The operator dies here."""


class Violated(BaseException):
    """What a world looks at while the operator acts is not so; no part of the operator may contain it."""


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """Run it to its end in a loop of its own, also for a test that runs in one."""
    if not _LOOP:
        _LOOP.append(asyncio.new_event_loop())
    if _LOOP[0].is_running():
        work.close()
        raise Violated("a world that looks while its operator acts may not run it again")
    outer = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    try:
        return _LOOP[0].run_until_complete(work)
    finally:
        asyncio._set_running_loop(outer)


@dataclass
class KeyScript:
    """What a world says of its API keys."""

    world: World

    async def look(self, state: ClusterState) -> KeySight:
        if not state.sources.usable:
            return KeySight()
        return KeySight(self.world.check_key(), settled=self.world.settled)


class PodScript(PodWatch):
    """Probes and the bake as a world has them."""

    world: World

    async def _bake(self, observed: ClusterState, placement: Placement) -> Bake:
        return self.world.bake(placement.active)

    async def _probe(self, observed: ClusterState, placement: Placement) -> dict[str, Probe]:
        return dict(self.world.probes)


class WebhookScript(WebhookWatch):
    """What a world shows of its endpoints."""

    world: World

    async def look(self, observed: ClusterState, staged: StagedCredentials) -> WebhookSight:
        return self.world.webhook_sight(observed)


@dataclass
class SecretKeyScript:
    """What a world's pods say of SECRET_KEY."""

    world: World

    async def look(self, observed: ClusterState, staged: StagedCredentials) -> Any:
        return self.world.secret_key_sight(observed)


def clients(world: World) -> Clients:
    """Whom the operator of a world talks to."""
    world.roles.fault = "" if world.database_answers else "the database is away"
    return Clients(world.api, world.admin, world.stripe_api, world.roles)


def scripted(world: World) -> Observer:
    """An observer that remembers nothing, and learns of Stripe and the bake what the world says."""
    observer = Observer.of(clients(world))
    observer.credentials = KeyScript(world)  # type: ignore[assignment]
    observer.secret_keys = SecretKeyScript(world)  # type: ignore[assignment]
    observer.pods = PodScript(world.admin)
    observer.pods.world = world
    webhooks = WebhookScript(world.admin, observer.webhooks.stripe, calls=world.calls)
    webhooks.world, observer.webhooks = world, webhooks
    return observer


class Acting(Executor):
    """Lets the world see every action, and dies when it is told to."""

    def __init__(self, told: Clients, observer: Observer, world: World, survives: int | None) -> None:
        super().__init__(told, observer)
        self._world, self._survives, self._begun = world, survives, 0

    async def carry_out(self, observed: Observed, decision: Decision) -> bool:
        self._world.decision = decision
        whole = await super().carry_out(observed, decision)
        if self._survives is not None:
            raise Lost
        return whole

    async def _execute(self, action: Action, now: Pass, part: Part) -> None:
        if self._begun == self._survives:
            raise Lost
        self._begun += 1
        try:
            self._world.see(action)
        except Exception as error:
            raise Violated(repr(error)) from error
        await super()._execute(action, now, part)

    async def _work_on_role(self, action: PrepareRole | LockRole, now: Pass, part: Part) -> bool:
        done = await super()._work_on_role(action, now, part)
        if done:
            self._world.lose_half_way()
        return done

    async def _apply(self, observed: Observed, manifest: Manifest) -> None:
        with self._world.around(manifest):
            await super()._apply(observed, manifest)


class Operator(Reconciler):
    """A process that makes one pass."""

    def __init__(self, world: World, *, survives: int | None = None) -> None:
        super().__init__(clients(world), resync=30, now=world.clock)
        self._world, self._survives = world, survives

    def _nothing_remembered(self) -> Memory:
        observer = scripted(self._world)
        return Memory(observer, Acting(self._clients, observer, self._world, self._survives))

    def once(self, seen: Observed | None = None) -> None:
        """Make a pass, or end one that saw this a while ago."""
        key = (self._world.owner.namespace, self._world.owner.name)
        try:
            if seen is None:
                run(self(key))
            else:
                run(self._decide_and_act(key, seen, self._nothing_remembered()))
        finally:
            measure(key, None)
            measure_conditions(key, None)


def nothing_around() -> AbstractContextManager[object]:
    """Nobody dies here."""
    return nullcontext()
