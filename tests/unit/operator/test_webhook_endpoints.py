"""The key that webhooks are signed with: how it reaches pods and is replaced, and what of it is a release."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest
from tests.unit.operator.world import OWNER, SPEC, World

from payment_operator import names
from payment_operator.api.environment import Environment
from payment_operator.resources.credentials import SIGNING_KEY, StagedCredentials
from payment_operator.resources.pods import manifests
from payment_operator.resources.revisions import revision_hash, revision_input

OLD, NEW = (f"{letter}-0123456789abcdef0123456789abcdef" for letter in "on")
KEPT = ("Secret", "shop-webhook-signing-keys")
SIGNS = {"signingKeySecretRef": {"name": "payments"}}
SETTINGS = ("PAYMENTS_WEBHOOK_ALLOWED_NETWORKS", "PAYMENTS_WEBHOOK_ALLOW_HTTP", "PAYMENTS_DELIVERY_RETENTION_DAYS")


def spec(**webhooks: Any) -> Environment:
    return msgspec.convert(SPEC | {"webhookEndpoints": webhooks}, Environment)


def digest(**webhooks: Any) -> str:
    return revision_hash(revision_input(spec(**webhooks), credentials="0123456789"))


def environments_of(asked: Environment) -> dict[str, dict[str, str]]:
    """The variables of each pod's container."""
    made = manifests(OWNER, asked, revision="cafecafe", credentials="0123456789", replica=False)
    pods = {name: made[name]["spec"]["template"]["spec"] for name in (names.API, names.WORKER)}
    pods |= {name: made[name] for name in ("job", "smoke")}
    return {name: {e["name"]: e["value"] for e in pod["containers"][0]["env"]} for name, pod in pods.items()}


def write(world: World, *values: str) -> None:
    """A person writes the values into the Secret that the spec names."""
    world.source = (world.source or {}) | {SIGNING_KEY: ",".join(values)}


def signing() -> World:
    """Return an environment that serves and signs webhooks."""
    world = World.serving()
    write(world, OLD)
    world.change(webhookEndpoints=SIGNS)
    world.settle()
    return world


def kept(world: World) -> str:
    """What the Secret that pods read holds."""
    return base64.b64decode(world.objects[KEPT]["data"][SIGNING_KEY]).decode()


def revisions(world: World) -> int:
    return sum(kind == "ControllerRevision" for kind, _ in world.objects)


def test_an_environment_that_says_nothing_of_webhooks_is_the_revision_that_it_was() -> None:
    plain = msgspec.convert(SPEC, Environment)
    assert "webhookEndpoints" not in revision_input(plain, credentials="0123456789")
    assert digest() == digest(allowHttp=False, retentionDays=14) == digest(allowedNetworks=[])
    for variables in environments_of(plain).values():
        assert not {f"{SIGNING_KEY}_FILE", *SETTINGS} & set(variables)


@pytest.mark.parametrize("change", [{"allowedNetworks": ["10.0.0.0/8"]}, {"allowHttp": True}, {"retentionDays": 30}])
def test_a_change_of_where_webhooks_may_go_is_a_release(change: dict[str, Any]) -> None:
    assert digest(**SIGNS) != digest()
    assert digest(**SIGNS, **change) != digest(**SIGNS)


def test_another_name_of_the_key_is_no_release() -> None:
    assert digest(signingKeySecretRef={"name": "hooks", "key": "k"}) == digest(**SIGNS)


def test_api_and_worker_have_the_key_and_all_of_them_the_settings() -> None:
    networks = ["10.96.0.0/12", "fd00::/8"]
    found = environments_of(spec(**SIGNS, allowedNetworks=networks, allowHttp=True, retentionDays=3))
    assert {name for name, variables in found.items() if f"{SIGNING_KEY}_FILE" in variables} == {"api", "worker"}
    for variables in found.values():
        assert [variables[name] for name in SETTINGS] == ["10.96.0.0/12,fd00::/8", "true", "3"]


def test_the_key_reaches_pods_by_a_secret_of_the_operators() -> None:
    world = signing()
    assert kept(world) == OLD
    assert revisions(world) == 2
    assert world.conditions()["SecretsValid"]["status"] == "True"


def test_it_is_no_part_of_the_credentials_versions() -> None:
    values = {"STRIPE_SECRET_KEY": "sk_test_1"}
    assert StagedCredentials(values).digest == StagedCredentials(values | {SIGNING_KEY: OLD}).digest


def test_a_key_is_replaced_by_several_values_and_releases_nothing() -> None:
    world = signing()
    for values, read in (((NEW, OLD), f"{NEW},{OLD}"), ((f"{NEW}\n", NEW), NEW)):
        write(world, *values)
        world.settle()
        assert kept(world) == read
    assert revisions(world) == 2


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (("short", OLD), "WEBHOOK_SIGNING_KEY, value 1 of 2, is shorter than 32 characters"),
        (("a" * 40,), "WEBHOOK_SIGNING_KEY is too weak"),
        (tuple(f"{number}{OLD}" for number in range(6)), "WEBHOOK_SIGNING_KEY has 6 values"),
    ],
)
def test_a_value_that_the_service_would_refuse_does_not_reach_pods(values: tuple[str, ...], says: str) -> None:
    world = signing()
    write(world, *values)
    world.operate()
    assert kept(world) == OLD
    condition = world.conditions()["SecretsValid"]
    assert condition["status"] == "False"
    assert says in condition["message"]
    assert not [value for value in values if len(value) > len("short") and value in condition["message"]]


def test_a_key_that_is_gone_from_the_users_secret_stays_with_the_pods() -> None:
    world = signing()
    world.source = {name: value for name, value in (world.source or {}).items() if name != SIGNING_KEY}
    world.operate()
    assert kept(world) == OLD
    assert f"Secret payments has no key {SIGNING_KEY}" in world.conditions()["SecretsValid"]["message"]
