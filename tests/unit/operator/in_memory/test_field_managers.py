"""Server-side apply in memory (kubernetes.io/docs/reference/using-api/server-side-apply): whose a field is."""

from __future__ import annotations

from typing import Any

import pytest

from payment_operator.errors import Conflict
from payment_operator.testing import InMemoryKubernetes

DEPLOYMENT = ("Deployment", "test", "d")


def deployment(*containers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    template = {"template": {"spec": {"containers": list(containers)}}} if containers else {}
    return {"kind": "Deployment", "metadata": {"name": "d", "namespace": "test"}, "spec": template | spec}


def app(**fields: Any) -> dict[str, Any]:
    return {"name": "app"} | fields


@pytest.fixture
def api() -> InMemoryKubernetes:
    return InMemoryKubernetes()


def spec(api: InMemoryKubernetes) -> dict[str, Any]:
    found: dict[str, Any] = api.objects[DEPLOYMENT]["spec"]
    return found


def containers(api: InMemoryKubernetes) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = spec(api)["template"]["spec"]["containers"]
    return found


async def test_a_field_of_somebody_else_s_is_a_conflict_that_names_it(api: InMemoryKubernetes) -> None:
    api.applied(deployment(replicas=2), manager="argo")
    with pytest.raises(Conflict, match=r'1 conflict: conflict with "argo": \.spec\.replicas'):
        await api.apply(deployment(replicas=3, paused=True), force=False)
    assert spec(api) == {"replicas": 2}
    await api.apply(deployment(replicas=3))
    assert spec(api) == {"replicas": 3}
    assert "argo" not in api.managers(DEPLOYMENT)


async def test_an_update_takes_its_fields_and_no_apply_gets_them_back_unforced(api: InMemoryKubernetes) -> None:
    await api.apply(deployment(app(image="a"), replicas=2))
    api.edit(DEPLOYMENT, lambda item: item["spec"].update(replicas=5), manager="autoscaler")
    with pytest.raises(Conflict, match="autoscaler"):
        await api.apply(deployment(app(image="a"), replicas=2), force=False)
    await api.apply(deployment(app(image="b")), force=False)
    assert (spec(api)["replicas"], containers(api)) == (5, [app(image="b")])


async def test_the_same_value_is_shared_and_stays_until_the_last_manager_leaves_it_out(
    api: InMemoryKubernetes,
) -> None:
    await api.apply(deployment(app(image="a"), replicas=2), force=False)
    api.applied(deployment(replicas=2), manager="argo")
    await api.apply(deployment(app(image="a")), force=False)
    assert spec(api)["replicas"] == 2
    api.applied(deployment(app(image="a")), manager="argo")
    assert "replicas" not in spec(api)


async def test_what_is_left_out_is_removed_and_what_others_have_stays(api: InMemoryKubernetes) -> None:
    await api.apply(deployment(app(image="a", env=[{"name": "A", "value": "1"}, {"name": "B", "value": "2"}])))
    api.edit(DEPLOYMENT, lambda item: item["metadata"].update(annotations={"note": "kept"}), manager="person")
    sidecar = {"name": "proxy", "image": "mesh"}
    api.applied(deployment(sidecar), manager="mesh")
    await api.apply(deployment(app(image="a", env=[{"name": "B", "value": "2"}])))
    assert containers(api) == [app(image="a", env=[{"name": "B", "value": "2"}]), sidecar]
    assert api.objects[DEPLOYMENT]["metadata"]["annotations"] == {"note": "kept"}


async def test_an_item_goes_with_its_last_field_and_stays_named_while_another_manager_has_one(
    api: InMemoryKubernetes,
) -> None:
    await api.apply(deployment(app(image="a"), {"name": "extra", "image": "x"}))
    api.applied(deployment({"name": "extra", "tty": True}), manager="person")
    await api.apply(deployment(app(image="a")))
    assert containers(api) == [app(image="a"), {"name": "extra", "tty": True}]
    api.applied(deployment(paused=True), manager="person")
    assert containers(api) == [app(image="a")]


async def test_a_selector_is_one_value(api: InMemoryKubernetes) -> None:
    place = ("Service", "test", "d")
    service = {"kind": "Service", "metadata": {"name": "d", "namespace": "test"}}
    await api.create(service | {"spec": {"selector": {"a": "1", "b": "2"}, "ports": [{"port": 80}]}})
    after = await api.apply(service | {"spec": {"selector": {"b": "3"}}})
    assert after["spec"]["selector"] == {"b": "3"}
    ports = [{"port": 80, "protocol": "TCP", "name": "http"}, {"port": 80, "protocol": "UDP"}]
    await api.apply(service | {"spec": {"ports": ports}})
    assert [entry.get("name") for entry in api.objects[place]["spec"]["ports"]] == ["http", None]


async def test_owner_and_version_are_nobody_s_fields(api: InMemoryKubernetes) -> None:
    made = api.applied(deployment(replicas=1), manager="argo")
    manifest = deployment(replicas=1)
    manifest["metadata"] |= {name: made["metadata"][name] for name in ("uid", "resourceVersion")}
    after = await api.apply(manifest, force=False)
    assert after["metadata"] == made["metadata"]
