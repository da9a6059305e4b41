"""What scenarios of an API server need: the operator's own client, and the hands of others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest
import yaml

from payment_operator import names

if TYPE_CHECKING:
    from payment_operator.clients.protocols import Kubernetes
    from payment_operator.errors import ApiError

Manifest = dict[str, Any]
ROOT = Path(__file__).parents[5]
LABELS = {"app": "d"}


class Others(Protocol):
    """What other managers do."""

    async def apply(self, manifest: Manifest, *, manager: str, force: bool = False) -> Manifest:
        """Server-side apply."""
        ...

    async def patch(
        self, kind: str, namespace: str, name: str, operations: Sequence[Manifest], *, manager: str
    ) -> Manifest:
        """JSON patch, which counts as an update."""
        ...


@dataclass(frozen=True)
class Server:
    """An API server, in memory or a real one; nobody else uses the namespace, nor `<namespace>-other`."""

    kubernetes: Kubernetes
    others: Others
    namespace: str
    until: Callable[[Callable[[], Awaitable[bool]]], Awaitable[bool]]
    """Whether something becomes true that controllers do: they need a moment where there are any."""

    async def read(self, manifest: Manifest) -> Manifest:
        """The object as it is stored."""
        found = await self.kubernetes.get(manifest["kind"], self.namespace, manifest["metadata"]["name"])
        assert found is not None
        return found

    def config(self, name: str = "c", **more: Any) -> Manifest:
        return self._object("v1", "ConfigMap", name) | more

    def secret(self, **more: Any) -> Manifest:
        return self._object("v1", "Secret", "c") | more

    def lease(self, name: str = "c") -> Manifest:
        return self._object("coordination.k8s.io/v1", "Lease", name) | {"spec": {"holderIdentity": "a"}}

    def budget(self, **spec: Any) -> Manifest:
        whole = {"minAvailable": 1, "selector": {"matchLabels": LABELS}} | spec
        return self._object("policy/v1", "PodDisruptionBudget", "c") | {"spec": whole}

    def service(self, **spec: Any) -> Manifest:
        return self._object("v1", "Service", "d") | {"spec": spec}

    def record(self, data: Manifest) -> Manifest:
        return self._object("apps/v1", "ControllerRevision", "c") | {"data": data, "revision": 1}

    def job(self, *command: str) -> Manifest:
        pod = {"restartPolicy": "Never", "containers": [app(image="a", command=list(command))]}
        return self._object("batch/v1", "Job", "c") | {"spec": {"template": {"spec": pod}}}

    def deployment(self, *containers: Manifest, **spec: Any) -> Manifest:
        pods = {"metadata": {"labels": LABELS}, "spec": {"containers": list(containers) or [app(image="a")]}}
        return self.part(**({"selector": {"matchLabels": LABELS}, "template": pods} | spec))

    def part(self, *containers: Manifest, **spec: Any) -> Manifest:
        """Of the Deployment, what another manager applies."""
        template = {"template": {"spec": {"containers": list(containers)}}} if containers else {}
        return self._object("apps/v1", "Deployment", "d") | {"spec": template | spec}

    def environment(self, **more: Any) -> Manifest:
        sample: Manifest = yaml.safe_load((ROOT / "k8s/samples/minimal.yaml").read_text(encoding="utf-8"))
        return self._object(names.API_VERSION, names.KIND, "shop") | {"spec": sample["spec"]} | more

    def request(self, verb: str) -> Manifest:
        spec = {"environment": "shop", "verb": verb}
        return self._object(names.API_VERSION, names.REQUEST_KIND, "c") | {"spec": spec}

    def _object(self, version: str, kind: str, name: str) -> Manifest:
        return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": self.namespace}}


def app(**fields: Any) -> Manifest:
    return {"name": "app"} | fields


def over(manifest: Manifest, **metadata: Any) -> Manifest:
    return manifest | {"metadata": manifest["metadata"] | metadata}


def owned_by(*owners: Manifest) -> list[Manifest]:
    """Owner references."""
    return [
        {name: owner[name] for name in ("apiVersion", "kind")}
        | {name: owner["metadata"][name] for name in ("name", "uid")}
        for owner in owners
    ]


def version(item: Manifest) -> str:
    return str(item["metadata"]["resourceVersion"])


async def refused(call: Awaitable[object], kind: type[ApiError], status: int, *words: str) -> None:
    """Hold what an API server answers to its class, its status and its words."""
    with pytest.raises(kind) as caught:
        await call
    assert caught.value.status == status, caught.value
    for word in words:
        assert word in caught.value.message


Scenario = Callable[[Server], Awaitable[None]]
SCENARIOS: dict[str, Scenario] = {}


def scenario(run: Scenario) -> Scenario:
    """Hold every API server to it."""
    SCENARIOS[run.__name__] = run
    return run
