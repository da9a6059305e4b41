"""Commands that no pod takes are told of, cost a pass little, and idle workers make the environment unready."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.unit.operator.driven import KEY, Driven, Ports
from tests.unit.operator.world import World

from payment_operator import names
from payment_operator.metrics import REGISTRY
from payment_operator.resources.pods import CLAIM_FILE
from payment_operator.runtime.condition_metrics import measure_conditions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from payment_operator.model.pod import Pod


class Counting(Ports):
    """Counts the attempts."""

    attempts = 0

    async def put(self, pod: Pod, path: str, body: dict[str, bool], *, token: str) -> bool:
        self.attempts += 1
        return await super().put(pod, path, body, token=token)


async def closed() -> tuple[World, Driven, Counting]:
    world = World()
    ports = Counting(world, takes=False)
    driven = Driven(world, ports=ports)
    await driven.passes(80)
    return world, driven, ports


def measured(name: str) -> float | None:
    labels = {"exported_namespace": KEY[0], "exported_environment": KEY[1]}
    return REGISTRY.get_sample_value(f"payment_operator_{name}", labels)


@pytest.fixture(autouse=True)
def _gone_afterwards() -> Iterator[None]:
    yield
    measure_conditions(KEY, None)
    assert measured("workers_idle") is measured("commands_untaken") is None


async def test_commands_that_are_not_taken_are_a_condition_until_they_are() -> None:
    world, driven, ports = await closed()
    taken = world.conditions()["CommandsTaken"]
    assert (taken["status"], taken["reason"]) == ("False", "AdminPortUnreachable")
    assert "9090" in taken["message"]
    claiming = world.conditions()["WorkersClaiming"]
    assert (claiming["status"], claiming["reason"]) == ("Unknown", "FollowConfigMap")
    assert world.objects["ConfigMap", "shop-worker"]["data"], "what they follow"
    assert ports.attempts < 80, "each may cost its whole time-out"
    assert (measured("commands_untaken"), measured("workers_idle")) == (1, 0)
    ports.takes = True
    await driven.passes(10)
    assert world.conditions()["CommandsTaken"]["status"] == "True"
    assert world.conditions()["WorkersClaiming"]["status"] == "True"
    assert (measured("commands_untaken"), measured("workers_idle")) == (0, 0)


async def test_a_claim_that_no_worker_has_taken_yet_is_not_known() -> None:
    world = World()
    ports = Counting(world, takes=True)
    driven = Driven(world, ports=ports)
    await driven.passes(80)
    ports.takes = False
    for name in [name for name in world.pods if "-worker-" in name]:
        del world.pods[name]
    await driven.passes(12)
    claiming = world.conditions()["WorkersClaiming"]
    assert (claiming["status"], claiming["reason"]) == ("Unknown", "NotTakenYet")
    ports.takes = True
    await driven.passes(10)
    assert world.conditions()["WorkersClaiming"]["status"] == "True"


async def test_workers_that_follow_nothing_and_take_nothing_are_no_success() -> None:
    world, driven, _ = await closed()
    for (kind, _name), item in world.objects.items():
        if kind == "ControllerRevision":
            container = item["data"]["manifests"][names.WORKER]["spec"]["template"]["spec"]["containers"][0]
            container["env"] = [entry for entry in container["env"] if entry["name"] != CLAIM_FILE]
    await driven.passes(3)
    assert world.conditions()["Ready"]["reason"] == "NoWorkerClaims"
    assert "not applied" in world.conditions()["Available"]["message"]
    assert measured("workers_idle") == 1


@pytest.mark.parametrize("replicas", [0, 1])
async def test_an_environment_without_a_ready_worker_says_so(replicas: int) -> None:
    world = World()
    world.spec["worker"] = {"replicas": replicas}
    driven = Driven(world)
    await driven.passes(80)
    assert world.conditions()["Ready"]["status"] == "True"
    for name, pod in world.pods.items():
        if "-worker-" in name:
            pod["status"]["conditions"] = [{"type": "Ready", "status": "False"}]
    await driven.passes(1)
    assert world.conditions()["Ready"]["status"] == ("False" if replicas else "True")
    assert world.conditions()["Available"]["status"] == "True", "the API serves"
    assert measured("workers_idle") == (1 if replicas else 0)
