"""Making and writing whole objects: names, versions, what the server sets itself, status, what is immutable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.unit.operator.in_memory.scenarios.server import Server, over, owned_by, refused, scenario, version

from payment_operator import names
from payment_operator.errors import ApiError, Conflict, NotThere, Refused

if TYPE_CHECKING:
    from collections.abc import Callable

SET_BY_THE_SERVER = {
    "uid": "mine",
    "creationTimestamp": "2020-01-01T00:00:00Z",
    "deletionTimestamp": "2020-01-01T00:00:00Z",
}


@scenario
async def what_is_made_has_a_uid_a_version_and_a_date_and_is_made_once(api: Server) -> None:
    made = await api.kubernetes.create(api.config(data={"a": "1"}))
    assert {"uid", "resourceVersion", "creationTimestamp"} <= made["metadata"].keys()
    await refused(api.kubernetes.create(api.config()), Conflict, 409, 'configmaps "c" already exists')
    assert await api.kubernetes.get("ConfigMap", api.namespace, "other") is None
    versioned = over(api.config("d"), resourceVersion="7")
    await refused(api.kubernetes.create(versioned), ApiError, 500, "should not be set on objects to be created")


@scenario
async def what_the_server_sets_nobody_else_sets(api: Server) -> None:
    counted = await api.kubernetes.create(over(api.budget(), **SET_BY_THE_SERVER, generation=7))
    assert counted["metadata"]["generation"] == 1
    made = await api.kubernetes.create(over(api.config(), **SET_BY_THE_SERVER))
    for metadata in (counted["metadata"], made["metadata"]):
        assert not metadata.items() & SET_BY_THE_SERVER.items()
    again = await api.kubernetes.replace(over(api.config(data={"a": "1"}), creationTimestamp="2020-01-01T00:00:00Z"))
    assert again["metadata"]["creationTimestamp"] == made["metadata"]["creationTimestamp"]


@scenario
async def kinds_with_a_spec_count_its_generations(api: Server) -> None:
    for manifest in (api.config(), api.secret(), api.record({}), api.lease(), api.service(ports=[{"port": 80}])):
        assert "generation" not in (await api.kubernetes.apply(manifest))["metadata"], manifest["kind"]
    for manifest in (api.environment(), api.budget(), api.job("a"), api.request("abort")):
        assert (await api.kubernetes.apply(manifest))["metadata"]["generation"] == 1, manifest["kind"]
    assert (await api.kubernetes.apply(api.deployment(replicas=1)))["metadata"]["generation"] == 1
    assert (await api.kubernetes.apply(api.deployment(replicas=2)))["metadata"]["generation"] == 2
    named = over(api.deployment(replicas=2), labels={"a": "b"})
    assert (await api.kubernetes.apply(named))["metadata"]["generation"] == 2


@scenario
async def each_change_makes_a_version_and_no_change_makes_none(api: Server) -> None:
    first = await api.kubernetes.apply(api.config(data={"a": "1"}))
    same = await api.kubernetes.apply(api.config(data={"a": "1"}))
    patch = [{"op": "add", "path": "/data/a", "value": "1"}]
    patched = await api.kubernetes.patch("ConfigMap", api.namespace, "c", patch)
    assert version(first) == version(same) == version(patched)
    other = await api.kubernetes.apply(api.config(data={"a": "2"}))
    assert version(other) != version(first)


@scenario
async def a_write_over_an_older_version_is_a_conflict(api: Server) -> None:
    read = await api.kubernetes.create(api.config(data={"a": "1"}))
    patch = [{"op": "add", "path": "/data/b", "value": "2"}]
    await api.others.patch("ConfigMap", api.namespace, "c", patch, manager="somebody")
    old = over(api.config(data={"a": "3"}), resourceVersion=version(read))
    stale = [{"op": "add", "path": "/metadata/resourceVersion", "value": version(read)}]
    for write in (
        api.kubernetes.apply(old),
        api.kubernetes.replace(old),
        api.kubernetes.patch("ConfigMap", api.namespace, "c", stale),
    ):
        words = 'Operation cannot be fulfilled on configmaps "c": the object has been modified'
        await refused(write, Conflict, 409, words)
    assert (await api.read(old))["data"] == {"a": "1", "b": "2"}


@scenario
async def a_write_about_another_object_of_the_name_is_a_conflict(api: Server) -> None:
    await api.kubernetes.create(api.config())
    gone = over(api.config(), uid="gone")
    await refused(api.kubernetes.apply(gone), Conflict, 422, "metadata.uid", "field is immutable")
    await refused(api.kubernetes.replace(gone), Conflict, 409, "UID in precondition: gone")
    deletion = api.kubernetes.delete("ConfigMap", api.namespace, "c", uid="gone")
    await refused(deletion, Conflict, 409, "UID in the precondition (gone) does not match the UID in record")
    nowhere = api.kubernetes.apply(over(api.config("d"), uid="gone"))
    await refused(nowhere, Conflict, 409, "uid mismatch", "no existing object was found")


@scenario
async def some_kinds_are_not_replaced_without_a_version(api: Server) -> None:
    for manifest in (api.lease(), api.budget(), api.environment(), api.request("abort")):
        await api.kubernetes.create(manifest)
        await refused(api.kubernetes.replace(manifest), Refused, 422, "must be specified for an update")
        await api.kubernetes.apply(manifest)
    for manifest in (api.config(), api.secret(), api.deployment(), api.record({})):
        await api.kubernetes.create(manifest)
        await api.kubernetes.replace(manifest)


@scenario
async def a_replace_makes_a_lease_and_no_other_object(api: Server) -> None:
    await refused(api.kubernetes.replace(api.config("d")), NotThere, 404, 'configmaps "d" not found')
    words = 'deployments.apps "d" not found'
    await refused(api.kubernetes.replace(api.deployment()), NotThere, 404, words)
    made = await api.kubernetes.replace(over(api.lease(), resourceVersion="7"))
    assert made["spec"]["holderIdentity"] == "a"
    await refused(api.kubernetes.replace(over(api.lease("d"), uid="gone")), Conflict, 409, "UID in precondition: gone")


@scenario
async def an_apply_makes_what_is_not_there_whatever_version_it_names(api: Server) -> None:
    never = over(api.config(data={"a": "1"}), resourceVersion="1")  # of the empty store
    assert version(await api.kubernetes.apply(never, force=False)) != "1"
    more = over(api.config(data={"b": "1"}), resourceVersion="1")
    await refused(api.kubernetes.apply(more, force=False), Conflict, 409, "the object has been modified")


@scenario
async def status_is_written_through_its_subresource_alone(api: Server) -> None:
    made = await api.kubernetes.create(api.environment(status={"selector": "made-up"}))
    assert made.get("status", {}).get("selector", "") == ""
    operations: list[dict[str, Any]] = [
        {"op": "add", "path": "/status", "value": {"selector": "a"}},
        {"op": "add", "path": "/spec/image", "value": "b:1"},
        {"op": "add", "path": "/metadata/labels", "value": {"a": "b"}},
    ]
    where = (names.KIND, api.namespace, "shop")
    after = await api.kubernetes.patch(*where, operations, subresource="status")
    found = (after["status"]["selector"], after["spec"]["image"], after["metadata"]["generation"])
    assert found == ("a", made["spec"]["image"], 1)
    assert "labels" not in after["metadata"]
    operations[0]["value"] = {"selector": "c"}
    after = await api.kubernetes.patch(*where, operations)
    assert (after["status"]["selector"], after["spec"]["image"]) == ("a", "b:1")
    assert (after["metadata"]["generation"], after["metadata"]["labels"]) == (2, {"a": "b"})
    applied = await api.kubernetes.apply(api.environment(status={"selector": "d"}))
    assert applied["status"]["selector"] == "a"


@scenario
async def what_has_no_status_has_no_subresource_for_it(api: Server) -> None:
    for manifest in (api.config(), api.secret(), api.record({})):
        await api.kubernetes.create(manifest)
        operations = [{"op": "add", "path": "/metadata/labels", "value": {"a": "b"}}]
        call = api.kubernetes.patch(manifest["kind"], api.namespace, "c", operations, subresource="status")
        await refused(call, NotThere, 404, "the server could not find the requested resource")


IMMUTABLE: dict[str, Callable[[Server], tuple[dict[str, Any], dict[str, Any]]]] = {
    "sealed data": lambda api: (
        api.secret(immutable=True, data={"a": "MQ=="}),
        api.secret(immutable=True, data={"a": "Mg=="}),
    ),
    "the seal": lambda api: (api.config(immutable=True, data={"a": "1"}), api.config(immutable=False, data={"a": "1"})),
    "a secret's type": lambda api: (api.secret(type="a/b"), api.secret(type="a/c")),
    "a record's data": lambda api: (api.record({"a": 1}), api.record({"a": 2})),
    "a job's pods": lambda api: (api.job("a"), api.job("b")),
    "a deployment's selector": lambda api: (
        api.deployment(),
        api.deployment(selector={"matchLabels": {"app": "d", "more": "1"}}),
    ),
    "a request": lambda api: (api.request("abort"), api.request("retry")),
}


@scenario
async def what_is_immutable_stays(api: Server) -> None:
    for what, pair in IMMUTABLE.items():
        before, after = pair(api)
        made = await api.kubernetes.create(before)
        uid, kind, name = made["metadata"]["uid"], before["kind"], before["metadata"]["name"]
        words = "cannot be changed" if what == "a request" else "immutable"
        await refused(api.kubernetes.apply(after), Refused, 422, words, name)
        await refused(api.kubernetes.replace(over(after, resourceVersion=version(made))), Refused, 422, words)
        patch = [{"op": "add", "path": "/metadata/annotations", "value": {"a": "1"}}]
        assert (await api.kubernetes.patch(kind, api.namespace, name, patch))["metadata"]["annotations"] == {"a": "1"}
        await api.kubernetes.delete(kind, api.namespace, name, uid=uid)


@scenario
async def an_object_has_one_controller(api: Server) -> None:
    owners = [await api.kubernetes.create(api.config(name)) for name in ("a", "b")]
    references = [entry | {"controller": True} for entry in owned_by(*owners)]
    words = "Only one reference can have Controller set to true"
    await refused(api.kubernetes.create(over(api.config(), ownerReferences=references)), Refused, 422, words)
    await api.kubernetes.create(over(api.config(), ownerReferences=references[:1]))
    await refused(api.kubernetes.apply(over(api.config(), ownerReferences=references)), Refused, 422, words)


@scenario
async def text_of_a_secret_is_stored_as_its_data(api: Server) -> None:
    made = await api.kubernetes.create(api.secret(data={"a": "MQ=="}, stringData={"b": "2"}))
    assert (made["data"], made.get("stringData")) == ({"a": "MQ==", "b": "Mg=="}, None)
