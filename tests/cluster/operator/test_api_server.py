"""The API server in memory, which fast tests of the operator run on, is held to a real one: one set of scenarios.

Etcd, kube-apiserver and the garbage collector alone, started in seconds; no node and no pods.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from tests.cluster.api_server import ADMIN, ApiServer
from tests.unit.operator.in_memory.scenarios import managing, patching, reading, removing, writing
from tests.unit.operator.in_memory.scenarios.server import SCENARIOS, Server

from payment_operator.clients.kubernetes import Cluster

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence

MODULES = (managing, patching, reading, removing, writing)
LOOKS, PAUSE_SECONDS = 200, 0.3
"""The garbage collector begins when it has found out which kinds there are."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """An API server with a namespace for each scenario."""
    running = ApiServer(tmp_path_factory.mktemp("api"))
    try:
        running.start()
        running.collect_garbage()
        running.install_crds()
        names = [f"s{number}{suffix}" for number in range(len(SCENARIOS) + 1) for suffix in ("", "-other")]
        items = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in names]
        made = running.kubectl(
            "create",
            "--validate=false",
            "-f",
            "-",
            stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}),
        )
        assert made.returncode == 0, made.stderr
        yield running
    finally:
        running.stop()


@pytest.fixture
async def cluster(server: ApiServer) -> AsyncIterator[Cluster]:
    """The operator's client."""
    client = await Cluster.connect(str(server.kubeconfig(ADMIN)))
    yield client
    await client.close()


@dataclass
class Others:
    """Other managers, by the same client."""

    cluster: Cluster

    async def apply(self, manifest: dict[str, Any], *, manager: str, force: bool = False) -> dict[str, Any]:
        metadata, query = manifest["metadata"], [("fieldManager", manager), ("force", str(force).lower())]
        where = (manifest["kind"], metadata["namespace"], metadata["name"])
        return await self.cluster._call("PATCH", *where, body=manifest, form="apply", query=query)

    async def patch(
        self, kind: str, namespace: str, name: str, operations: Sequence[dict[str, Any]], *, manager: str
    ) -> dict[str, Any]:
        query = [("fieldManager", manager)]
        return await self.cluster._call(
            "PATCH", kind, namespace, name, body=list(operations), form="patch", query=query
        )


async def until(true: Callable[[], Awaitable[bool]]) -> bool:
    """Look until it is true, or patience ends."""
    for _ in range(LOOKS):
        if await true():
            return True
        await asyncio.sleep(PAUSE_SECONDS)
    return False


@pytest.mark.parametrize("name", SCENARIOS)
async def test_the_real_one_does_what_the_one_in_memory_does(cluster: Cluster, name: str) -> None:
    namespace = f"s{list(SCENARIOS).index(name)}"
    await SCENARIOS[name](Server(cluster, Others(cluster), namespace, until))


@pytest.mark.parametrize(
    ("operation", "data"),
    [
        ({"op": "replace", "path": "/data/missing", "value": "1"}, {"a": "1", "missing": "1"}),
        ({"op": "test", "path": "/data/missing", "value": None}, {"a": "1"}),
    ],
)
async def test_the_real_one_lets_some_operations_pass_without_their_place(
    cluster: Cluster, operation: dict[str, Any], data: dict[str, str]
) -> None:
    """The one in memory refuses them, as RFC 6902 does: nothing here may rely on either."""
    api = Server(cluster, Others(cluster), f"s{len(SCENARIOS)}", until)
    await cluster.apply(api.config(data={"a": "1"}))
    after = await cluster.patch("ConfigMap", api.namespace, "c", [operation])
    assert after["data"] == data
    await cluster.delete("ConfigMap", api.namespace, "c", uid=after["metadata"]["uid"])
