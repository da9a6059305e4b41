"""The webhook signing secret is rotated by a second endpoint; whoever dies when, one endpoint and one secret remain."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.examples import examples
from tests.unit.operator.webhook_world import HOT, MANAGED, URL, WebhookWorld, managed, rested
from tests.unit.operator.world import OWNER

from payment_operator.clients.stripe_endpoints import StripeFault
from payment_operator.decide.rotation.webhook import steps as webhook_rotation
from payment_operator.decide.rotation.webhook.endpoints import ENVIRONMENT
from payment_operator.model.webhook import Endpoint
from payment_service.stripe_api.gateway import API_VERSION

DAY = timedelta(days=1)


@pytest.fixture
def world() -> WebhookWorld:
    """An environment that serves, with its first endpoint."""
    made = rested()
    assert made.active()
    made.seen_states.clear()
    return made


def current(world: WebhookWorld) -> str:
    """The id of the only endpoint, which is as the spec asks for."""
    assert world.rotation()["state"] == "Current", world.rotation()
    (only,) = world.stripe.endpoints.values()
    assert (only.enabled, only.url, only.events) == (True, URL, ("*",))
    assert world.secrets() == (world.stripe.secrets[only.id],)
    return only.id


def test_a_new_environment_gets_one_endpoint(world: WebhookWorld) -> None:
    assert current(world) == world.rotation()["endpoint"] == "we_1"
    assert world.rotation()["version"] == 1
    assert world.stripe.versions["we_1"] == API_VERSION


def test_the_first_endpoint_speaks_the_version_of_the_service() -> None:
    assert webhook_rotation.API_VERSION == API_VERSION


def test_a_settled_environment_is_not_written(world: WebhookWorld) -> None:
    before = world.writes
    for _ in range(5):
        world.now += timedelta(seconds=60)
        world.operate()
    assert world.writes == before


def test_a_rotation_goes_through_its_steps_and_leaves_one_secret(world: WebhookWorld) -> None:
    first = current(world)
    world.ask("rotate", secret="webhook")
    world.live_through(passes=3)
    world.at_rest()
    assert current(world) != first
    steps = ["Creating", "Accepting", "Overlapping", "Retiring", "Current"]
    assert [state for state in world.seen_states if state in steps][-5:] == steps
    assert world.answer()["state"] == "Done"
    assert ("WebhookSecretVerified", "Rotation 2: an event came with the new secret") in world.told_people


def test_a_rotation_begins_by_itself_unless_suspended(world: WebhookWorld) -> None:
    world.change(suspend=True)
    world.now += DAY
    world.live_through()
    assert current(world) == "we_1"
    world.change(suspend=False)
    world.live_through()
    assert current(world) == "we_2"


def test_the_new_endpoint_sends_nothing_until_the_last_pod_accepts_it(world: WebhookWorld) -> None:
    world.late = {next(iter(world.files))}
    world.ask("rotate", secret="webhook")
    world.live_through(passes=60)
    assert [item.id for item in world.stripe.sending()] == ["we_1"]
    assert len(world.secrets()) == 2
    world.late = set()
    world.live_through()
    assert current(world) == "we_2"


def test_pods_that_never_accept_it_leave_everything_as_it_was(world: WebhookWorld) -> None:
    before = world.secrets()
    world.late = set(world.files)
    world.ask("rotate", secret="webhook")
    world.live_through(passes=1000, until=lambda: world.rotation()["state"] == "Failed")
    assert list(world.stripe.endpoints) == ["we_1"]
    assert world.secrets() == before
    assert any(pod in world.rotation()["message"] for pod in world.late)


def test_a_repeated_creation_without_its_secret_is_deleted_and_made_again(world: WebhookWorld) -> None:
    world.stripe.hides_secret = True
    world.ask("rotate", secret="webhook")
    world.deaths = {(world.acts + 2, "after")}  # the number is written, the endpoint made
    world.live_through()
    assert current(world) == "we_3"


@pytest.mark.parametrize(("status", "message"), [(400, "16 endpoints"), (403, "no permission"), (401, "no such key")])
def test_a_refusal_of_stripe_s_is_told_and_tried_again(world: WebhookWorld, status: int, message: str) -> None:
    world.ask("rotate", secret="webhook")
    world.operate()  # taken
    world.stripe.fault = StripeFault(status, message)
    world.live_through(passes=6)
    assert world.rotation()["state"] == "Failed"
    assert message in world.rotation()["message"]
    assert len(world.secrets()) == 1
    world.stripe.fault = None
    world.now += DAY
    world.live_through(passes=120)
    assert current(world) == "we_2"


@pytest.mark.parametrize("status", [0, 429, 500])
def test_an_outage_of_stripe_s_only_delays(world: WebhookWorld, status: int) -> None:
    world.ask("rotate", secret="webhook")
    world.operate()
    world.stripe.fault = StripeFault(status, "down")
    world.live_through(passes=20)
    assert world.rotation()["state"] == "Creating"
    world.stripe.fault = None
    world.live_through()
    assert current(world) == "we_2"


def test_undelivered_events_hold_the_former_endpoint_up_to_the_maximum_and_are_listed(world: WebhookWorld) -> None:
    world.undelivered = ("evt_1", "evt_2")
    world.ask("rotate", secret="webhook")
    world.live_through(passes=400, until=lambda: "undelivered" in world.rotation().get("message", ""))
    enabled = world.now
    assert {item.id for item in world.stripe.sending()} == {"we_1", "we_2"}
    world.live_through(passes=4000, until=lambda: len(world.stripe.sending()) == 1)
    assert world.now - enabled >= timedelta(seconds=2900)
    assert any("evt_1, evt_2" in message for _, message in world.told_people)
    world.live_through()
    assert current(world) == "we_2"


def test_a_secret_that_has_verified_nothing_is_warned_of(world: WebhookWorld) -> None:
    world.traffic = False
    world.ask("rotate", secret="webhook")
    world.live_through(passes=4000, until=lambda: len(world.stripe.endpoints) == 1 and world.stripe.created == 2)
    assert ("WebhookSecretUnproven", "Rotation 2: no event has come with the new secret yet") in world.told_people


def test_orphans_of_ours_are_removed_and_other_endpoints_stay(world: WebhookWorld) -> None:
    old = int(world.now.timestamp()) - 3600
    orphan = Endpoint("we_90", URL, events=("*",), enabled=False, metadata={ENVIRONMENT: OWNER.uid}, created=old)
    foreign = Endpoint("we_91", "https://other.example", events=("*",), enabled=False, created=old)
    world.stripe.endpoints |= {"we_90": orphan, "we_91": foreign}
    world.live_through(passes=3)
    assert set(world.stripe.endpoints) == {"we_1", "we_91"}


def test_the_endpoint_in_use_is_mended(world: WebhookWorld) -> None:
    world.spec["stripe"]["webhook"] = MANAGED | {"url": f"{URL}/new", "events": ["invoice.paid"]}
    world.live_through(passes=3)
    (only,) = world.stripe.endpoints.values()
    assert (only.id, only.url, only.events) == ("we_1", f"{URL}/new", ("invoice.paid",))
    world.stripe.endpoints["we_1"] = replace(only, enabled=False)
    world.live_through(passes=3)
    assert world.stripe.endpoints["we_1"].enabled


def test_an_endpoint_that_somebody_deleted_is_replaced(world: WebhookWorld) -> None:
    world.stripe.endpoints.clear()
    world.live_through()
    assert current(world) == "we_2"


def test_the_endpoint_follows_the_api_version_of_the_image(world: WebhookWorld) -> None:
    world.api_versions["registry/payments:2"] = "2027-03-31.forest"
    world.change(image="registry/payments:2")
    world.live_through(passes=300)
    assert world.active() == "registry/payments:2"
    assert world.stripe.versions[current(world)] == "2027-03-31.forest"


def test_a_leaked_secret_goes_without_an_overlap(world: WebhookWorld) -> None:
    world.undelivered = ("evt_1",)
    began = world.now
    world.ask("rotate", secret="webhook", compromised=True)
    world.live_through(until=lambda: list(world.stripe.endpoints) == ["we_2"])
    assert world.now - began < timedelta(seconds=60)


def test_a_value_that_a_person_puts_is_accepted_beside_the_old_one_for_its_overlap() -> None:
    world = WebhookWorld()
    times = {"overlapSeconds": 600, "maxOverlapSeconds": 600}
    world.spec["stripe"] = world.spec["stripe"] | {"webhook": {"secretRef": {"name": "payments"}, "rotation": times}}
    world.live_through(passes=100)
    assert world.secrets() == ("whsec_1",)
    assert world.source is not None
    world.source["STRIPE_WEBHOOK_SECRET"] = "whsec_2"
    changed = world.now
    world.live_through(passes=1)
    assert world.secrets() == ("whsec_2", "whsec_1")
    world.live_through(passes=1)
    assert world.rotation()["version"] == 2
    world.live_through(until=lambda: world.secrets() == ("whsec_2",))
    assert timedelta(seconds=599) <= world.now - changed < timedelta(seconds=900)
    assert not world.stripe.created


def test_from_a_person_s_endpoint_to_a_managed_one_and_back() -> None:
    world = WebhookWorld()
    world.live_through(passes=100)
    world.spec["stripe"]["webhook"] = MANAGED | {"secretRef": {"name": "payments"}}
    world.live_through(passes=100)
    assert set(world.secrets()) == {"whsec_1", "whsec_m1"}
    world.spec["stripe"]["webhook"] = {"secretRef": {"name": "payments"}, "rotation": MANAGED["rotation"]}
    world.live_through(passes=200)
    assert world.secrets() == ("whsec_1",)
    assert not world.stripe.endpoints


def test_a_deleted_secret_is_replaced_by_a_new_endpoint(world: WebhookWorld) -> None:
    world.files.clear()
    world.stripe.endpoints = {key: item for key, item in world.stripe.endpoints.items() if item.enabled}
    del world.objects[HOT]
    world.check = lambda: None  # type: ignore[method-assign] # what only the deleted Secret held is lost
    world.live_through(passes=200)
    current(world)


DEATHS = st.sets(st.tuples(st.integers(1, 24), st.sampled_from(["before", "after"])), max_size=5)


@settings(max_examples=examples(60), deadline=None)
@given(deaths=DEATHS, hides=st.booleans())
def test_whoever_dies_when_one_endpoint_and_one_secret_remain(deaths: set[tuple[int, str]], hides: bool) -> None:  # noqa: FBT001 - drawn by hypothesis
    world = managed(deaths=deaths)
    world.stripe.hides_secret = hides
    world.at_rest()
    world.ask("rotate", secret="webhook")
    world.live_through(passes=3)
    world.at_rest()
    world.deaths = set()
    world.now += timedelta(seconds=120)
    world.live_through(passes=8)
    world.at_rest()
    current(world)
    assert world.rotation()["version"] == 2
