"""The API server in memory does what API servers do: the cluster tier runs the same scenarios on a real one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.operator.in_memory.scenarios import managing, patching, reading, removing, writing
from tests.unit.operator.in_memory.scenarios.server import SCENARIOS, Server

from payment_operator.clients.kubernetes import NOT_AS_READ
from payment_operator.errors import Conflict, Refused
from payment_operator.testing import InMemoryKubernetes
from payment_operator.testing.json_patch import patched

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

MODULES = (managing, patching, reading, removing, writing)


@dataclass
class Others:
    api: InMemoryKubernetes

    async def apply(self, manifest: dict[str, Any], *, manager: str, force: bool = False) -> dict[str, Any]:
        return self.api.applied(manifest, manager=manager, force=force)

    async def patch(
        self, kind: str, namespace: str, name: str, operations: Sequence[dict[str, Any]], *, manager: str
    ) -> dict[str, Any]:
        return self.api.edit(
            (kind, namespace, name), lambda item: item.update(patched(item, operations)), manager=manager
        )


async def until(true: Callable[[], Awaitable[bool]]) -> bool:
    """Look once: nothing happens later."""
    return await true()


@pytest.fixture
def server() -> Server:
    api = InMemoryKubernetes()
    return Server(api, Others(api), "test", until)


@pytest.mark.parametrize("name", SCENARIOS)
async def test_it_does_what_a_real_one_does(server: Server, name: str) -> None:
    await SCENARIOS[name](server)


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "replace", "path": "/data/missing", "value": "1"},
        {"op": "test", "path": "/data/missing", "value": None},
        {"op": "copy", "from": "/data/missing", "path": "/data/b"},
    ],
)
async def test_no_operation_passes_without_its_place_as_some_do_on_real_ones(
    server: Server, operation: dict[str, Any]
) -> None:
    made = await server.kubernetes.create(server.config(data={"a": "1"}))
    with pytest.raises(Conflict, match=NOT_AS_READ):
        await server.kubernetes.patch("ConfigMap", server.namespace, "c", [operation])
    assert await server.read(made) == made


@pytest.mark.parametrize("selector", ["x!=1", "x==1", "x in (1)", "x"])
async def test_a_selector_that_it_does_not_know_selects_nothing_by_mistake(server: Server, selector: str) -> None:
    with pytest.raises(NotImplementedError):
        await server.kubernetes.list_all("ConfigMap", None, selector=selector)


async def test_what_admission_refuses_is_not_written(server: Server) -> None:
    api = InMemoryKubernetes()
    api.admit = lambda verb, kind, _: Refused(403, "Forbidden", "quota") if (verb, kind) == ("create", "Job") else None
    with pytest.raises(Refused, match="quota"):
        await api.create(server.job("a"))
    assert not api.objects
    assert api.calls == [("create", "Job", "c")]


async def test_only_what_changes_something_counts_as_a_write(server: Server) -> None:
    api = InMemoryKubernetes()
    for data in ("1", "1", "2"):
        await api.apply(server.config(data={"a": data}))
    assert (api.writes, len(api.calls)) == (2, 3)
