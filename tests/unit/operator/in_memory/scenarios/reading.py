"""Reading: whole lists, in the order of names, by labels and by the fields that a kind has."""

from __future__ import annotations

from tests.unit.operator.in_memory.scenarios.server import Server, over, refused, scenario

from payment_operator.errors import NotThere, Refused


@scenario
async def what_was_read_is_a_copy(api: Server) -> None:
    made = await api.kubernetes.create(api.config(data={"a": "1"}))
    for found in (made, await api.read(made), *await api.kubernetes.list_all("ConfigMap", api.namespace)):
        found["data"]["a"] = "2"
    assert (await api.read(made))["data"] == {"a": "1"}


@scenario
async def lists_take_labels_namespaces_and_the_fields_that_there_are(api: Server) -> None:
    elsewhere = f"{api.namespace}-other"
    both = {"x": api.namespace, "y": "2"}
    await api.kubernetes.create(over(api.config("b"), labels={"x": api.namespace}))
    await api.kubernetes.create(over(api.config("a"), labels=both))
    await api.kubernetes.create(over(api.config("c"), namespace=elsewhere, labels=both))

    async def found(namespace: str | None, **selectors: str) -> list[str]:
        items = await api.kubernetes.list_all("ConfigMap", namespace, **selectors)
        assert {(item["apiVersion"], item["kind"]) for item in items} <= {("v1", "ConfigMap")}
        return [item["metadata"]["name"] for item in items]

    assert await found(api.namespace, selector=f"x={api.namespace}") == ["a", "b"]
    assert await found(api.namespace, selector=f"x={api.namespace},y=2") == ["a"]
    everywhere = await found(None, selector=f"y=2,x={api.namespace}")
    assert everywhere == ["c", "a"]  # in the order of `<namespace>/<name>`, and "-" is before "/"
    assert await found(api.namespace, selector=f"x={api.namespace}", fields="metadata.name=b") == ["b"]
    assert await found(api.namespace, selector="x=nothing") == []
    for fields in ("data.a=1", "type=Opaque", "involvedObject.uid=1"):
        await refused(found(api.namespace, fields=fields), Refused, 400, fields.partition("=")[0])


@scenario
async def secrets_have_a_field_for_their_type(api: Server) -> None:
    await api.kubernetes.create(api.secret(type="a/b"))
    assert len(await api.kubernetes.list_all("Secret", api.namespace, fields="type=a/b")) == 1
    assert await api.kubernetes.list_all("Secret", api.namespace, fields="type=a/c") == []
    uid = "involvedObject.uid=1"
    assert await api.kubernetes.list_all("Event", api.namespace, fields=f"{uid},type=Warning") == []


@scenario
async def a_pod_that_is_not_there_has_no_log(api: Server) -> None:
    await refused(api.kubernetes.log(api.namespace, "gone"), NotThere, 404, 'pods "gone" not found')
