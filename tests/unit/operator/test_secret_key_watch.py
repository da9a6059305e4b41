"""What pods are asked of SECRET_KEY, and how their answers are read."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from tests.unit.operator.secret_key_world import A, B, SecretKeyWorld, serving
from tests.unit.operator.world import SPEC, World

from payment_operator.decide.rotation.staged_credentials import staged_of
from payment_operator.model.secret_keys import SecretKeySight, read_report
from payment_operator.observe.secret_keys import SecretKeyWatch
from payment_operator.redaction import redact_value
from payment_operator.resources.secret_keys import secret_key_problems, split
from payment_service.config.checks import secret_key_problems as problems_of_the_service
from payment_service.config.secrets import Secret


@dataclass
class Pods:
    """The admin ports of a world's pods."""

    world: SecretKeyWorld
    asked: list[str] = field(default_factory=list)

    async def status(self, pod: Any, *, token: str) -> dict[str, Any]:
        assert token
        self.asked.append(pod.name)
        return self.world.status_of(pod.name)


async def look(watch: SecretKeyWatch, world: SecretKeyWorld) -> SecretKeySight:
    seen = World.observe(world)
    return await watch.look(seen, staged_of(seen))


async def test_api_pods_are_asked_once_a_minute_and_in_every_pass_while_values_change() -> None:
    world = serving(A)
    world.make_key("one", world.api_pods()[0])
    pods = Pods(world)
    watch = SecretKeyWatch(pods)  # type: ignore[arg-type] # what it asks of them
    seen = await look(watch, world)
    assert seen.reports == world.observe().secret_keys.reports
    assert sorted(pods.asked) == sorted(world.api_pods())
    await look(watch, world)
    assert len(pods.asked) == len(world.api_pods())
    world.write(B, A)
    await look(watch, world)
    await look(watch, world)
    assert len(pods.asked) == 3 * len(world.api_pods())
    world.write(A)
    world.now += timedelta(seconds=61)
    await look(watch, world)
    assert len(pods.asked) == 4 * len(world.api_pods())


async def test_nobody_is_asked_before_there_is_anything_to_ask() -> None:
    world = SecretKeyWorld(spec=dict(SPEC))
    pods = Pods(world)
    seen = await look(SecretKeyWatch(pods), world)  # type: ignore[arg-type] # what it asks of them
    assert seen.reports is None
    assert not pods.asked


def test_an_answer_whose_values_changed_while_it_was_made_tells_no_needs() -> None:
    world = serving(A, B)
    answer = world.status_of(world.api_pods()[0])
    whole = read_report(answer)
    assert whole is not None
    assert len(whole.of_one_moment()) == 2
    torn = read_report(answer | {"secrets": {"secret_key": answer["secrets"]["secret_key"][:1]}})
    assert torn is not None
    assert torn.of_one_moment() == ()


def test_an_image_that_knows_one_value_only_has_told_nothing() -> None:
    assert read_report({}) is None
    older = read_report({"build": {}, "secrets": {"stripe_webhook_secret": ["9a1b"]}})
    assert older is not None
    assert (older.fingerprints, older.needs) == ((), None)


def test_what_the_status_says_of_secret_key_stands_there_whole() -> None:
    """No sentence or fingerprint is taken for a secret."""
    world = serving(A)
    world.make_key("idle", world.api_pods()[0])
    world.write(B)
    world.live_through()
    assert world.reported()["state"] == "Retaining"
    assert redact_value(world.status) == world.status


@pytest.mark.parametrize(
    "text",
    [
        A,
        f"{A},{B}",
        f"{A}\n{B}\n",
        f" {A} , {B},",
        "short",
        "a" * 40,
        f"{A},short",
        "development-only-secret-key-0123456789",
    ]
    + [",".join(f"{number}-0123456789abcdef0123456789abcdef" for number in range(count)) for count in (5, 6)],
)
def test_operator_and_service_take_and_refuse_the_same_values(text: str) -> None:
    parts = Secret(text).parts()
    assert split(text) == parts
    assert bool(list(secret_key_problems(parts))) == bool(list(problems_of_the_service(parts)))
