"""Ours only: what does not carry the environment's owner reference is never written, taken over or removed."""

from __future__ import annotations

import asyncio
import copy
import re
from typing import Any

import pytest
from tests.unit.operator.driven import Driven, Store
from tests.unit.operator.world import OWNER, SOURCE, SPEC, World

from payment_operator import names

NEW = "registry/payments:2"
MIGRATION_URL = "postgresql://owner:only-copy@db/payments"
PENDING = [
    {"number": 3, "phase": "expand", "summary": "adds a column"},
    {"number": 4, "phase": "contract", "summary": "drops a column"},
]


def with_owner_role() -> dict[str, Any]:
    """A spec whose migrations have a role, and so a Secret, of their own."""
    spec = copy.deepcopy(SPEC)
    spec["database"]["migrationUrlSecretRef"] = {"name": "payments"}
    return spec


def whole_world() -> World:
    """A world in which a release makes everything that the operator ever makes, as far as it needs no Stripe."""
    spec = with_owner_role() | {
        "worker": {"autoscaling": {"minReplicas": 1, "maxReplicas": 3}},
        "webhookEndpoints": {"signingKeySecretRef": {"name": "payments"}},
    }
    values = {"DATABASE_MIGRATION_URL": MIGRATION_URL, "WEBHOOK_SIGNING_KEY": SOURCE["SECRET_KEY"]}
    world = World(spec=spec, source=SOURCE | values)
    world.behave("registry/payments:1").plan |= {"pending": PENDING, "runnable": [3]}
    return world


NAMES = (
    "ConfigMap/shop-worker",
    "ControllerRevision/shop-#",
    "Deployment/shop-api-#",
    "Deployment/shop-worker-#",
    "HorizontalPodAutoscaler/shop-api",
    "HorizontalPodAutoscaler/shop-worker",
    "Job/shop-contract-#-a1",
    "Job/shop-expand-#-a1",
    "Job/shop-plan-#-a1",
    "Job/shop-smoke-#-a1",
    "PodDisruptionBudget/shop-api-#",
    "PodDisruptionBudget/shop-worker-#",
    "Secret/shop-credentials-#",
    "Secret/shop-migration",
    "Secret/shop-secret-keys",
    "Secret/shop-webhook-secrets",
    "Secret/shop-webhook-signing-keys",
    "Service/shop-api",
    "Service/shop-api-preview",
    "Service/shop-metrics",
)
"""What the operator writes, digests left out."""
REMOVED = tuple(name for name in NAMES if "#" in name or name.startswith("HorizontalPodAutoscaler"))
"""Of which it removes some one day."""


@pytest.fixture(scope="module")
def keys() -> dict[str, tuple[str, str]]:
    """Kind and name of everything that is written for the world's environment, by the names above."""
    driven = Driven(whole_world())
    assert not asyncio.run(driven.passes(80))
    found = {(kind, name) for verb, kind, name in driven.store.calls if verb in {"create", "apply"} and kind != "Event"}
    return {f"{kind}/{re.sub('[0-9a-f]{8,10}', '#', name)}": (kind, name) for kind, name in found}


def test_no_name_is_left_out(keys: dict[str, tuple[str, str]]) -> None:
    assert sorted(keys) == sorted(NAMES)


def foreign(kind: str, name: str) -> dict[str, Any]:
    """An object of somebody else's, who may well use our labels."""
    metadata = {"name": name, "namespace": "test", "uid": f"foreign-{name}", "resourceVersion": "1"}
    return {"kind": kind, "metadata": metadata | {"labels": OWNER.labels()}, "data": {"theirs": "b3JkZXJz"}}


@pytest.mark.parametrize("taken", NAMES)
async def test_every_name_that_is_taken_is_left_alone_and_named_with_the_way_out(
    taken: str, keys: dict[str, tuple[str, str]]
) -> None:
    key = kind, name = keys[taken]
    world = whole_world()
    store = Store(world)
    store.foreign[key] = foreign(kind, name)
    before = copy.deepcopy(store.foreign[key])
    driven = Driven(world, store=store)
    assert not await driven.passes(60)
    assert store.foreign == {key: before}
    assert key not in world.objects
    assert not [call for call in store.calls if call[0] in {"patch", "delete"} and call[1:] == key]
    said = " ".join(entry.get("message", "") for entry in world.conditions().values() if entry["type"] != "Ready")
    for part in ("NameTaken", f"{kind} {name}", f"kubectl delete {kind.lower()} {name}", OWNER.uid):
        assert part in said, f"{part} is not in {said}"
    assert world.conditions()["Ready"]["status"] == "False"
    del store.foreign[key]
    world.ask("retry")
    assert not await driven.passes(80, seconds=15)
    assert world.conditions()["Ready"]["status"] == "True"


@pytest.mark.parametrize("taken", REMOVED)
async def test_what_somebody_puts_in_the_place_of_ours_is_not_removed_at_the_end(
    taken: str, keys: dict[str, tuple[str, str]]
) -> None:
    """Ours is deleted by hand, theirs takes its name; then a release ends, autoscaling is off, the history is short."""
    key, world = keys[taken], whole_world()
    driven = Driven(world)
    assert not await driven.passes(60)
    if key in world.objects:
        world.remove(key)
    driven.store.foreign[key] = foreign(*key)
    driven.store.calls.clear()
    world.change(image=NEW, autoscaling={"mode": "Disabled"}, worker={})
    await driven.passes(60, seconds=20)
    assert key in driven.store.foreign
    assert key not in world.objects
    assert not [call for call in driven.store.calls if call[0] in {"patch", "delete"} and call[1:] == key]


async def test_what_is_made_by_others_between_the_look_and_the_first_write_is_not_taken_over() -> None:
    world = World()
    store = Store(world)
    key = ("ConfigMap", names.worker_config(OWNER.name))
    look = store.get

    async def get(kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        found = await look(kind, namespace, name)
        if (kind, name) == key and found is None:
            store.foreign[key] = foreign(*key)
        return found

    store.get = get  # type: ignore[method-assign]
    driven = Driven(world, store=store)
    await driven.passes(10)
    assert key in store.foreign
    assert key not in world.objects
    assert world.conditions()["Failing"]["reason"] == "NameTaken"


async def test_a_service_that_was_replaced_since_it_was_read_gets_no_selector() -> None:
    world = World()
    driven = Driven(world)
    assert not await driven.passes(80)
    key = ("Service", names.api_service(OWNER.name))
    del world.objects[key]["spec"]["selector"]
    seen = driven.store.list_all

    async def list_all(
        kind: str, namespace: str | None, *, selector: str = "", fields: str = ""
    ) -> list[dict[str, Any]]:
        found = copy.deepcopy(await seen(kind, namespace, selector=selector, fields=fields))
        if kind == "Service":
            world.objects[key]["metadata"] |= {"uid": "another", "ownerReferences": []}
        return found

    world.change(release=SPEC["release"] | {"onOverride": "Restore"})
    driven.store.list_all = list_all  # type: ignore[method-assign]
    await driven.passes(3)
    assert [call for call in driven.store.calls if call == ("patch", *key)], "it was tried"
    assert not world.objects[key]["spec"].get("selector")
    assert world.conditions()["Failing"]["reason"] == "NameTaken"
