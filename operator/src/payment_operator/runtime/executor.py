"""Carries out a decision, part by part: what is refused or fails keeps nothing else back, and is told."""

import asyncio
import logging
from dataclasses import dataclass

from payment_operator.clients.protocols import Clients
from payment_operator.clients.stripe_endpoints import StripeFault
from payment_operator.effects import ownership
from payment_operator.effects.database_roles import work_on_role
from payment_operator.effects.webhook_endpoints import work_on_endpoint
from payment_operator.errors import ApiError, Conflict, Unreachable
from payment_operator.logs import environment_of
from payment_operator.metrics import count_release
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
from payment_operator.observe.observer import Observer
from payment_operator.resources.credentials import StagedCredentials
from payment_operator.resources.metadata import Manifest
from payment_operator.runtime.trouble import MOST_CONFLICTS, Trouble

log = logging.getLogger("payment_operator.runtime.reconciler")


@dataclass(frozen=True)
class Pass:
    """What the actions of one pass share."""

    observed: Observed
    staged: StagedCredentials
    trouble: Trouble

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no words may hold."""
        return (*self.observed.sources.secrets, *self.staged.secrets)


class Executor:
    """Acts for one environment; all that it remembers can be lost."""

    def __init__(self, clients: Clients, observer: Observer) -> None:
        self._clients = clients
        self._observer = observer
        self.trouble = Trouble()
        """Of the last pass."""
        self.conflicts = 0
        """Passes in a row that ended because something was not as it was read."""
        self._applied: dict[Key, tuple[str, Manifest]] = {}
        """What an object was after it was applied: the API server may store it in another form."""

    async def carry_out(self, observed: Observed, decision: Decision) -> bool:
        """Do what was decided; tell whether all of it could be done."""
        if decision.afresh:
            self.trouble.holds.found.clear()
        now = Pass(observed, decision.staged, Trouble(self.trouble.holds))
        for part in decision.parts:
            if part.fault is not None:
                where = environment_of(observed.owner)
                log.error("a part of the pass failed: %s", part.name, exc_info=part.fault, extra=where)
                now.trouble.failed(part.name, part.fault, secrets=now.secrets)
            for batch in batches(part.actions):
                attempts = (self._attempt(action, now, part) for action in batch)
                if not all(await asyncio.gather(*attempts)) and not part.independent:
                    part.again_after = None  # it did not come to what was to be looked at
                    part.events.clear()
                    break
            else:
                count_release(part.durations, part.outcomes)
        self.trouble = now.trouble.after(self.trouble, now=observed.now)
        return not now.trouble.found

    async def _attempt(self, action: Action, now: Pass, part: Part) -> bool:
        observed, trouble, secrets = now.observed, now.trouble, now.secrets
        if trouble.too_early(action, part.name, now=observed.now, secrets=secrets):
            return False
        try:
            await self._execute(action, now, part)
        except Exception as error:
            if isinstance(error, Unreachable) or (isinstance(error, Conflict) and self.conflicts < MOST_CONFLICTS):
                raise
            if not isinstance(error, ApiError):
                log.exception("a part of the pass failed: %s", part.name, extra=environment_of(observed.owner))
            trouble.not_done(action, part.name, error, now=observed.now, secrets=secrets)
            log.warning("not done, to be tried again: %s", trouble.last, extra=environment_of(observed.owner))
            return False
        trouble.holds.done(write_of(action))
        return True

    async def _execute(self, action: Action, now: Pass, part: Part) -> None:
        if isinstance(action, PutToPod):
            if (seconds := await self._observer.pods.put(now.observed, action)) is not None:
                part.look_again(seconds)
        elif isinstance(action, Apply):
            await self._apply(now.observed, action.manifest)
        elif isinstance(action, CreateEndpoint | UpdateEndpoint | DeleteEndpoint):
            await self._work_on_endpoint(action, now, part)
        elif isinstance(action, PrepareRole | LockRole):
            if await self._work_on_role(action, now, part):
                await self._write(now.observed, action.then)
        else:
            await self._write(now.observed, action)

    async def _work_on_endpoint(self, action: EndpointAction, now: Pass, part: Part) -> None:
        observed, webhooks = now.observed, self._observer.webhooks
        try:
            then = await work_on_endpoint(action, webhooks.stripe, observed, part, staged=now.staged)
        except StripeFault as fault:
            log.warning("no change of a webhook endpoint: %s", fault, extra=environment_of(observed.owner))
            part.look_again(webhooks.calls.failed(str(fault), now=observed.now))
            return
        webhooks.done()
        if then is not None:
            await self._apply(observed, then.manifest)

    async def _work_on_role(self, action: PrepareRole | LockRole, now: Pass, part: Part) -> bool:
        roles, backoff = self._clients.roles, self._observer.roles
        return await work_on_role(action, roles, backoff, now.observed, part, secrets=now.secrets)

    async def _apply(self, observed: Observed, manifest: Manifest) -> None:
        key = key_of(manifest)
        live = observed.objects.get(key)
        if live is not None and self._applied.get(key) == (live["metadata"]["resourceVersion"], manifest):
            return
        written = await ownership.apply(self._clients.kubernetes, observed, manifest)
        self._applied[key] = (written["metadata"]["resourceVersion"], manifest)
        log.info("applied %s %s", *key, extra=environment_of(observed.owner))

    async def _write(self, observed: Observed, action: Create | Patch | Delete) -> None:
        cluster, namespace, where = self._clients.kubernetes, observed.owner.namespace, environment_of(observed.owner)
        match action:
            case Create(manifest):
                if await ownership.create(cluster, observed.owner, manifest):
                    log.info("created %s %s", *key_of(manifest), extra=where)
            case Patch(kind, name, operations, subresource):
                await cluster.patch(kind, namespace, name, operations, subresource=subresource)
                log.info("patched %s %s", kind, name, extra=where)
            case Delete(kind, name, uid):
                await cluster.delete(kind, namespace, name, uid=uid)
                log.info("deleted %s %s", kind, name, extra=where)
