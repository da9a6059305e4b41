"""A pass that does not come to its end is told in status, metric and `/healthz`; none restarts the operator."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from tests.unit.operator.driven import KEY, Driven, Ports, Store
from tests.unit.operator.world import World

from payment_operator import names
from payment_operator.errors import ApiError, Overdue
from payment_operator.runtime import reconciler
from payment_operator.runtime.condition_metrics import failing_environments, measure_conditions
from payment_operator.runtime.health import Staleness, application

if TYPE_CHECKING:
    from collections.abc import Iterator

    from payment_operator.model.pod import Pod

FORBIDDEN = ApiError(403, "Forbidden", 'jobs.batch is forbidden: cannot list resource "jobs"')


class Unreadable(Store):
    """An API server that no longer lets this operator read Jobs."""

    on = False

    async def list_all(
        self, kind: str, namespace: str | None, *, selector: str = "", fields: str = ""
    ) -> list[dict[str, object]]:
        if self.on and kind == "Job":
            raise FORBIDDEN
        return await super().list_all(kind, namespace, selector=selector, fields=fields)


@pytest.fixture(autouse=True)
def _gone_afterwards() -> Iterator[None]:
    yield
    measure_conditions(KEY, None)


async def settled() -> tuple[Driven, Unreadable]:
    world = World()
    store = Unreadable(world)
    driven = Driven(world, store=store)
    assert not await driven.passes(80)
    assert not failing_environments()
    return driven, store


async def test_what_cannot_be_read_is_told_in_the_api_server_s_words() -> None:
    driven, store = await settled()
    store.on = True
    assert await driven.passes(1)
    assert driven.world.conditions()["Ready"]["status"] == "True", "it may pass by itself"
    assert failing_environments() == ["test/shop"]
    await driven.passes(5)
    conditions = driven.world.conditions()
    for kind, status in (("Failing", "True"), ("Ready", "False")):
        assert (conditions[kind]["status"], conditions[kind]["reason"]) == (status, "PassFailed")
        assert "cannot list resource" in conditions[kind]["message"]
    assert len(driven.told("PassFailed")) == 1, "an Event once"
    store.on = False
    assert not await driven.passes(2)
    assert driven.world.conditions()["Ready"]["status"] == "True"
    assert not failing_environments()


async def test_a_pass_without_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    driven, _ = await settled()

    async def never(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(driven._memory[KEY].observer.pods, "look", never)
    monkeypatch.setattr(reconciler, "PASS_SECONDS", 0.2)
    async with asyncio.timeout(30):
        died = await driven.passes(3)
    assert [type(error) for error in died] == [Overdue] * 3
    assert "did not end in" in driven.world.conditions()["Failing"]["message"]


async def test_a_spec_that_cannot_be_read_counts_as_failing() -> None:
    driven, _ = await settled()
    driven.world.spec = {"image": 7}
    assert not await driven.passes(5)
    assert driven.world.conditions()["Failing"]["reason"] == "SpecInvalid"
    assert len(driven.told("SpecInvalid")) == 1, "an Event once"
    assert failing_environments() == ["test/shop"]


WRONG: list[dict[str, object]] = [
    {"image": 7},
    {"release": {"promotion": "Scheduled", "bake": {"seconds": "long"}}, "autoscaling": [], "allowedOrigins": [7]},
]


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("kind", ["Deployment", "Service", "ConfigMap", "PodDisruptionBudget"])
async def test_what_serves_is_made_again_whatever_of_the_spec_cannot_be_read(
    kind: str, wrong: dict[str, object]
) -> None:
    driven, _ = await settled()
    driven.world.spec["replicas"] = 3
    await driven.passes(5)
    world = driven.world
    world.spec = world.spec | wrong
    gone = [key for key in world.objects if key[0] == kind]
    for key in gone:
        world.remove(key)
    driven.store.calls.clear()
    assert not await driven.passes(3)
    assert [key for key in gone if key in world.objects] == gone
    assert world.conditions()["Failing"]["reason"] == "SpecInvalid"
    written = [call for call in driven.store.calls if call[1] not in {"Event", names.KIND}]
    assert len(written) == len(gone), "nothing else is written"
    if kind == "Deployment":
        assert {
            item["spec"]["replicas"] for key, item in world.objects.items() if "-api-" in key[1] and key in gone
        } == {3}
    if kind == "Service":
        assert len(world.selected(world.service()["spec"]["selector"])) == 3


async def health(app: web.Application) -> tuple[int, dict[str, Any]]:
    request = make_mocked_request("GET", "/healthz")
    route = await app.router.resolve(request)
    answer = await route.handler(request)
    assert isinstance(answer, web.Response)
    return answer.status, json.loads(answer.text or "")


async def test_health_names_who_fails_and_stays_well() -> None:
    driven, store = await settled()
    store.on = True
    await driven.passes(3)
    staleness = Staleness(resync=30, leading=True)
    app = application(lambda: staleness.problems(longest_pass=0), lambda: True)
    assert await health(app) == (200, {"healthy": True, "problems": [], "failing": ["test/shop"]})
    staleness.turned -= 1000
    code, answer = await health(app)
    assert code == 503
    assert "the loop is stuck" in answer["problems"][0]


class Slow(Ports):
    """Pods that answer once all of a revision's have been called."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.called: set[str] = set()
        self.all = asyncio.Event()
        self.alone = 0

    async def put(self, pod: Pod, path: str, body: dict[str, bool], *, token: str) -> bool:
        self.called.add(pod.uid)
        if len(self.called) >= 3:
            self.all.set()
        try:
            await asyncio.wait_for(self.all.wait(), 10)
        except TimeoutError:
            self.alone += 1
        return await super().put(pod, path, body, token=token)


async def test_pods_that_do_not_answer_cost_their_time_out_together() -> None:
    world = World()
    world.change(replicas=3)
    ports = Slow(world)
    driven = Driven(world, ports=ports)
    assert not await driven.passes(20)
    assert len(ports.called) >= 3
    assert not ports.alone
