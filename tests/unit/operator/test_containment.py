"""A fault stays where it is: what is refused or fails keeps nothing back of what serves, and says so."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest
from tests.unit.operator.driven import Driven, Store, allow
from tests.unit.operator.world import World

from payment_operator import names
from payment_operator.decide import decision
from payment_operator.decide.release.jobs import MOST_JOBS
from payment_operator.errors import ApiError, OperatorError, Refused

if TYPE_CHECKING:
    from payment_operator.decide.turn import Turn

NEW = "registry/payments:2"
QUOTA = "exceeded quota: team, requested: count/jobs.batch=1"


class Refusing:
    """A settled environment whose API server then refuses one verb of one kind."""

    def __init__(self, verb: str, kind: str, *, error: OperatorError | None = None) -> None:
        self.world, self.on = World(), False
        self.what, self.error = (verb, kind), error or Refused(403, "Forbidden", QUOTA)
        self.driven = Driven(self.world, store=Store(self.world, self._refuse))

    def _refuse(self, verb: str, kind: str, _: str) -> OperatorError | None:
        return self.error if self.on and (verb, kind) == self.what else None

    async def refuse(self) -> None:
        assert not await self.driven.passes(80)
        self.on = True


def serving(world: World) -> tuple[str, str]:
    found: tuple[str, str] = next(key for key in world.objects if key[0] == "Deployment" and "-api-" in key[1])
    return found


@pytest.mark.parametrize("kind", ["Job", "ControllerRevision", "Deployment"])
async def test_a_refused_object_of_a_release_keeps_nothing_back_of_what_serves(kind: str) -> None:
    refusing = Refusing("apply" if kind == "Deployment" else "create", kind)
    world, driven = refusing.world, refusing.driven
    await refusing.refuse()
    world.change(image=NEW)
    assert not await driven.passes(60), "a pass died"
    conditions = world.conditions()
    assert conditions["Ready"]["status"] == "False"
    assert QUOTA in conditions["Ready"]["message"], "in the API server's own words"
    assert world.status["observedGeneration"] == world.generation
    told = [message for _, message in driven.store.events if QUOTA in message]
    assert len(told) <= 2, "one of the write, one of the release"
    if kind != "Deployment":
        gone = serving(world)
        world.remove(gone)
        await driven.passes(3)
        assert gone in world.objects
    assert world.active() == "registry/payments:1"
    refusing.on = False
    if kind != "ControllerRevision":
        world.ask("retry")
    await driven.passes(80)
    assert world.active() == NEW, "what was refused before is forgotten"
    assert world.conditions()["Failing"]["status"] == "False"


async def test_a_release_goes_on_by_itself_once_a_full_quota_is_raised() -> None:
    refusing = Refusing("create", "Job")
    world, driven = refusing.world, refusing.driven
    await refusing.refuse()
    world.change(image=NEW)
    assert not await driven.passes(20)
    candidate = world.status["candidate"]
    assert QUOTA in candidate["cause"]
    assert candidate["deadline"]
    assert world.conditions()["Failing"]["reason"] == "WriteRefused"
    gone = serving(world)
    world.remove(gone)
    await driven.passes(3)
    assert gone in world.objects, "what serves comes back although the release waits"
    refusing.on = False
    assert not await driven.passes(80)
    assert world.active() == NEW
    assert not driven.told("ReleaseFailed")


async def test_a_quota_that_stays_full_ends_the_release_at_its_deadline_in_the_api_server_s_words() -> None:
    refusing = Refusing("create", "Job")
    await refusing.refuse()
    refusing.world.change(image=NEW)
    assert not await refusing.driven.passes(60, seconds=30)
    stalled = refusing.world.conditions()["Stalled"]
    assert (stalled["status"], stalled["reason"]) == ("True", "ManifestRefused")
    assert QUOTA in stalled["message"]
    assert len(refusing.driven.told("Waiting")) == len(refusing.driven.told("ReleaseFailed")) == 1


async def test_a_refused_contract_job_is_tried_a_few_times_and_then_waits_for_retry() -> None:
    refusing = Refusing("create", "Job")
    world, driven = refusing.world, refusing.driven
    await refusing.refuse()
    refusing.on = False
    pending = [{"number": 4, "phase": "contract", "summary": "drops"}]
    world.behave(NEW).plan |= {"pending": pending, "runnable": []}
    driven.store.refuse = lambda verb, kind, name: (
        Refused(403, "Forbidden", QUOTA) if (verb, kind) == ("create", "Job") and "-contract-" in name else None
    )
    world.change(image=NEW)
    assert not await driven.passes(300)
    tried = [
        name for verb, kind, name in driven.store.calls if (verb, kind) == ("create", "Job") and "contract" in name
    ]
    assert 1 < len(tried) <= MOST_JOBS + 1
    assert world.active() == NEW
    stalled = world.conditions()["Stalled"]
    assert (stalled["status"], stalled["reason"]) == ("True", "ContractFailed")
    assert QUOTA in stalled["message"]
    driven.store.refuse = allow
    world.ask("retry")
    assert not await driven.passes(20)
    assert [job for job in world.jobs_made if "-contract-" in job]
    assert world.conditions()["Ready"]["status"] == "True"


async def test_a_refusal_beside_a_release_is_told_once() -> None:
    refusing = Refusing("apply", "PodDisruptionBudget")
    await refusing.refuse()
    world = refusing.world
    world.remove(next(key for key in world.objects if key[0] == "PodDisruptionBudget"))
    assert not await refusing.driven.passes(50)
    conditions = world.conditions()
    assert (conditions["Failing"]["status"], conditions["Failing"]["reason"]) == ("True", "WriteRefused")
    assert conditions["Ready"]["message"] == conditions["Failing"]["message"]
    assert len(refusing.driven.told("WriteRefused")) == 1
    assert conditions["Available"]["status"] == "True"


async def test_a_busy_api_server_is_told_only_if_it_stays_so() -> None:
    refusing = Refusing("create", "Job", error=ApiError(429, "TooManyRequests", "try later"))
    await refusing.refuse()
    refusing.world.change(image=NEW)
    assert not await refusing.driven.passes(20)
    assert "try later" in refusing.world.conditions()["Failing"]["message"]
    assert not refusing.driven.told("ReleaseFailed")
    refusing.on = False
    await refusing.driven.passes(80)
    assert refusing.world.active() == NEW


async def test_events_that_are_not_taken_stop_nothing() -> None:
    refusing = Refusing("create", "Event", error=ApiError(429, "TooManyRequests", "try later"))
    refusing.on = True
    assert not await refusing.driven.passes(80)
    assert refusing.world.conditions()["Ready"]["status"] == "True"


async def test_a_concern_that_raises_stops_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Turn) -> None:
        raise ZeroDivisionError("of all things")

    world = World.serving()
    monkeypatch.setitem(decision.CONCERNS, "webhook", broken)
    monkeypatch.setattr(decision, "STAGES", (broken,))
    driven = Driven(world)
    world.remove(serving(world))
    assert not await driven.passes(4)
    assert [key for key in world.objects if key[0] == "Deployment" and "-api-" in key[1]]
    assert "webhook: ZeroDivisionError" in world.conditions()["Failing"]["message"]


async def test_a_status_of_another_form_is_written_anew() -> None:
    world = World()
    driven = Driven(world)
    await driven.passes(80)
    world.status = {"conditions": "none", "failed": 7}
    assert not await driven.passes(3)
    assert world.conditions()["Ready"]["status"] == "True"


async def test_what_the_schema_does_not_allow_is_refused_and_kills_no_pass() -> None:
    world = World()
    driven = Driven(world)
    await driven.passes(80)
    wrong: list[dict[str, object]] = [
        {"verb": "rollback", "revision": 10**5000},
        {"verb": "rollback", "revision": "٣"},
        {"verb": "destroy"},
        {"verb": "rotate"},
        {"verb": "abort", "reason": "x" * 2000},
    ]
    for spec in wrong:
        world.objects[names.REQUEST_KIND, world.ask("abort")]["spec"] |= spec
    assert not await driven.passes(4)
    for name in world.asked:
        assert world.answer(name)["state"] == "Refused"
        assert "cannot be read" in world.answer(name)["message"]


def foreign(kind: str, name: str, **more: object) -> dict[str, object]:
    metadata = {"name": name, "namespace": "test", "uid": f"foreign-{name}", "resourceVersion": "1"}
    return {"kind": kind, "metadata": metadata} | more


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("ConfigMap", "shop-worker"),
        ("Service", "shop-api"),
        ("Service", "shop-metrics"),
        ("HorizontalPodAutoscaler", "shop-api"),
    ],
)
async def test_what_is_somebody_else_s_is_left_alone_and_named(kind: str, name: str) -> None:
    world = World()
    store = Store(world)
    store.foreign[kind, name] = foreign(kind, name, data={"QUEUE": "orders"})
    driven = Driven(world, store=store)
    assert not await driven.passes(80)
    assert (kind, name) not in world.objects
    failing = world.conditions()["Failing"]
    assert (failing["status"], failing["reason"]) == ("True", "NameTaken")
    for said in (f"{kind} {name}", "has no owner reference", f"kubectl delete {kind.lower()} {name}", "uid-shop"):
        assert said in failing["message"]
    assert len(driven.told("NameTaken")) == 1
    del store.foreign[kind, name]
    await driven.passes(80)
    assert world.conditions()["Ready"]["status"] == "True"


SOURCE_KEY = ("Secret", "shop-migration")


async def test_nobody_is_told_to_remove_a_secret_that_the_spec_takes_values_from() -> None:
    world = World()
    store = Store(world)
    url = base64.b64encode(b"postgresql://owner:the-only-copy@db/p").decode()
    store.foreign[SOURCE_KEY] = foreign("Secret", "shop-migration", data={"DATABASE_MIGRATION_URL": url})
    world.spec["database"] = world.spec["database"] | {"migrationUrlSecretRef": {"name": "shop-migration"}}
    driven = Driven(world, store=store)
    assert not await driven.passes(20)
    said = world.conditions()["Failing"]["message"]
    assert "Secret shop-migration: NameTaken: the spec takes values from it" in said
    assert "kubectl delete" not in said
    assert "copy it under another name" in said
    world.change(autoscaling={"mode": "Disabled"})
    await driven.passes(20)
    assert store.foreign[SOURCE_KEY]["data"] == {"DATABASE_MIGRATION_URL": url}
    assert not [call for call in store.calls if call[0] == "delete" and call[2] == "shop-migration"]


async def test_objects_that_an_earlier_environment_left_are_not_taken_over() -> None:
    world = World()
    driven = Driven(world)
    await driven.passes(80)
    for item in world.objects.values():
        item["metadata"]["ownerReferences"] = []
    world.status = {}
    driven.store.events.clear()
    before = driven.world.writes
    assert not await driven.passes(100)
    assert world.conditions()["Failing"]["reason"] == "NameTaken"
    assert len(driven.store.events) <= 3
    assert world.writes - before <= 3


async def test_an_object_replaced_since_it_was_read_is_not_written() -> None:
    world = World()
    driven = Driven(world)
    await driven.passes(80)
    key = serving(world)
    seen = driven.store.list_all

    async def list_all(kind: str, namespace: str | None, *, selector: str = "", **_: str) -> list[dict[str, object]]:
        found = await seen(kind, namespace, selector=selector)
        if kind == key[0]:
            other = world.objects[key]["metadata"] | {"uid": "another"}
            world.objects[key] = world.objects[key] | {"metadata": other}
        return found

    world.change(replicas=5)
    driven.store.list_all = list_all  # type: ignore[method-assign]
    assert "metadata.uid" in str((await driven.passes(1))[0])
    assert world.objects[key]["spec"]["replicas"] != 5
