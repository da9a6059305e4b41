"""JSON patches: all of it or nothing, and each place must be there (RFC 6902)."""

from __future__ import annotations

from typing import Any

from tests.unit.operator.in_memory.scenarios.server import Server, over, refused, scenario, version

from payment_operator.clients.kubernetes import NOT_AS_READ
from payment_operator.errors import Conflict, NotThere, Refused

NOT_TO_BE_DONE: list[dict[str, Any]] = [
    {"op": "remove", "path": "/data/missing"},
    {"op": "test", "path": "/data/missing", "value": "1"},
    {"op": "test", "path": "/data/a", "value": "2"},
    {"op": "test", "path": "/data/a", "value": 1},
    {"op": "test", "path": "/metadata/resourceVersion", "value": "0"},
    {"op": "test", "path": "/metadata/uid", "value": "gone"},
    {"op": "test", "path": "/data", "value": {"a": "1", "b": "2", "c": "3"}},
    {"op": "test", "path": "/spec/a", "value": "1"},
    {"op": "add", "path": "/metadata/annotations/x", "value": "1"},
    {"op": "add", "path": "/metadata/finalizers/-", "value": "a/b"},
    {"op": "add", "path": "/metadata/ownerReferences/1", "value": {}},
    {"op": "add", "path": "/binaryData/x/y", "value": "1"},
    {"op": "replace", "path": "/binaryData/x", "value": "1"},
    {"op": "move", "from": "/data/missing", "path": "/data/c"},
    {"op": "copy", "from": "/binaryData/x", "path": "/data/c"},
    {"op": "invented", "path": "/data/a"},
]


@scenario
async def one_operation_that_cannot_be_done_undoes_the_whole_patch(api: Server) -> None:
    made = await api.kubernetes.create(api.config(data={"a": "1"}))
    for operation in NOT_TO_BE_DONE:
        operations = [{"op": "add", "path": "/data/b", "value": "2"}, operation]
        await refused(api.kubernetes.patch("ConfigMap", api.namespace, "c", operations), Conflict, 422, NOT_AS_READ)
    assert await api.read(made) == made


@scenario
async def a_patch_reaches_keys_with_slashes_and_items_of_lists(api: Server) -> None:
    names = ["a/one", "a/two"]
    await api.kubernetes.create(over(api.config(data={"a": "1"}), annotations={"x/y": "1"}, finalizers=names))
    operations: list[dict[str, Any]] = [
        {"op": "test", "path": "/metadata/annotations/x~1y", "value": "1"},
        {"op": "replace", "path": "/metadata/annotations/x~1y", "value": "2"},
        {"op": "add", "path": "/metadata/finalizers/-", "value": "a/three"},
        {"op": "remove", "path": "/metadata/finalizers/0"},
        {"op": "add", "path": "/metadata/finalizers/0", "value": "a/zero"},
        {"op": "copy", "from": "/data/a", "path": "/data/b"},
        {"op": "move", "from": "/data/a", "path": "/data/c"},
        {"op": "test", "path": "/data", "value": {"c": "1", "b": "1"}},
    ]
    after = await api.kubernetes.patch("ConfigMap", api.namespace, "c", operations)
    assert after["metadata"]["annotations"] == {"x/y": "2"}
    assert after["metadata"]["finalizers"] == ["a/zero", "a/two", "a/three"]
    assert after["data"] == {"b": "1", "c": "1"}
    missing = api.kubernetes.patch("ConfigMap", api.namespace, "other", operations)
    await refused(missing, NotThere, 404, 'configmaps "other" not found')


@scenario
async def a_patch_that_tests_what_was_read_is_done_once(api: Server) -> None:
    made = await api.kubernetes.create(api.service(ports=[{"port": 80}], selector={"revision": "a"}))
    operations: list[dict[str, Any]] = [
        {"op": "test", "path": "/metadata/resourceVersion", "value": version(made)},
        {"op": "test", "path": "/metadata/uid", "value": made["metadata"]["uid"]},
        {"op": "test", "path": "/spec/selector", "value": {"revision": "a"}},
        {"op": "add", "path": "/spec/selector", "value": {"revision": "b"}},
    ]
    after = await api.kubernetes.patch("Service", api.namespace, "d", operations)
    assert after["spec"]["selector"] == {"revision": "b"}
    await refused(api.kubernetes.patch("Service", api.namespace, "d", operations), Conflict, 422, NOT_AS_READ)


@scenario
async def a_patch_cannot_make_it_another_object(api: Server) -> None:
    made = await api.kubernetes.create(api.config())

    async def patched(field: str) -> object:
        operations = [{"op": "add", "path": f"/metadata/{field}", "value": "gone"}]
        return await api.kubernetes.patch("ConfigMap", api.namespace, "c", operations)

    await refused(patched("uid"), Conflict, 422, "metadata.uid", "field is immutable")
    await refused(patched("name"), Refused, 400, "the name of the object (gone) does not match the name on the URL (c)")
    await refused(patched("namespace"), Refused, 400, "namespace")
    assert await api.read(made) == made
