"""Server-side apply: whose a field is (kubernetes.io/docs/reference/using-api/server-side-apply)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.unit.operator.in_memory.scenarios.server import (
    Server,
    app,
    over,
    owned_by,
    refused,
    scenario,
    version,
)

from payment_operator.errors import Conflict

if TYPE_CHECKING:
    from payment_operator.resources.metadata import Manifest


async def replicas(api: Server) -> int:
    """Of the Deployment; API servers fill in 1."""
    return int((await api.read(api.part()))["spec"].get("replicas", 1))


async def containers(api: Server, *fields: str) -> list[dict[str, Any]]:
    """These fields of the Deployment's containers."""
    found = (await api.read(api.part()))["spec"]["template"]["spec"]["containers"]
    return [{name: entry[name] for name in fields if name in entry} for entry in found]


async def scaled(api: Server, number: int, *, manager: str) -> Manifest:
    patch = [{"op": "add", "path": "/spec/replicas", "value": number}]
    return await api.others.patch("Deployment", api.namespace, "d", patch, manager=manager)


@scenario
async def a_field_of_somebody_else_s_is_a_conflict_that_names_it(api: Server) -> None:
    await api.others.apply(api.deployment(replicas=2), manager="argo")
    wanted = api.part(replicas=3, paused=True)
    words = 'Apply failed with 1 conflict: conflict with "argo": .spec.replicas'
    await refused(api.kubernetes.apply(wanted, force=False), Conflict, 409, words)
    assert await replicas(api) == 2
    await api.kubernetes.apply(wanted)
    assert await replicas(api) == 3
    await api.kubernetes.apply(api.part(replicas=4), force=False)
    assert await replicas(api) == 4
    words = 'conflict with "payment-operator": .spec.replicas'
    await refused(api.others.apply(api.deployment(replicas=2), manager="argo"), Conflict, 409, words)


@scenario
async def several_conflicts_are_listed_by_manager(api: Server) -> None:
    await api.kubernetes.apply(api.deployment(app(image="a")))
    await api.others.apply(api.part(app(image="a", tty=True), replicas=2), manager="argo")
    await scaled(api, 5, manager="scaler")
    words = (
        'Apply failed with 2 conflicts: conflicts with "argo":',
        '- .spec.template.spec.containers[name="app"].tty',
        'conflicts with "scaler" using apps/v1',
        "- .spec.replicas",
    )
    wanted = api.deployment(app(image="a", tty=False), replicas=2)
    await refused(api.kubernetes.apply(wanted, force=False), Conflict, 409, *words)


@scenario
async def an_update_takes_its_fields_and_no_apply_gets_them_back_unforced(api: Server) -> None:
    await api.kubernetes.apply(api.deployment(app(image="a"), replicas=2))
    await scaled(api, 5, manager="scaler")
    again = api.kubernetes.apply(api.deployment(app(image="a"), replicas=2), force=False)
    await refused(again, Conflict, 409, 'conflict with "scaler" using apps/v1')
    await api.kubernetes.apply(api.deployment(app(image="b")), force=False)
    assert (await replicas(api), await containers(api, "image")) == (5, [{"image": "b"}])


@scenario
async def the_same_value_is_shared_and_stays_until_the_last_manager_leaves_it_out(api: Server) -> None:
    first = await api.kubernetes.apply(api.deployment(replicas=2), force=False)
    second = await api.others.apply(api.part(replicas=2), manager="argo")
    assert version(first) != version(second)  # it is somebody else's as well now, and that is stored
    await api.kubernetes.apply(api.deployment(), force=False)
    assert await replicas(api) == 2
    await api.others.apply(api.part(minReadySeconds=1), manager="argo")
    assert await replicas(api) == 1


@scenario
async def what_is_left_out_is_removed_and_what_others_have_stays(api: Server) -> None:
    both = [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]
    await api.kubernetes.apply(api.deployment(app(image="a", env=both)))
    note = [{"op": "add", "path": "/metadata/annotations", "value": {"note": "kept"}}]
    await api.others.patch("Deployment", api.namespace, "d", note, manager="person")
    await api.others.apply(api.part({"name": "proxy", "image": "mesh"}), manager="mesh")
    await api.kubernetes.apply(api.deployment(app(image="a", env=both[1:])))
    found = await containers(api, "name", "image", "env")
    assert found == [app(image="a", env=both[1:]), {"name": "proxy", "image": "mesh"}]
    assert (await api.read(api.part()))["metadata"]["annotations"] == {"note": "kept"}


@scenario
async def an_item_stays_named_while_another_manager_has_a_field_of_it(api: Server) -> None:
    extra = {"name": "extra", "image": "x"}
    await api.kubernetes.apply(api.deployment(app(image="a"), extra))
    await api.others.apply(api.part(extra | {"tty": True}), manager="person")
    await api.kubernetes.apply(api.deployment(app(image="a")))
    assert await containers(api, "name", "tty") == [app(), {"name": "extra", "tty": True}]
    await api.others.apply(api.part(replicas=2), manager="person")
    assert await containers(api, "name") == [app()]


@scenario
async def a_selector_is_one_value(api: Server) -> None:
    service = api.service(selector={"a": "1", "b": "2"}, ports=[{"port": 80}])
    await api.kubernetes.create(service)
    after = await api.kubernetes.apply(api.service(selector={"b": "3"}))
    assert after["spec"]["selector"] == {"b": "3"}
    ports = [{"port": 80, "protocol": "TCP", "name": "http"}, {"port": 80, "protocol": "UDP", "name": "other"}]
    after = await api.kubernetes.apply(api.service(ports=ports))
    assert [(entry["protocol"], entry["name"]) for entry in after["spec"]["ports"]] == [
        ("TCP", "http"),
        ("UDP", "other"),
    ]


@scenario
async def a_reference_to_a_key_is_one_value(api: Server) -> None:
    def taken_from(**fields: Any) -> dict[str, Any]:
        return app(image="a", env=[{"name": "A", "valueFrom": {"secretKeyRef": fields}}])

    await api.kubernetes.apply(api.deployment(taken_from(name="old", key="k", optional=True)))
    await api.others.apply(api.part(taken_from(name="new", key="k")), manager="person", force=True)
    (found,) = await containers(api, "env")
    assert found["env"][0]["valueFrom"]["secretKeyRef"] == {"name": "new", "key": "k"}


@scenario
async def finalizers_of_several_managers_stand_beside_each_other(api: Server) -> None:
    await api.kubernetes.apply(over(api.config(), finalizers=["a/ours"]))
    await api.others.apply(over(api.config(), finalizers=["a/theirs"]), manager="argo")
    assert (await api.read(api.config()))["metadata"]["finalizers"] == ["a/ours", "a/theirs"]
    await api.kubernetes.apply(api.config())
    assert (await api.read(api.config()))["metadata"]["finalizers"] == ["a/theirs"]


@scenario
async def owners_of_several_managers_stand_beside_each_other(api: Server) -> None:
    one, two = [await api.kubernetes.create(api.config(name)) for name in ("a", "b")]
    await api.kubernetes.apply(over(api.config(), ownerReferences=owned_by(one)))
    after = await api.others.apply(over(api.config(), ownerReferences=owned_by(two)), manager="argo")
    assert {entry["name"] for entry in after["metadata"]["ownerReferences"]} == {"a", "b"}


@scenario
async def what_names_an_object_and_its_version_is_nobody_s_field(api: Server) -> None:
    made = await api.others.apply(api.config(data={"a": "1"}), manager="argo")
    named = over(api.config(), uid=made["metadata"]["uid"], resourceVersion=version(made))
    after = await api.kubernetes.apply(named, force=False)
    assert after["data"] == {"a": "1"}
    assert after["metadata"]["uid"] == made["metadata"]["uid"]
