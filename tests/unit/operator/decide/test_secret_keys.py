"""SECRET_KEY is replaced in running pods: no API key is refused, no pod restarts, nothing is released."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.examples import examples
from tests.unit.operator.secret_key_world import KEPT, VALUES, A, B, C, SecretKeyWorld, serving
from tests.unit.operator.world import OWNER

from payment_operator import names
from payment_operator.resources.credentials import ADMIN_TOKEN


def test_the_first_values_are_those_of_the_users_secret() -> None:
    world = serving(A, B)
    assert world.kept() == (A, B)
    assert set(world.files.values()) == {(A, B)}
    assert world.conditions()["SecretsValid"]["status"] == "True"


def test_a_new_value_signs_once_every_pod_has_it_and_nothing_is_released() -> None:
    world = serving(A)
    before, revisions = dict(world.pods), set(world.observe().revisions)
    slow, *_ = world.api_pods()
    world.late.add(slow)
    world.write(B, A)
    world.live_through(passes=20)
    assert world.kept() == (A, B)  # one pod has not read it: with B first, it would refuse keys made elsewhere
    assert world.reported()["state"] == "Accepting"
    assert slow in world.reported()["message"]
    world.late.clear()
    world.live_through(passes=5)
    assert world.kept() == (B, A)
    assert (dict(world.pods), set(world.observe().revisions)) == (before, revisions)
    assert [reason for reason, _ in world.told_people].count("SecretKeyChanged") == 2


def test_a_value_that_keys_need_stays_though_it_was_removed_and_goes_when_they_have_moved() -> None:
    world = serving(A)
    pod = world.api_pods()[0]
    world.make_key("idle", pod)
    world.make_key("busy", pod)
    world.write(B)
    world.live_through()
    assert world.kept() == (B, A)
    world.use("busy", pod)
    world.live_through()
    assert world.kept() == (B, A)
    assert world.reported()["state"] == "Retaining"
    told = world.conditions()["SecretsValid"]
    assert (told["status"], told["reason"]) == ("False", "SecretKeyStillNeeded")
    assert told["message"].startswith("1 API key needs the value ")
    world.use("idle", pod)
    world.live_through()
    assert world.kept() == (B,)
    assert world.reported()["state"] == "Current"
    assert world.conditions()["SecretsValid"]["status"] == "True"
    assert not world.refused()


def test_two_values_that_find_the_same_key_do_not_go_together() -> None:
    world = serving(B, A)
    world.make_key("idle", world.api_pods()[0])
    world.write(C)
    world.live_through()
    assert len(world.kept()) == 2
    assert not world.refused()


def test_a_value_does_not_go_while_a_pod_is_silent_or_its_database_is_away_or_at_once() -> None:
    world = serving(A)
    world.write(B)
    world.live_through(passes=6)
    assert world.kept() == (B, A)  # keys of the last moments may not be on every replica yet
    world.silent.add(world.api_pods()[-1])
    world.live_through(passes=20)
    assert world.kept() == (B, A)
    world.silent.clear()
    world.blind = True
    world.live_through(passes=20)
    assert world.kept() == (B, A)
    world.blind = False
    world.live_through(passes=3)
    assert world.kept() == (B,)


def test_the_status_says_when_the_former_value_can_be_removed() -> None:
    world = serving(A)
    pod = world.api_pods()[0]
    world.make_key("idle", pod)
    world.write(B, A)
    world.live_through()
    found = world.reported()
    assert (found["state"], found["version"]) == ("Moving", 2)
    assert found["message"].startswith("1 API key needs a former value")
    assert [(value["id"], value.get("keysNeeding")) for value in found["values"]] == [("b", 0), ("a", 1)]
    world.use("idle", pod)
    world.live_through(passes=3)
    assert world.reported()["state"] == "Removable"
    world.write(B)
    world.live_through(passes=3)
    assert (world.kept(), world.reported()["state"]) == ((B,), "Current")


def test_keys_whose_value_is_nowhere_are_told_until_it_is_put_back() -> None:
    world = serving(B)
    world.keys["older"] = (A,)
    world.live_through(passes=3)
    told = world.conditions()["SecretsValid"]
    assert (told["reason"], world.reported()["state"]) == ("SecretKeyMissing", "Failed")
    assert "(a) that 1 API key needs" in told["message"]
    world.write(B, A)
    world.live_through()
    assert not world.refused()
    assert world.reported()["state"] == "Moving"


def test_more_values_than_pods_take_are_never_written() -> None:
    world = serving(*VALUES[:5])
    for number, value in enumerate(VALUES[:5]):
        world.keys[str(number)] = (value,)
    world.write(VALUES[5])
    world.live_through()
    assert world.kept() == VALUES[:5]
    assert world.reported()["state"] == "Failed"
    assert not world.refused()


@pytest.mark.parametrize("wrong", ["", "too-short", "a" * 40, ",".join(VALUES[:6])])
def test_what_pods_would_refuse_never_reaches_them(wrong: str) -> None:
    world = serving(A)
    world.write(wrong)
    world.live_through(passes=5)
    assert world.kept() == (A,)
    assert "SECRET_KEY" in world.conditions()["SecretsValid"]["message"]
    assert wrong not in world.conditions()["SecretsValid"]["message"] or not wrong


def test_a_deleted_secret_comes_back_from_the_users_one() -> None:
    world = serving(A)
    world.remove(KEPT)
    world.live_through(passes=2)
    assert world.kept() == (A,)


def test_pods_read_the_values_from_a_volume_of_their_own_and_the_token_outlives_them() -> None:
    world = serving(A)
    (credentials,) = versions(world)
    assert "SECRET_KEY" not in credentials["data"]
    token = base64.b64decode(credentials["data"][ADMIN_TOKEN])
    for (kind, name), item in world.objects.items():
        if kind == "Deployment":
            volumes = {v["secret"]["secretName"] for v in item["spec"]["template"]["spec"]["volumes"] if "secret" in v}
            assert (names.secret_keys(OWNER.name) in volumes) == ("-api-" in name)
    world.write(B)
    world.remove(("Secret", credentials["metadata"]["name"]))
    world.live_through()
    (again,) = versions(world)
    assert base64.b64decode(again["data"][ADMIN_TOKEN]) == token


def versions(world: SecretKeyWorld) -> list[dict[str, Any]]:
    """The versions of the credentials."""
    return [item for (kind, name), item in world.objects.items() if kind == "Secret" and "-credentials-" in name]


class AnyOrder(RuleBasedStateMachine):
    """People write what they like, pods read when they like, keys are used anywhere: none is ever refused."""

    @initialize()
    def begin(self) -> None:
        self.world: SecretKeyWorld = serving(A)
        self.number = 0

    @rule(values=st.lists(st.sampled_from(VALUES[:4]), min_size=1, max_size=3, unique=True))
    def write(self, values: list[str]) -> None:
        self.world.write(*values)

    @rule(place=st.integers(0, 1), late=st.booleans())
    def read(self, place: int, *, late: bool) -> None:
        pod = self.world.api_pods()[place]
        (self.world.late.add if late else self.world.late.discard)(pod)

    @rule(place=st.integers(0, 1))
    def make(self, place: int) -> None:
        self.number += 1
        self.world.make_key(str(self.number), self.world.api_pods()[place])

    @rule(place=st.integers(0, 1), number=st.integers(1, 8))
    def use(self, place: int, number: int) -> None:
        if str(number) in self.world.keys:
            self.world.use(str(number), self.world.api_pods()[place])

    @rule(passes=st.sampled_from([1, 1, 2, 12]), seconds=st.sampled_from([1, 60]))
    def operate(self, passes: int, seconds: int) -> None:
        self.world.live_through(passes=passes, seconds=seconds)

    @invariant()
    def no_key_is_refused(self) -> None:
        assert not self.world.refused(), (self.world.keys, self.world.files)


AnyOrder.TestCase.settings = settings(
    max_examples=examples(5), stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)
test_in_any_order_no_key_is_refused = AnyOrder.TestCase
