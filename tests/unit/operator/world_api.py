"""The API server of a world: in memory and strict, with what people and kubelets keep in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from typing import TYPE_CHECKING, Any

from payment_operator import names
from payment_operator.testing import InMemoryKubernetes
from payment_operator.testing.kubernetes import APPLY, UPDATE

if TYPE_CHECKING:
    from tests.unit.operator.world import World

    from payment_operator.errors import OperatorError

Manifest = dict[str, Any]
Key = tuple[str, str]
SOURCE_SECRET = "payments"
HIDDEN = frozenset({names.KIND, "Pod", "EndpointSlice"})
"""Kinds that have fields of their own in a world."""


def allow(verb: str, kind: str, name: str) -> OperatorError | None:
    """Refuse nothing."""


class Store(InMemoryKubernetes):
    """Counts what the operator writes, keeps its Events apart, and may refuse what an API server may refuse."""

    def __init__(self, world: World, refuse: Callable[[str, str, str], OperatorError | None] = allow) -> None:
        super().__init__(now=self._clock, admit=self._policy)
        self.world, self.refuse = world, refuse
        self.events: list[tuple[str, str]] = []
        self.warnings: list[Manifest] = []
        """Events of Kubernetes' own."""
        self.foreign_keys: set[Key] = set()
        if (former := world.__dict__.get("api")) is not None:
            self.objects, self._owned, self._made = former.objects, former._owned, former._made
        world.api = self

    def _clock(self) -> Any:
        return self.world.now

    def _policy(self, verb: str, kind: str, name: str) -> OperatorError | None:
        return self.refuse(verb, kind, name)

    @property
    def foreign(self) -> Foreign:
        """Objects of others."""
        return Foreign(self)

    def is_foreign(self, key: Key) -> bool:
        """Whether an object is somebody else's, untouched."""
        managers = self.managers((key[0], self.world.owner.namespace, key[1]))
        return key in self.foreign_keys and not managers.keys() & {APPLY, UPDATE}

    async def list_all(
        self, kind: str, namespace: str | None, *, selector: str = "", fields: str = ""
    ) -> list[Manifest]:
        if kind == "Event":
            return [event for event in self.warnings if event["involvedObject"]["uid"] in fields]
        return await super().list_all(kind, namespace, selector=selector, fields=fields)

    async def apply(self, manifest: Manifest, *, force: bool = True) -> Manifest:
        before = self.writes
        found = await super().apply(manifest, force=force)
        self.world.writes += self.writes - before
        return found

    async def create(self, manifest: Manifest) -> Manifest:
        if manifest["kind"] == "Event":
            self._admitted("create", ("Event", self.world.owner.namespace, manifest["metadata"]["name"]))
            self.events.append((manifest["reason"], manifest["message"]))
            return manifest
        made = await super().create(manifest)
        self.world.writes += 1
        if manifest["kind"] == "Job":
            self.world.jobs_made.append(manifest["metadata"]["name"])
        return made

    async def patch(self, kind: str, namespace: str, name: str, operations: Any, *, subresource: str = "") -> Manifest:
        before = self.writes
        found = await super().patch(kind, namespace, name, operations, subresource=subresource)
        self.world.writes += (self.writes - before) * (kind != names.KIND)
        return found

    async def delete(self, kind: str, namespace: str, name: str, *, uid: str = "") -> None:
        before = self.writes
        await super().delete(kind, namespace, name, uid=uid)
        self.world.writes += self.writes > before


class Kept(MutableMapping[Any, Manifest]):
    """Some objects of a world, as they are stored: a change of one is somebody's edit."""

    def __init__(self, world: World) -> None:
        self._world = world

    def _place(self, key: Any) -> tuple[str, str, str]:
        return key[0], self._world.owner.namespace, key[1]

    def __getitem__(self, key: Any) -> Manifest:
        if key not in self:
            raise KeyError(key)
        return self._world.api.objects[self._place(key)]

    def __setitem__(self, key: Any, item: Manifest) -> None:
        self._world.api.objects[self._place(key)] = item

    def __delitem__(self, key: Any) -> None:
        del self._world.api.objects[self._place(key)]

    def __iter__(self) -> Iterator[Any]:
        here = self._world.owner.namespace
        found = [(kind, name) for kind, namespace, name in self._world.api.objects if namespace == here]
        return iter([key for key in found if self._shown(key)])

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __contains__(self, key: object) -> bool:
        return self._place(key) in self._world.api.objects and self._shown(key)

    def _shown(self, key: Any) -> bool:
        return key[0] not in HIDDEN and key != ("Secret", SOURCE_SECRET) and not self._world.api.is_foreign(key)


class Pods(Kept):
    """The pods, by name."""

    def _place(self, key: Any) -> tuple[str, str, str]:
        return "Pod", self._world.owner.namespace, key

    def __iter__(self) -> Iterator[Any]:
        return iter([name for kind, _, name in self._world.api.objects if kind == "Pod"])

    def _shown(self, key: Any) -> bool:
        return bool(key)


class Foreign(Kept):
    """Objects of others, by kind and name."""

    def __init__(self, store: Store) -> None:
        super().__init__(store.world)
        self._keys = store.foreign_keys

    def __setitem__(self, key: Any, item: Manifest) -> None:
        self._keys.add(key)
        place = self._place(key)
        metadata = {"name": place[2], "namespace": place[1]} | item.get("metadata", {})
        self._world.api.objects.pop(place, None)
        self._world.api.put({"kind": key[0]} | item | {"metadata": metadata})

    def _shown(self, key: Any) -> bool:
        return self._world.api.is_foreign(key)
