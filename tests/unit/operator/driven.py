# ruff: noqa: ARG002 - it answers the calls of others
"""The real reconciler over the cluster in memory, which can refuse writes as an API server does."""

from __future__ import annotations

import base64
import copy
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from tests.unit.operator.world import OWNER, World

from payment_operator import names
from payment_operator.clients.protocols import Clients
from payment_operator.errors import Conflict, OperatorError
from payment_operator.model.actions import Apply, Create, Delete, Patch
from payment_operator.model.key_proof import KeySight
from payment_operator.model.observed import ClusterState, Probe
from payment_operator.model.webhook import WebhookSight
from payment_operator.runtime.reconciler import Memory, Reconciler

if TYPE_CHECKING:
    from collections.abc import Callable

    from payment_operator.model.pod import Pod
    from payment_operator.resources.credentials import StagedCredentials

KEY = (OWNER.namespace, OWNER.name)
Manifest = dict[str, Any]


def allow(verb: str, kind: str, name: str) -> OperatorError | None:
    """Refuse nothing."""


@dataclass
class Store:
    """What the reconciler asks of the API server, answered by a `World`."""

    world: World
    refuse: Callable[[str, str, str], OperatorError | None] = allow
    events: list[tuple[str, str]] = field(default_factory=list)
    calls: list[tuple[str, str, str]] = field(default_factory=list)
    warnings: list[Manifest] = field(default_factory=list)
    """Events of Kubernetes' own."""
    foreign: dict[tuple[str, str], Manifest] = field(default_factory=dict)
    """Objects without our labels."""

    def _check(self, verb: str, kind: str, name: str) -> None:
        self.calls.append((verb, kind, name))
        if (error := self.refuse(verb, kind, name)) is not None:
            raise error

    def _environment(self) -> Manifest:
        metadata = dict(self.world.observe().metadata)
        return {
            "metadata": metadata,
            "spec": copy.deepcopy(self.world.spec),
            "status": copy.deepcopy(self.world.status),
        }

    async def get(self, kind: str, namespace: str, name: str) -> Manifest | None:
        if kind == names.KIND:
            return self._environment()
        if kind == "Secret" and name == "payments":
            values = (self.world.source or {}).items()
            return {"data": {key: base64.b64encode(value.encode()).decode() for key, value in values}}
        return self.foreign.get((kind, name)) or self.world.objects.get((kind, name))

    async def list_all(self, kind: str, namespace: str, *, selector: str = "", fields: str = "") -> list[Manifest]:
        if kind == "Event":
            return [event for event in self.warnings if event["involvedObject"]["uid"] in fields]
        if kind == "Pod":
            return list(self.world.pods.values())
        if kind == "EndpointSlice":
            return [_slice(service, uids) for service, uids in self.world._serving().items()]
        return [item for (found, _), item in list(self.world.objects.items()) if found == kind]

    async def apply(self, manifest: Manifest, *, force: bool = True) -> Manifest:
        kind, name = manifest["kind"], manifest["metadata"]["name"]
        self._check("apply", kind, name)
        if (kind, name) in self.foreign and not force:
            raise Conflict(409, "Conflict", "Apply failed with 1 conflict")
        self.foreign.pop((kind, name), None)  # taken over
        live, uid = self.world.objects.get((kind, name)), manifest["metadata"].get("uid")
        if uid and (live is None or live["metadata"]["uid"] != uid):
            raise Conflict(409, "Conflict", "Precondition failed: UID in precondition")
        self.world.perform(Apply(manifest))
        return self.world.objects[kind, name]

    async def create(self, manifest: Manifest) -> Manifest:
        kind, name = manifest["kind"], manifest["metadata"]["name"]
        self._check("create", kind, name)
        if kind == "Event":
            self.events.append((manifest["reason"], manifest["message"]))
            return manifest
        if (kind, name) in self.world.objects or (kind, name) in self.foreign:
            raise Conflict(409, "AlreadyExists", f"{kind} {name} already exists")
        self.world.perform(Create(manifest))
        return manifest

    async def patch(
        self, kind: str, namespace: str, name: str, operations: tuple[Manifest, ...], *, subresource: str = ""
    ) -> Manifest:
        self._check("patch", kind, name)
        if subresource == "status" and kind == names.KIND:
            self.world.status = copy.deepcopy(operations[0]["value"])
        else:
            self.world.perform(Patch(kind, name, tuple(operations)))
        return {}

    async def delete(self, kind: str, namespace: str, name: str, *, uid: str = "") -> None:
        self._check("delete", kind, name)
        self.world.perform(Delete(kind, name, uid))

    async def log(self, namespace: str, pod: str) -> str:
        return ""


def _slice(service: str, uids: frozenset[str]) -> Manifest:
    ready = [{"conditions": {"ready": True}, "targetRef": {"uid": uid}} for uid in uids]
    return {"metadata": {"labels": {"kubernetes.io/service-name": service}}, "endpoints": ready}


@dataclass
class Ports:
    """The pods' admin ports."""

    world: World
    text: Callable[[Pod], str | None] = lambda _: None
    takes: bool = True
    accepts: Callable[[Pod], int] = lambda _: 200
    """What the API answers to the probe key."""

    async def put(self, pod: Pod, path: str, body: dict[str, bool], *, token: str) -> bool:
        if self.takes:
            self.world.told[pod.uid, path] = next(iter(body.values()))
        return self.takes

    async def metrics(self, pod: Pod) -> str | None:
        return self.text(pod)

    async def try_key(self, pod: Pod, key: str) -> int:
        return self.accepts(pod)

    async def probe(self, pod: Pod, *, token: str) -> Probe:
        return Probe()

    async def status(self, pod: Pod, *, token: str) -> Manifest:
        return {}


class _Credentials:
    """The key in the Secret counts as proven."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def look(self, state: ClusterState) -> KeySight:
        return KeySight(self._world._check()) if state.sources.usable else KeySight()


class _Webhooks:
    """There is no Stripe."""

    async def look(self, state: ClusterState, staged: StagedCredentials) -> WebhookSight:
        return WebhookSight()


class Driven(Reconciler):
    """One environment, pass by pass, on a clock of its own."""

    def __init__(
        self, world: World, *, store: Store | None = None, ports: Ports | None = None, request_policy: str = ""
    ) -> None:
        self.world, self.store = world, store or Store(world)
        self.ports = ports or Ports(world)
        super().__init__(
            Clients(self.store, self.ports, None, None),  # type: ignore[arg-type]
            resync=30,
            request_policy=request_policy,
            now=lambda: world.now,
        )

    def _nothing_remembered(self) -> Memory:
        memory = super()._nothing_remembered()
        seeing = memory.observer
        seeing.credentials, seeing.webhooks = _Credentials(self.world), _Webhooks()  # type: ignore[assignment]
        return memory

    async def passes(self, count: int, *, seconds: float = 5) -> list[Exception]:
        """Make passes; return what they died of."""
        died: list[Exception] = []
        for _ in range(count):
            try:
                await self((self.world.owner.namespace, self.world.owner.name))
            except Exception as error:  # noqa: BLE001 - what a pass dies of is the question
                died.append(error)
            self.world.progress()
            self.world.now += timedelta(seconds=seconds)
        return died

    def told(self, reason: str) -> list[str]:
        """The messages of Events with this reason."""
        return [message for found, message in self.store.events if found == reason]
