"""Deletion: by uid, after the last finalizer, and with what has no other owner."""

from __future__ import annotations

from tests.unit.operator.in_memory.scenarios.server import Server, over, owned_by, refused, scenario, version

from payment_operator.errors import Refused


async def names_of(api: Server) -> set[str]:
    """Of the ConfigMaps; a cluster with all its controllers has one of its own in each namespace."""
    found = await api.kubernetes.list_all("ConfigMap", api.namespace)
    return {item["metadata"]["name"] for item in found} - {"kube-root-ca.crt"}


@scenario
async def what_is_deleted_is_gone_and_may_be_deleted_again(api: Server) -> None:
    made = await api.kubernetes.create(api.config())
    for _ in range(2):
        await api.kubernetes.delete("ConfigMap", api.namespace, "c", uid=made["metadata"]["uid"])
        assert await api.kubernetes.get("ConfigMap", api.namespace, "c") is None
    again = await api.kubernetes.create(api.config())
    assert again["metadata"]["uid"] != made["metadata"]["uid"]


@scenario
async def an_object_waits_for_its_finalizers(api: Server) -> None:
    made = await api.kubernetes.create(over(api.environment(), finalizers=["a/one", "a/two"]))
    place, uid = (made["kind"], api.namespace, made["metadata"]["name"]), made["metadata"]["uid"]
    await api.kubernetes.delete(*place, uid=uid)
    going = await api.read(made)
    assert "deletionTimestamp" in going["metadata"]
    assert going["metadata"]["generation"] == made["metadata"]["generation"] + 1
    await api.kubernetes.delete(*place, uid=uid)
    assert version(await api.read(made)) == version(going)
    another = [{"op": "add", "path": "/metadata/finalizers/-", "value": "a/three"}]
    words = "no new finalizers can be added if the object is being deleted"
    await refused(api.kubernetes.patch(*place, another), Refused, 422, words)
    first = [{"op": "remove", "path": "/metadata/finalizers/0"}]
    left = await api.kubernetes.patch(*place, first)
    assert left["metadata"]["finalizers"] == ["a/two"]
    assert left["metadata"]["deletionTimestamp"] == going["metadata"]["deletionTimestamp"]
    await api.kubernetes.patch(*place, first)
    assert await api.kubernetes.get(*place) is None


@scenario
async def an_object_takes_its_dependents_along(api: Server) -> None:
    owner, other = [await api.kubernetes.create(api.config(name)) for name in ("owner", "other")]
    held = await api.kubernetes.create(over(api.config("held"), ownerReferences=owned_by(owner), finalizers=["a/keep"]))
    await api.kubernetes.create(over(api.config("child"), ownerReferences=owned_by(held)))
    await api.kubernetes.create(over(api.config("leaf"), ownerReferences=owned_by(owner)))
    shared = await api.kubernetes.create(over(api.config("shared"), ownerReferences=owned_by(owner, other)))
    await api.kubernetes.delete("ConfigMap", api.namespace, "owner", uid=owner["metadata"]["uid"])

    async def collected() -> bool:
        going = "deletionTimestamp" in (await api.read(held))["metadata"]
        left = len((await api.read(shared))["metadata"]["ownerReferences"]) == 1
        return going and left and await names_of(api) == {"other", "held", "child", "shared"}

    assert await api.until(collected)
    assert (await api.read(shared))["metadata"]["ownerReferences"] == owned_by(other)
