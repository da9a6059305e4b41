# ruff: noqa: ARG001 - what refuses is asked with all of it
"""What people ask: each is answered, none is lost or done twice, whoever dies and whatever else is asked."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.operator.driven import KEY, Driven, Store
from tests.unit.operator.webhook_world import rested
from tests.unit.operator.world import OWNER, Lost, World

from payment_operator import names
from payment_operator.decide import requests, verbs
from payment_operator.errors import ApiError, Conflict, NotThere, OperatorError, Refused
from payment_operator.observe.requests import BINDING, POLICY
from payment_operator.resources.release_record import stamp

if TYPE_CHECKING:
    from payment_operator.api.request import RequestSpec
    from payment_operator.decide.turn import Turn
    from payment_operator.decide.verbs import Answer

FIRST, SECOND, THIRD = (f"registry/payments:{number}" for number in (1, 2, 3))


def held() -> World:
    """Revision 1 serves, revision 2 waits for a promotion."""
    world = World.serving()
    world.change(image=SECOND, release=world.spec["release"] | {"promotion": "Manual"})
    world.settle()
    assert world.status["candidate"]["step"] == "Hold"
    return world


def failed() -> World:
    """Revision 1 serves, revision 2 has failed."""
    world = World.serving()
    world.behave(SECOND).exit_codes["smoke"] = 1
    world.change(image=SECOND)
    world.settle()
    world.behave(SECOND).exit_codes.clear()
    return world


def attempts(world: World) -> dict[int, int]:
    return {revision.number: revision.record.attempt for revision in world.observe().revisions.values()}


def states(world: World) -> list[str]:
    return [world.answer(name)["state"] for name in world.asked]


def test_of_two_at_once_both_are_answered_and_the_leak_is_first() -> None:
    world = failed()
    retry = world.ask("retry")
    leak = world.ask("rotate", secret="api-key", compromised=True)
    for _ in range(4):
        world.operate()
    assert states(world) == ["Done", "Done"]
    assert world.answer(leak)["number"] < world.answer(retry)["number"]
    assert [r.number for r in world.observe().revisions.values() if r.record.key_leaked] == [1]


def test_they_are_answered_in_the_order_of_their_creation() -> None:
    world = held()
    asked = [world.ask(verb) for verb in ("unfreeze", "promote", "abort", "freeze", "unfreeze", "retry")]
    for _ in range(12):
        world.operate()
    assert [world.answer(name)["number"] for name in asked] == [1, 2, 3, 4, 5, 6]
    assert states(world) == ["Refused", "Done", "Done", "Done", "Done", "Done"]


def test_an_answer_belongs_to_the_environment_and_says_what_it_was_about() -> None:
    world = held()
    name = world.ask("promote", by="eva", reason="looks good")
    world.operate()
    item = world.objects[names.REQUEST_KIND, name]
    assert item["metadata"]["labels"][names.LABEL_ENVIRONMENT] == OWNER.name
    (reference,) = item["metadata"]["ownerReferences"]
    assert (reference["kind"], reference["uid"]) == (names.KIND, OWNER.uid)
    answer = world.answer()
    assert (answer["state"], answer["revision"], answer["by"]) == ("Done", 2, "eva (unverified)")
    assert answer["message"] == "revision 2 is promoted"
    assert answer["at"]


@pytest.mark.parametrize("survives", range(8))
def test_who_dies_while_it_acts_on_a_request_acts_once(survives: int) -> None:
    world = failed()
    world.ask("retry")
    with pytest.raises(Lost):
        world.operate(survives=survives)
    world.operate()
    world.operate()
    assert attempts(world)[2] == 2
    assert world.answer()["state"] == "Done"
    world.settle()
    assert world.active() == SECOND
    assert attempts(world)[2] == 2


@pytest.mark.parametrize("survives", range(6))
def test_who_dies_while_it_begins_a_rotation_begins_one(survives: int) -> None:
    world = rested()
    before = world.rotation()["version"]
    world.ask("rotate", secret="webhook")
    with pytest.raises(Lost):
        world.operate(survives=survives)
    world.live_through(passes=3)
    assert world.answer()["state"] == "Done"
    world.at_rest()
    assert world.rotation()["version"] == before + 1


@pytest.mark.parametrize(("verb", "attempt"), [("retry", 2), ("freeze", 1)])
def test_an_operator_with_an_old_view_does_nothing(verb: str, attempt: int) -> None:
    world = failed()
    world.ask(verb)
    old = world.observe()
    world.settle()
    answer = world.answer()
    with pytest.raises(Conflict):
        world.operate(seen=old)
    assert attempts(world)[2] == attempt
    assert world.answer() == answer


def test_one_that_cannot_be_handled_keeps_no_other_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Turn, __: RequestSpec) -> Answer:
        raise ZeroDivisionError("of all things")

    monkeypatch.setitem(verbs._VERBS, "abort", broken)
    world = held()
    first, second = world.ask("abort"), world.ask("promote")
    world.operate()
    assert "ZeroDivisionError: of all things" in world.answer(first)["message"]
    assert world.answer(second)["state"] == "Done"


@pytest.mark.parametrize("revision", [7, 2])
async def test_one_whose_answer_is_not_taken_keeps_no_other_waiting(revision: int) -> None:
    world, name = held(), ""

    def refuse(verb: str, kind: str, wanted: str) -> OperatorError | None:
        return Refused(403, "Forbidden", "a webhook says no") if wanted == name else None

    driven = Driven(world, store=Store(world, refuse))
    name, second = world.ask("promote", revision), world.ask("abort")
    await driven.passes(4)
    assert world.answer(name)["state"] == "Pending"
    assert world.answer(second)["state"] == "Done"
    assert f"{names.REQUEST_KIND} {name}: Forbidden" in world.conditions()["Failing"]["message"]


async def test_one_that_cannot_be_carried_out_is_given_up_with_the_reason() -> None:
    world = failed()

    def refuse(verb: str, kind: str, name: str) -> OperatorError | None:
        forbidden = verb == "patch" and kind == "ControllerRevision"
        return Refused(403, "Forbidden", "a policy says no") if forbidden else None

    driven = Driven(world, store=Store(world, refuse))
    retry, leak = world.ask("retry"), world.ask("rotate", secret="secret-key", compromised=True)
    await driven.passes(3)
    assert world.answer(retry)["state"] == "Accepted"
    assert world.answer(leak)["state"] == "Refused", "told at once that a person replaces it"
    await driven.passes(40)
    assert world.answer(retry)["state"] == "Refused"
    assert "a policy says no" in world.answer(retry)["message"]
    assert attempts(world)[2] == 1


async def test_refused_requests_without_end_hold_no_release_up() -> None:
    world = World()
    driven = Driven(world)
    await driven.passes(60)
    world.change(image=SECOND)
    for _ in range(80):
        world.ask("promote", 7)
        assert not await driven.passes(1, seconds=2)
    assert world.active() == SECOND
    assert set(states(world)[:-1]) == {"Refused"}


def test_the_step_of_the_release_is_shown_while_a_request_is_answered() -> None:
    world = held()
    world.ask("promote")
    world.operate()
    assert world.answer()["state"] == "Done"
    assert world.status["candidate"]["step"] == "Hold"


def test_many_are_answered_a_few_at_a_time() -> None:
    world = held()
    for _ in range(50):
        world.ask("promote", 7)
    world.operate()
    assert states(world).count("Refused") == requests.MOST_AT_ONCE
    world.settle()
    assert set(states(world)) == {"Refused"}


def test_the_history_is_kept_by_count_and_by_age_and_the_freeze_that_holds_stays() -> None:
    world = held()
    freeze = world.ask("freeze")
    world.operate()
    for _ in range(requests.KEPT + 20):
        world.ask("promote", 7)
    world.settle()
    left = {item["metadata"]["name"] for item in world.requests()}
    assert left == {freeze, *world.asked[-requests.KEPT :]}
    world.now += timedelta(seconds=requests.KEPT_SECONDS + 60)
    open_ = world.ask("abort", 7)
    world.settle()
    assert {item["metadata"]["name"] for item in world.requests()} == {freeze, open_}


def test_an_approval_lets_through_and_ends_no_bake() -> None:
    world = held()
    world.ask("approve", 7)
    world.ask("approve", 2)
    while world.active() != SECOND:
        world.operate()
        world.progress()
        world.now += timedelta(seconds=1)
    assert states(world) == ["Refused", "Done"]
    world.ask("approve", 2, reason="enough")
    world.operate()
    world.operate()
    assert world.answer()["state"] == "Refused"
    assert world.conditions()["Baking"]["status"] == "True"


def test_where_releases_wait_for_nobody_an_approval_is_refused() -> None:
    world = World.serving()
    world.change(image=SECOND)
    for _ in range(3):
        world.operate()
    world.ask("approve", 2)
    world.operate()
    assert "not Manual" in world.answer()["message"]


def test_while_releases_are_frozen_none_begins_and_the_way_back_is_open() -> None:
    world = World.serving()
    world.change(image=SECOND)
    world.settle()
    freeze = world.ask("freeze", reason="sale until Monday")
    world.operate()
    world.change(image=THIRD)
    world.settle()
    assert world.active() == SECOND
    suspended = world.conditions()["Suspended"]
    assert (suspended["status"], suspended["reason"]) == ("True", "Frozen")
    assert freeze in suspended["message"]
    assert "sale until Monday" in suspended["message"]
    assert world.conditions()["Ready"]["status"] == "False", "the spec asks for another one"
    world.ask("unfreeze")
    world.settle()
    assert world.active() == THIRD


def test_a_freeze_stops_the_release_that_runs_and_not_its_way_back() -> None:
    world = held()
    world.ask("promote")
    while world.active() != SECOND:
        world.operate()
        world.progress()
        world.now += timedelta(seconds=1)
    world.ask("freeze")
    world.ask("rollback")
    for _ in range(8):
        world.operate()
    assert states(world)[1:] == ["Done", "Done"]
    assert world.active() == FIRST


def test_no_step_is_taken_in_the_very_pass_that_freezes() -> None:
    world = held()
    world.ask("promote")
    world.operate()
    world.ask("freeze")
    for _ in range(20):
        world.operate()
        world.progress()
    assert world.active() == FIRST
    assert world.status["candidate"]["step"] == "Hold" or "freeze" in world.status["candidate"]["waitingFor"]


def test_who_removes_the_freezing_request_ends_the_freeze() -> None:
    world = held()
    freeze = world.ask("freeze")
    world.ask("promote")
    world.settle()
    assert world.active() == FIRST
    del world.objects[names.REQUEST_KIND, freeze]
    world.settle()
    assert world.active() == SECOND


class Elsewhere(Store):
    """Whose list of requests, or environment, is not as it should be."""

    error: OperatorError | None = None
    gone: bool = False
    spec: dict[str, Any] | None = None

    async def list_all(
        self, kind: str, namespace: str | None, *, selector: str = "", fields: str = ""
    ) -> list[dict[str, Any]]:
        if kind == names.REQUEST_KIND and self.error is not None:
            raise self.error
        return await super().list_all(kind, namespace, selector=selector, fields=fields)

    async def get(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        if kind == names.KIND and self.gone:
            return None
        found = await super().get(kind, namespace, name)
        return found | {"spec": self.spec} if kind == names.KIND and self.spec and found is not None else found


@pytest.mark.parametrize(("gone", "says"), [(True, "there is no PaymentEnvironment shop"), (False, "cannot be read")])
async def test_what_no_pass_can_answer_is_refused(*, gone: bool, says: str) -> None:
    world = World()
    store = Elsewhere(world)
    driven = Driven(world, store=store)
    await driven.passes(60)
    store.gone, store.spec = gone, {"image": 7}
    world.ask("promote", by="eva")
    await driven(KEY)
    assert (world.answer()["state"], world.answer()["by"]) == ("Refused", "eva (unverified)")
    assert says in world.answer()["message"]


@pytest.mark.parametrize(
    ("error", "active"),
    [
        (NotThere(404, "NotFound", "the server could not find the requested resource"), SECOND),
        (ApiError(403, "Forbidden", "may not list environmentrequests"), FIRST),
    ],
)
async def test_requests_that_cannot_be_read_are_said_and_stop_no_upkeep(error: OperatorError, active: str) -> None:
    world = World()
    store = Elsewhere(world)
    driven = Driven(world, store=store)
    await driven.passes(60)
    store.error = error
    world.change(image=SECOND)
    serving = next(key for key in world.objects if key[0] == "Deployment" and "-api-" in key[1])
    world.remove(serving)
    assert not await driven.passes(60)
    assert serving in world.objects or active == SECOND
    assert "requests: " in world.conditions()["Failing"]["message"]
    assert world.active() == active, "a freeze that cannot be read may be one; a kind that is not there has none"
    store.error = None
    await driven.passes(60)
    assert world.active() == SECOND
    assert world.conditions()["Failing"]["status"] == "False"


@pytest.mark.parametrize(
    ("binding", "wait", "verified"),
    [
        ({"policyName": "vouches", "validationActions": ["Deny"]}, 60, True),
        ({"policyName": "vouches", "validationActions": ["Deny"]}, 5, False),
        ({"policyName": "vouches", "validationActions": ["Audit"]}, 60, False),
        ({"policyName": "another", "validationActions": ["Deny"]}, 60, False),
        (None, 60, False),
    ],
)
async def test_who_asks_is_verified_only_where_a_policy_vouches_for_it(
    binding: dict[str, Any] | None, wait: float, *, verified: bool
) -> None:
    world = World()
    store = Store(world)
    driven = Driven(world, store=store, request_policy="vouches")
    await driven.passes(60)
    made = {"metadata": {"creationTimestamp": stamp(world.now)}}
    store.objects[POLICY, "", "vouches"] = made | {"spec": {"failurePolicy": "Fail"}}
    if binding is not None:
        store.objects[BINDING, "", "vouches"] = made | {"spec": binding}
    world.now += timedelta(seconds=wait)
    world.ask("promote", by="eva")
    await driven.passes(2)
    assert world.answer()["by"] == ("eva" if verified else "eva (unverified)")
