"""From whatever is observed, a cluster that stands still is settled after some passes, or says why not.

The real reconciler over the cluster in memory; time passes between its passes, and nothing else happens: what is
missing, garbled, moved, refused or unready stays so, but for what Kubernetes and the operator do about it.
"""

from __future__ import annotations

import asyncio
import copy
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.examples import examples
from tests.unit.operator.driven import KEY, Driven, Manifest, Ports, Store
from tests.unit.operator.world import OWNER, World

from payment_operator import names
from payment_operator.errors import OperatorError, Refused
from payment_operator.runtime.condition_metrics import measure_conditions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

PASSES, SECONDS = 60, 60.0
"""An hour: longer than every deadline of the spec."""
QUIET = 15
"""The last passes, in which nothing is written any more."""
MOST_WRITES, MOST_EVENTS = 90, 12
NEW = "registry/payments:2"
DISTURBED = ["Deployment", "Service", "ConfigMap", "Secret", "PodDisruptionBudget", "ControllerRevision", "Job"]
REFUSED = [
    (verb, kind)
    for kind in ("Deployment", "Service", "ConfigMap", "PodDisruptionBudget", "Job", "ControllerRevision", "Secret")
    for verb in ("apply", "create", "patch", "delete")
]


class Counted(Store):
    """Counts what is written, the status included; what is refused is none."""

    def __init__(self, world: World, refused: set[tuple[str, str]]) -> None:
        super().__init__(world, lambda verb, kind, _: self._denied(verb, kind))
        self.refused, self.written = refused, 0

    def _denied(self, verb: str, kind: str) -> OperatorError | None:
        if (verb, kind) in self.refused:
            return Refused(403, "Forbidden", "denied by policy: not today")
        return None

    async def apply(self, manifest: Manifest, *, force: bool = True) -> Manifest:
        found = await super().apply(manifest, force=force)
        self.written += 1
        return found

    async def create(self, manifest: Manifest) -> Manifest:
        found = await super().create(manifest)
        self.written += manifest["kind"] != "Event"
        return found

    async def patch(
        self, kind: str, namespace: str, name: str, operations: Sequence[Manifest], *, subresource: str = ""
    ) -> Manifest:
        found = await super().patch(kind, namespace, name, operations, subresource=subresource)
        self.written += 1
        return found

    async def delete(self, kind: str, namespace: str, name: str, *, uid: str = "") -> None:
        await super().delete(kind, namespace, name, uid=uid)
        self.written += 1


def _begun(passes: int) -> Callable[[], World]:
    """A world some passes after a new image was asked for; made once."""
    kept: list[World] = []

    def copied() -> World:
        if not kept:
            world = World.serving()
            if passes:
                world.change(image=NEW)
                for _ in range(passes):
                    world.operate()
                    world.progress()
            kept.append(world)
        return copy.deepcopy(kept[0])

    return copied


STARTS = [_begun(0), _begun(3), _begun(9), _begun(14), _begun(25)]


def _remove(world: World, choice: int) -> None:
    keys = sorted(key for key in world.objects if key[0] in DISTURBED)
    if keys:
        world.remove(keys[choice % len(keys)])


def _orphan(world: World, choice: int) -> None:
    keys = sorted(world.objects)
    if keys:
        world.objects[keys[choice % len(keys)]]["metadata"]["ownerReferences"] = []


def _garble(world: World, choice: int) -> None:
    keys = sorted(key for key, item in world.objects.items() if item["metadata"].get("annotations"))
    if keys:
        annotations = world.objects[keys[choice % len(keys)]]["metadata"]["annotations"]
        for name in annotations:
            annotations[name] = ("", "{", '{"version": 99}', "\N{SNOWMAN}")[choice % 4]


def _move(world: World, choice: int) -> None:
    key = ("Service", names.api_service(OWNER.name))
    if key in world.objects:
        selector = world.objects[key]["spec"]["selector"]
        others = [pod["metadata"]["labels"].get(names.LABEL_REVISION, "") for pod in world.pods.values()]
        selector[names.LABEL_REVISION] = ["nothing", *sorted(others)][choice % (len(others) + 1)]


def _unready(world: World, choice: int) -> None:
    pods = sorted(world.pods)
    if pods:
        world.pods[pods[choice % len(pods)]]["status"]["conditions"] = [{"type": "Ready", "status": "False"}]


def _status(world: World, choice: int) -> None:
    world.status = ({}, {"conditions": "none"}, {"active": 7, "conditions": []})[choice % 3]


def _image(world: World, choice: int) -> None:
    image = f"registry/payments:{3 + choice % 5}"
    behaviour = world.behave(image)
    behaviour.starts = bool(choice % 2)
    behaviour.exit_codes = {("plan", "smoke", "none")[choice % 3]: 1}
    world.change(image=image)


def _ask(world: World, choice: int) -> None:
    world.ask(("retry", "rollback", "abort", "promote")[choice % 4], (None, 1, 2)[choice % 3])


def _clock(world: World, choice: int) -> None:
    world.now = world.now.replace(year=world.now.year + (choice % 3) - 1)


DISTURBANCES = [_remove, _orphan, _garble, _move, _unready, _status, _image, _ask, _clock]


async def _watch(driven: Driven, store: Counted) -> int:
    await driven.passes(PASSES - QUIET, seconds=SECONDS)
    before = store.written
    await driven.passes(QUIET, seconds=SECONDS)
    return store.written - before


def _says_why(conditions: dict[str, dict[str, Any]]) -> bool:
    ready = conditions["Ready"]
    return ready["status"] == "True" or bool(ready["reason"] and ready["message"])


@pytest.fixture(autouse=True)
def _gone_afterwards() -> Iterator[None]:
    yield
    measure_conditions(KEY, None)


# the same ones always; more are drawn by hand, with other settings
@settings(max_examples=examples(12), derandomize=True)
@given(
    start=st.sampled_from(STARTS),
    disturbed=st.lists(st.tuples(st.sampled_from(DISTURBANCES), st.integers(0, 60)), max_size=4),
    refused=st.sets(st.sampled_from(REFUSED), max_size=2),
    reached=st.booleans(),
)
def test_a_still_cluster_is_settled_or_says_why_not(
    start: Callable[[], World],
    disturbed: list[tuple[Callable[[World, int], None], int]],
    refused: set[tuple[str, str]],
    reached: bool,  # noqa: FBT001 - drawn by hypothesis
) -> None:
    world = start()
    for disturb, choice in disturbed:
        disturb(world, choice)
    store = Counted(world, refused)
    driven = Driven(world, store=store, ports=Ports(world, takes=reached))
    restless = asyncio.run(_watch(driven, store))
    assert not restless, f"{restless} writes in the last {QUIET} passes"
    assert _says_why(world.conditions())
    assert store.written <= MOST_WRITES
    assert len(store.events) <= MOST_EVENTS, store.events
