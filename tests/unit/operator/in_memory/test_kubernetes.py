"""The API server in memory refuses what an API server refuses, in its words; the cluster tier meets the real one.

Each rule is Kubernetes' own: the pages are named in `payment_operator.testing.kubernetes`.
"""

from __future__ import annotations

from typing import Any

import pytest

from payment_operator import names
from payment_operator.clients.kubernetes import NOT_AS_READ
from payment_operator.errors import ApiError, Conflict, NotThere, Refused
from payment_operator.testing import InMemoryKubernetes

HERE = "test"


def config(name: str = "c", **more: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": HERE}} | more


def over(manifest: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return manifest | {"metadata": manifest["metadata"] | metadata}


@pytest.fixture
def api() -> InMemoryKubernetes:
    return InMemoryKubernetes()


async def test_what_is_made_has_a_uid_a_version_and_a_date_and_is_made_once(api: InMemoryKubernetes) -> None:
    made = await api.create(config(data={"a": "1"}))
    assert {"uid", "resourceVersion", "creationTimestamp", "generation"} <= made["metadata"].keys()
    with pytest.raises(Conflict, match="already exists"):
        await api.create(config())
    assert await api.get("ConfigMap", HERE, "other") is None
    with pytest.raises(ApiError, match="should not be set on objects to be created"):
        await api.create(over(config("d"), resourceVersion="7"))


async def test_what_was_read_is_a_copy(api: InMemoryKubernetes) -> None:
    await api.create(config(data={"a": "1"}))
    (found,) = await api.list_all("ConfigMap", HERE)
    found["data"]["a"] = "2"
    assert (await api.get("ConfigMap", HERE, "c") or {})["data"] == {"a": "1"}


async def test_each_change_makes_a_version_and_no_change_makes_none(api: InMemoryKubernetes) -> None:
    first = await api.apply(config(data={"a": "1"}))
    same = await api.apply(config(data={"a": "1"}))
    assert same["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    other = await api.apply(config(data={"a": "2"}))
    assert other["metadata"]["resourceVersion"] != first["metadata"]["resourceVersion"]
    assert api.writes == 2


@pytest.mark.parametrize("verb", ["apply", "replace"])
async def test_a_write_over_an_older_version_is_a_conflict(api: InMemoryKubernetes, verb: str) -> None:
    read = await api.create(config(data={"a": "1"}))
    api.edit(("ConfigMap", HERE, "c"), lambda item: item["data"].update(b="2"))
    with pytest.raises(Conflict, match="the object has been modified"):
        await getattr(api, verb)(over(config(data={"a": "3"}), resourceVersion=read["metadata"]["resourceVersion"]))
    assert (await api.get("ConfigMap", HERE, "c") or {})["data"] == {"a": "1", "b": "2"}


async def test_a_write_about_another_object_of_the_name_is_a_conflict(api: InMemoryKubernetes) -> None:
    await api.create(config())
    with pytest.raises(Conflict, match="UID in precondition: gone"):
        await api.apply(over(config(), uid="gone"))
    with pytest.raises(Conflict, match="UID in precondition: gone"):
        await api.delete("ConfigMap", HERE, "c", uid="gone")
    with pytest.raises(Conflict, match="no existing object was found"):
        await api.apply(over(config("d"), uid="gone"))


async def test_a_lease_is_not_replaced_without_a_version(api: InMemoryKubernetes) -> None:
    lease = config() | {"kind": "Lease", "spec": {"holderIdentity": "a"}}
    await api.create(lease)
    with pytest.raises(Refused, match="must be specified for an update"):
        await api.replace(lease)
    with pytest.raises(NotThere):
        await api.replace(over(lease, name="other"))


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "replace", "path": "/data/missing", "value": "1"},
        {"op": "remove", "path": "/data/missing"},
        {"op": "test", "path": "/data/missing", "value": None},
        {"op": "test", "path": "/data/a", "value": "2"},
        {"op": "test", "path": "/metadata/resourceVersion", "value": "0"},
        {"op": "add", "path": "/metadata/annotations/x", "value": "1"},
        {"op": "add", "path": "/binaryData/x/y", "value": "1"},
        {"op": "move", "from": "/data/missing", "path": "/data/b"},
        {"op": "invented", "path": "/data/a"},
    ],
)
async def test_one_operation_that_cannot_be_done_undoes_the_whole_patch(
    api: InMemoryKubernetes, operation: dict[str, Any]
) -> None:
    await api.create(config(data={"a": "1"}))
    with pytest.raises(Conflict, match=NOT_AS_READ):
        await api.patch("ConfigMap", HERE, "c", [{"op": "add", "path": "/data/b", "value": "2"}, operation])
    assert (await api.get("ConfigMap", HERE, "c") or {})["data"] == {"a": "1"}


async def test_a_patch_reaches_keys_with_slashes_and_items_of_lists(api: InMemoryKubernetes) -> None:
    await api.create(over(config(data={"a": "1"}), annotations={"x/y~z": "1"}, finalizers=["one", "two"]))
    operations = [
        {"op": "test", "path": "/metadata/annotations/x~1y~0z", "value": "1"},
        {"op": "replace", "path": "/metadata/annotations/x~1y~0z", "value": "2"},
        {"op": "add", "path": "/metadata/finalizers/-", "value": "three"},
        {"op": "remove", "path": "/metadata/finalizers/0"},
        {"op": "copy", "from": "/data/a", "path": "/data/b"},
    ]
    after = await api.patch("ConfigMap", HERE, "c", operations)
    assert after["metadata"]["annotations"] == {"x/y~z": "2"}
    assert after["metadata"]["finalizers"] == ["two", "three"]
    assert after["data"] == {"a": "1", "b": "1"}
    with pytest.raises(NotThere):
        await api.patch("ConfigMap", HERE, "other", operations)


async def test_status_is_written_through_its_subresource_alone(api: InMemoryKubernetes) -> None:
    environment = config() | {"kind": names.KIND, "spec": {"image": "a"}, "status": {"made": "up"}}
    assert "status" not in await api.create(environment)
    operations: list[dict[str, Any]] = [
        {"op": "add", "path": "/status", "value": {"is": "so"}},
        {"op": "add", "path": "/spec/image", "value": "b"},
    ]
    after = await api.patch(names.KIND, HERE, "c", operations, subresource="status")
    assert (after["status"], after["spec"], after["metadata"]["generation"]) == ({"is": "so"}, {"image": "a"}, 1)
    after = await api.patch(names.KIND, HERE, "c", operations)
    assert (after["status"], after["spec"], after["metadata"]["generation"]) == ({"is": "so"}, {"image": "b"}, 2)


IMMUTABLE = [
    ({"kind": "Secret", "immutable": True, "data": {"a": "MQ=="}}, {"data": {"a": "Mg=="}}),
    ({"kind": "ConfigMap", "immutable": True, "data": {}}, {"immutable": False}),
    ({"kind": "ControllerRevision", "data": {"a": 1}, "revision": 1}, {"data": {"a": 2}}),
    ({"kind": "Job", "spec": {"template": {"spec": {}}}}, {"spec": {"template": {"spec": {"nodeName": "n"}}}}),
    ({"kind": "Deployment", "spec": {"selector": {"matchLabels": {"a": "1"}}}}, {"spec": {"selector": {}}}),
    ({"kind": names.REQUEST_KIND, "spec": {"verb": "abort"}}, {"spec": {"verb": "retry"}}),
]


@pytest.mark.parametrize(("item", "change"), IMMUTABLE)
async def test_what_is_immutable_stays(api: InMemoryKubernetes, item: dict[str, Any], change: dict[str, Any]) -> None:
    await api.create(config() | item)
    for write in (api.apply(config() | item | change), api.replace(config() | item | change)):
        with pytest.raises(Refused, match="immutable"):
            await write
    if "immutable" not in item:  # its annotations do not
        patch = [{"op": "add", "path": "/metadata/annotations", "value": {"a": "1"}}]
        assert (await api.patch(item["kind"], HERE, "c", patch))["metadata"]["annotations"] == {"a": "1"}


async def test_an_object_takes_its_dependents_along_and_waits_for_its_finalizers(api: InMemoryKubernetes) -> None:
    uid = (await api.create(config("owner")))["metadata"]["uid"]
    held = await api.create(over(config("held"), ownerReferences=[{"uid": uid}], finalizers=["keep"]))
    await api.create(over(config("child"), ownerReferences=[{"uid": held["metadata"]["uid"]}]))
    await api.create(over(config("leaf"), ownerReferences=[{"uid": uid}]))
    await api.delete("ConfigMap", HERE, "owner", uid=uid)
    await api.delete("ConfigMap", HERE, "owner", uid=uid)
    assert [item["metadata"]["name"] for item in await api.list_all("ConfigMap", HERE)] == ["held", "child"]
    assert "deletionTimestamp" in (await api.get("ConfigMap", HERE, "held") or {})["metadata"]


async def test_lists_take_labels_namespaces_and_the_fields_that_there_are(api: InMemoryKubernetes) -> None:
    await api.create(over(config("a"), labels={"x": "1", "y": "2"}))
    await api.create(over(config("b"), labels={"x": "1"}))
    await api.create(over(config("c"), namespace="other", labels={"x": "1", "y": "2"}))

    async def found(namespace: str | None, **selectors: str) -> list[str]:
        return [item["metadata"]["name"] for item in await api.list_all("ConfigMap", namespace, **selectors)]

    assert await found(HERE, selector="x=1,y=2") == ["a"]
    assert await found(None, selector="y=2") == ["a", "c"]
    assert await found(HERE, fields="metadata.name=b") == ["b"]
    with pytest.raises(Refused, match="field label not supported"):
        await found(HERE, fields="data.a=1")


async def test_what_admission_refuses_is_not_written(api: InMemoryKubernetes) -> None:
    api.admit = lambda verb, kind, _: Refused(403, "Forbidden", "quota") if (verb, kind) == ("create", "Job") else None
    with pytest.raises(Refused, match="quota"):
        await api.create(config() | {"kind": "Job"})
    assert not api.objects
    assert api.calls == [("create", "Job", "c")]
