"""A rotation of the webhook signing secret that people disturb: a leak told, an endpoint deleted, the spec changed."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.examples import examples
from tests.unit.operator.webhook_world import MANAGED, WebhookWorld, managed, rested

from payment_operator.clients.stripe_endpoints import StripeFault

SECRET_REF = {"secretRef": {"name": "payments"}, "rotation": MANAGED["rotation"]}


@pytest.fixture
def world() -> WebhookWorld:
    """An environment that serves, with its first endpoint."""
    return rested()


def leak(world: WebhookWorld) -> None:
    world.ask("rotate", secret="webhook", compromised=True)


def rotate_until(world: WebhookWorld, state: str) -> None:
    world.ask("rotate", secret="webhook")
    world.live_through(passes=1000, until=lambda: world.observe().webhook_record.step == state)
    assert world.observe().webhook_record.step == state


def told(world: WebhookWorld, reason: str) -> list[str]:
    return [message for name, message in world.told_people if name == reason]


@pytest.mark.parametrize("state", ["Accepting", "Overlapping", "Retiring", "Abandoning"])
def test_a_leak_that_is_told_during_a_rotation_replaces_every_secret_that_was_there(
    world: WebhookWorld, state: str
) -> None:
    if state == "Abandoning":
        world.late = set(world.files)
    rotate_until(world, state)
    world.late = set()
    there, began = set(world.secrets()), world.now
    leak(world)
    world.live_through(passes=60, until=lambda: world.calm() and not there & set(world.secrets()))
    assert world.answer()["state"] == "Done"
    assert not there & set(world.secrets())
    assert len(world.secrets()) == 1
    assert world.now - began < timedelta(seconds=300)


def test_a_leak_that_is_told_before_the_new_secret_exists_needs_no_second_rotation(world: WebhookWorld) -> None:
    rotate_until(world, "Creating")
    began = world.now
    leak(world)
    world.live_through(passes=60, until=lambda: world.secrets() == ("whsec_m2",))
    assert world.secrets() == ("whsec_m2",)
    assert world.now - began < timedelta(seconds=300)
    world.live_through(passes=20)
    assert world.stripe.created == 2


def test_a_second_request_that_is_no_leak_is_refused_during_a_rotation(world: WebhookWorld) -> None:
    rotate_until(world, "Overlapping")
    world.ask("rotate", secret="webhook")
    world.live_through(passes=3)
    assert world.answer()["state"] == "Refused"


def test_a_leak_that_is_told_while_stripe_does_not_answer_is_not_forgotten(world: WebhookWorld) -> None:
    world.lists = False
    leak(world)
    world.live_through(passes=5)
    assert world.answer()["state"] == "Done"
    assert world.secrets() == ("whsec_m1",)
    world.lists = True
    world.live_through(passes=60, until=lambda: world.secrets() == ("whsec_m2",))
    assert world.secrets() == ("whsec_m2",)


def test_a_rotation_that_was_asked_for_and_failed_is_tried_again_with_its_haste(world: WebhookWorld) -> None:
    world.change(suspend=True)
    world.late = set(world.files)
    leak(world)
    world.live_through(passes=900, until=lambda: world.rotation()["state"] == "Failed")
    world.late, failed = set(), world.now
    world.undelivered = ("evt_1",)
    world.live_through(passes=120, until=lambda: len(world.secrets()) == 1 and world.stripe.created == 3)
    world.live_through(passes=60, until=world.calm)
    assert world.secrets() == ("whsec_m3",)
    assert world.now - failed < timedelta(minutes=20)


def test_a_leaked_value_of_a_person_s_is_accepted_no_longer_once_it_is_replaced() -> None:
    world = WebhookWorld()
    world.spec["stripe"] = world.spec["stripe"] | {"webhook": SECRET_REF}
    world.live_through(passes=100)
    leak(world)
    world.live_through(passes=3)
    assert world.answer()["state"] == "Refused"
    assert "secretRef" in world.answer()["message"]
    assert world.source is not None
    world.source["STRIPE_WEBHOOK_SECRET"] = "whsec_2"
    world.live_through(passes=2)
    assert world.secrets() == ("whsec_2", "whsec_1")
    leak(world)
    world.live_through(passes=3)
    assert world.answer()["state"] == "Done"
    assert world.secrets() == ("whsec_2",)


@pytest.mark.parametrize("state", ["Overlapping", "Retiring"])
def test_the_former_endpoint_stays_when_somebody_has_deleted_the_new_one(world: WebhookWorld, state: str) -> None:
    rotate_until(world, state)
    del world.stripe.endpoints["we_2"]
    world.live_through(passes=4)
    assert [item.id for item in world.stripe.sending()] == ["we_1"]
    assert world.secrets() == ("whsec_m1",)
    assert world.rotation()["endpoint"] == "we_1"
    assert "we_2 was deleted at Stripe" in world.rotation()["message"]
    assert told(world, "WebhookRotationAbandoned") == [
        "Rotation 2: endpoint we_2 was deleted at Stripe; we_1 stays in use"
    ]
    world.live_through(passes=200, until=lambda: world.secrets() == ("whsec_m3",))
    assert world.secrets() == ("whsec_m3",)


def test_the_former_endpoint_of_a_leaked_secret_stays_only_until_another_one_is_made(world: WebhookWorld) -> None:
    leak(world)
    world.live_through(passes=60, until=lambda: world.rotation()["state"] == "Overlapping")
    del world.stripe.endpoints["we_2"]
    began = world.now
    world.live_through(passes=60, until=lambda: world.secrets() == ("whsec_m3",))
    assert world.secrets() == ("whsec_m3",)
    assert world.now - began < timedelta(seconds=300)


def test_when_both_endpoints_are_deleted_another_one_is_made_at_once(world: WebhookWorld) -> None:
    rotate_until(world, "Overlapping")
    world.stripe.endpoints.clear()
    began = world.now
    world.live_through(passes=30, until=lambda: [item.id for item in world.stripe.sending()] == ["we_3"])
    assert [item.id for item in world.stripe.sending()] == ["we_3"]
    assert world.now - began < timedelta(seconds=60)


def test_nothing_is_retired_while_stripe_does_not_list_the_endpoints(world: WebhookWorld) -> None:
    rotate_until(world, "Overlapping")
    world.lists = False
    for _ in range(8):
        world.now += timedelta(seconds=1000)
        world.live_through(passes=3)
    assert {item.id for item in world.stripe.sending()} == {"we_1", "we_2"}


def test_an_endpoint_whose_creation_nobody_wrote_down_is_removed_before_managed_is_left(world: WebhookWorld) -> None:
    world.ask("rotate", secret="webhook")
    world.deaths = {(world.acts + 2, "after")}  # the number is written, the endpoint made
    world.live_through(passes=3, until=lambda: "we_2" in world.stripe.endpoints)
    assert "we_2" in world.stripe.endpoints
    world.spec["stripe"]["webhook"] = SECRET_REF
    world.live_through(passes=200)
    assert not world.stripe.endpoints
    assert world.secrets() == ("whsec_1",)


def test_a_first_endpoint_that_failed_is_removed_when_managed_is_left() -> None:
    world = managed(deaths={(3, "after")})
    world.live_through(passes=60, until=lambda: bool(world.stripe.endpoints))
    assert world.stripe.endpoints
    world.spec["stripe"]["webhook"] = SECRET_REF
    world.live_through(passes=60)
    assert not world.stripe.endpoints
    assert world.secrets() == ("whsec_1",)


@pytest.mark.parametrize("leaked", [False, True])
@pytest.mark.parametrize("state", ["Overlapping", "Retiring"])
def test_the_endpoint_that_was_to_go_is_in_use_again_when_managed_is_left_and_comes_back(
    world: WebhookWorld,
    state: str,
    leaked: bool,  # noqa: FBT001 - drawn by pytest
) -> None:
    world.spec["stripe"]["webhook"] = SECRET_REF
    world.live_through(passes=100, until=lambda: world.observe().webhook_record.step == state)
    assert world.observe().webhook_record.step == state
    world.spec["stripe"]["webhook"] = MANAGED
    if leaked:
        leak(world)
    world.live_through(passes=4)
    assert [item.id for item in world.stripe.sending()] == ["we_1"]
    assert world.rotation()["endpoint"] == "we_1"
    world.live_through(passes=60)
    assert world.rotation()["endpoint"] == ("we_2" if leaked else "we_1")
    assert ("whsec_m1" in world.secrets()) is not leaked
    assert world.stripe.created == (2 if leaked else 1)
    assert not world.silenced


def test_a_leak_told_while_the_secrets_of_the_spec_cannot_be_read_takes_no_value_from_the_pods() -> None:
    world = person_s()
    assert world.source is not None
    del world.source["STRIPE_WEBHOOK_SECRET"]
    leak(world)
    world.live_through(passes=5)
    assert world.secrets() == ("whsec_1",)
    assert world.answer()["state"] == "Refused"
    assert "cannot be read" in world.answer()["message"]


def test_a_leak_told_during_a_rotation_keeps_a_person_s_values_that_cannot_be_read(world: WebhookWorld) -> None:
    world.spec["stripe"]["webhook"] = MANAGED | {"secretRef": {"name": "payments"}}
    world.live_through(passes=3)
    rotate_until(world, "Overlapping")
    assert world.source is not None
    del world.source["STRIPE_WEBHOOK_SECRET"]
    leak(world)
    world.live_through(passes=5)
    assert "whsec_1" in world.secrets()
    assert world.answer()["state"] == "Refused"


def person_s() -> WebhookWorld:
    """An environment whose secret a person has put."""
    world = WebhookWorld()
    world.spec["stripe"] = world.spec["stripe"] | {"webhook": SECRET_REF}
    world.live_through(passes=100)
    return world


def test_a_person_s_secret_is_accepted_until_there_is_a_managed_endpoint_and_stripe_s_refusal_is_told() -> None:
    world = person_s()
    world.lists = False
    world.spec["stripe"]["webhook"] = MANAGED
    for _ in range(20):
        world.live_through(passes=5)
        world.now += timedelta(seconds=600)
    assert world.secrets() == ("whsec_1",)
    assert world.rotation()["state"] == "Failed"
    assert "no permission to list" in world.rotation()["message"]
    (warning,) = told(world, "WebhookRotationFailed")
    assert "no permission to list" in warning
    writes = world.writes
    world.live_through(passes=5)
    assert world.writes == writes
    world.lists, answered = True, world.now
    world.live_through(passes=100, until=lambda: len(world.stripe.sending()) == 1)
    assert set(world.secrets()) == {"whsec_1", "whsec_m1"}
    world.live_through(passes=200, until=lambda: world.secrets() == ("whsec_m1",))
    assert world.secrets() == ("whsec_m1",)
    assert world.now - answered >= timedelta(seconds=599)


def test_a_person_s_secret_is_accepted_while_stripe_refuses_to_make_an_endpoint() -> None:
    world = person_s()
    world.stripe.fault = StripeFault(400, "16 endpoints")
    world.spec["stripe"]["webhook"] = MANAGED
    for _ in range(20):
        world.live_through(passes=5)
        world.now += timedelta(seconds=600)
    assert world.secrets() == ("whsec_1",)
    assert (world.rotation()["state"], world.rotation()["message"]) == ("Failed", "Stripe: 400 16 endpoints")


def test_a_person_s_leaked_secret_goes_when_the_first_managed_endpoint_serves() -> None:
    world = person_s()
    world.lists = False
    world.spec["stripe"]["webhook"] = MANAGED
    leak(world)
    world.live_through(passes=5)
    assert world.secrets() == ("whsec_1",)
    world.lists, began = True, world.now
    world.live_through(passes=60, until=lambda: world.secrets() == ("whsec_m1",))
    assert world.secrets() == ("whsec_m1",)
    assert world.now - began < timedelta(seconds=300)


def test_a_leak_that_waits_for_stripe_is_shown_as_failed(world: WebhookWorld) -> None:
    world.lists = False
    world.live_through(passes=3)
    assert world.rotation()["state"] == "Current"
    assert "no permission to list" in world.rotation()["message"]
    leak(world)
    world.live_through(passes=5)
    assert world.rotation()["state"] == "Failed"
    assert len(told(world, "WebhookRotationFailed")) == 1


def test_creations_that_stripe_fails_come_ever_more_slowly(world: WebhookWorld) -> None:
    world.stripe.fault = StripeFault(500, "down")
    rotate_until(world, "Creating")
    began = world.now
    world.live_through(passes=3000, until=lambda: world.now - began >= timedelta(seconds=60))
    assert world.now - began >= timedelta(seconds=60)
    assert 4 <= len(set(world.stripe.idempotency_keys)) - 1 <= 6


def test_an_endpoint_that_cannot_be_disabled_is_not_made_a_second_time(world: WebhookWorld) -> None:
    world.stripe.fault, world.stripe.faulty = StripeFault(500, "down"), frozenset({"update"})
    world.ask("rotate", secret="webhook")
    world.live_through(passes=30)
    assert world.rotation()["state"] == "Creating"
    assert world.stripe.created == 2
    world.stripe.fault = None
    world.live_through(passes=60, until=lambda: world.secrets() == ("whsec_m2",))
    assert world.secrets() == ("whsec_m2",)


def test_events_that_cannot_be_listed_at_the_forced_end_are_spoken_of(world: WebhookWorld) -> None:
    world.unread = "Stripe: 403 no permission to read events"
    rotate_until(world, "Overlapping")
    world.live_through(passes=400, until=lambda: "no permission" in world.rotation().get("message", ""))
    assert {item.id for item in world.stripe.sending()} == {"we_1", "we_2"}
    world.live_through(passes=4000, until=lambda: world.rotation()["state"] == "Retiring")
    assert "is not known (Stripe: 403 no permission to read events)" in world.rotation()["message"]
    world.live_through(passes=60, until=world.calm)
    (warning,) = told(world, "WebhookEventsUndelivered")
    assert "is not known" in warning
    assert world.secrets() == ("whsec_m2",)


ACTS = st.sampled_from(["leak", "delete", "rotate", "leave", "return", "wait"])
DEATHS = st.sets(st.tuples(st.integers(1, 60), st.sampled_from(["before", "after"])), max_size=4)


def act(world: WebhookWorld, what: str) -> None:
    if what == "leak":
        leak(world)
    elif what == "delete" and world.stripe.endpoints:
        del world.stripe.endpoints[max(world.stripe.endpoints)]
    elif what == "rotate":
        world.ask("rotate", secret="webhook")
    elif what == "leave":
        world.spec["stripe"]["webhook"] = SECRET_REF
    elif what == "return":
        world.spec["stripe"]["webhook"] = MANAGED


@settings(max_examples=examples(12), deadline=None)
@example(plan=[("leave", 3), ("return", 12)], deaths=set())
@example(plan=[("leave", 3), ("leak", 2), ("return", 12)], deaths=set())
@given(plan=st.lists(st.tuples(ACTS, st.integers(1, 12)), max_size=6), deaths=DEATHS)
def test_whatever_people_do_when_one_endpoint_and_one_secret_remain(
    plan: list[tuple[str, int]], deaths: set[tuple[int, str]]
) -> None:
    world = managed(deaths=deaths)
    world.at_rest()
    for what, passes in plan:
        act(world, what)
        world.live_through(passes=passes)
    world.deaths = set()
    act(world, "return")
    world.live_through(passes=150)
    world.now += timedelta(seconds=700)
    world.live_through(passes=150)
    (only,) = world.stripe.endpoints.values()
    assert world.rotation() | {"state": "Current", "endpoint": only.id} == world.rotation()
    assert world.secrets() == (world.stripe.secrets[only.id],)
    assert [item.id for item in world.stripe.sending()] == [only.id]
    assert not world.silenced
