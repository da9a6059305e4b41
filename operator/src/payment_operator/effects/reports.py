"""Words about an environment: its status, the conditions of a pass that died, and Events."""

import logging
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any, Final

import msgspec

from payment_operator import names
from payment_operator.clients.protocols import Kubernetes
from payment_operator.decide.status import faults
from payment_operator.decide.status.report import read
from payment_operator.effects.events import post_event
from payment_operator.effects.request_answers import refuse
from payment_operator.errors import ApiError, Conflict
from payment_operator.logs import environment_of
from payment_operator.model.actions import Decision, Event
from payment_operator.model.conditions import Finding, Status, stamped
from payment_operator.model.holds import Holds
from payment_operator.model.observed import Observed
from payment_operator.names import EnvironmentKey
from payment_operator.redaction import redact_value
from payment_operator.resources.metadata import Manifest
from payment_operator.resources.release_record import stamp

INVALID: Final[dict[str, Status]] = {"Ready": "False", "Stalled": "True", "Failing": "True"}
DEAD: Final[dict[str, Status]] = {"Ready": "False", "Failing": "True"}
"""Of a pass that did not come to its end."""
STATUS, ANSWERS = "status", "answers"
log: Final = logging.getLogger("payment_operator.runtime.reconciler")


class Reports:
    """The one way for words to get into the cluster."""

    def __init__(self, cluster: Kubernetes, now: Callable[[], datetime]) -> None:
        self._cluster = cluster
        self._now = now
        self._holds = Holds()

    def afresh(self, key: EnvironmentKey) -> None:
        """Try at once again what was refused."""
        for what in (STATUS, ANSWERS):
            self._holds.done(_write(key, what))

    async def write(self, metadata: Manifest, status: Manifest, *, former: Manifest) -> None:
        """Write a status that differs from the former one."""
        if status == former:
            return
        status = redact_value(status)
        if read(status) == read(former):
            return
        operations = [{"op": "add", "path": "/status", "value": status}]
        name, namespace = metadata["name"], metadata["namespace"]
        patch = self._cluster.patch(names.KIND, namespace, name, operations, subresource="status")
        await self._bounded((namespace, name), STATUS, patch)

    async def fault(self, environment: Manifest, types: dict[str, Status], *, reason: str, message: str) -> None:
        """Write these conditions over a status that is otherwise left as it is, and an Event once."""
        metadata, status = environment["metadata"], msgspec.to_builtins(read(environment.get("status") or {}))
        kept = [entry for entry in status.get("conditions") or [] if entry["type"] not in types]
        findings = [Finding(name, state, reason, message) for name, state in types.items()]
        generation = metadata.get("generation", 0)
        former = status.get("conditions") or []
        fresh = stamped(findings, former=former, generation=generation, now=stamp(self._now()))
        wanted = status | {"conditions": [*kept, *msgspec.to_builtins(fresh)], "observedGeneration": generation}
        await self.write(metadata, wanted, former=status)
        if faults.new(wanted, than=status):
            await post_event(self._cluster, metadata, Event(reason, message, warning=True), now=self._now())

    async def invalid(self, environment: Manifest, why: str) -> None:
        """Say that a spec cannot be read, and answer what is asked of such an environment."""
        await self.fault(environment, INVALID, reason="SpecInvalid", message=why)
        metadata = environment["metadata"]
        said = f"the environment's spec cannot be read: {why}"
        key = (metadata["namespace"], metadata["name"])
        await self._bounded(key, ANSWERS, refuse(self._cluster, key, said, now=self._now()))

    async def gone(self, key: EnvironmentKey) -> None:
        """Answer what is asked of an environment that does not exist."""
        said = f"there is no PaymentEnvironment {key[1]} in {key[0]}"
        await self._bounded(key, ANSWERS, refuse(self._cluster, key, said, now=self._now()))

    async def publish(self, observed: Observed, decision: Decision) -> None:
        """Post the decision's Events."""
        for event in decision.events:
            log.info("%s: %s", event.reason, event.message, extra=environment_of(observed.owner))
            await post_event(self._cluster, observed.metadata, event, now=self._now())

    async def _bounded(self, key: EnvironmentKey, what: str, write: Coroutine[Any, Any, object]) -> None:
        """Write, unless the API server has refused it a moment ago: then that is told once more."""
        now, name = self._now(), _write(key, what)
        self._holds.tidy(now=now)
        if (hold := self._holds.held(name, now=now)) is not None:
            write.close()
            raise hold.error
        try:
            await write
        except ApiError as error:
            if not isinstance(error, Conflict):
                self._holds.failed(name, error, now=now)
            raise
        self._holds.done(name)


def _write(key: EnvironmentKey, what: str) -> str:
    return f"{what} {'/'.join(key)}"
