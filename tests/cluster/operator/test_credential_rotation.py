"""Rotation of the Stripe API key and the database password on real pods: proven first, then released blue-green."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from tests.cluster.chart.release import PASSWORD, ROLES
from tests.cluster.operator.canary import found_outside_secrets, secret_words
from tests.cluster.operator.loading import purchases

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.cluster.operator.harness import Operator, Shop

pytestmark = pytest.mark.timeout(1800)
OURS = "sk_test_simulator"
BAD: dict[str, tuple[str, dict[str, Any]]] = {
    "sk_test_ofAnotherAccount": ("OtherAccount", {"account": "acct_another"}),
    "sk_live_ofTheOtherMode": ("OtherMode", {}),
    "rk_test_withoutPermission": ("MissingPermission", {"permissions": ["balance_read", "customer_write"]}),
    "sk_test_revokedLongAgo": ("Revoked", {"revoked": True}),
    "sk_test_with spaces": ("Malformed", {}),
}
ALTERNATING = {"mode": "AlternatingRoles", "roles": ["shop_a", "shop_b"], "adminSecretRef": {"name": "payments"}}
YEAR = 31_536_000


class Rotated:
    """The environment, with servers at addresses that the operator's process reaches too."""

    def __init__(self, shop: Shop) -> None:
        self.shop = replace(shop, database="payments")
        self.database = shop.address("postgresql").removeprefix("http://") + "/payments"
        self.words: set[str] = set()

    def login(self, role: str, password: str = PASSWORD) -> str:
        return f"postgresql://{role}:{password}@{self.database}"

    def keep(self, **values: str) -> None:
        """Write the source Secret."""
        urls = {
            "DATABASE_URL": self.login("payments"),
            "DATABASE_MIGRATION_URL": self.login("payments_owner"),
            "DATABASE_ADMIN_URL": self.login("postgres", "development-only"),
        }
        self.shop.secret(**urls, **values)

    def apply(self, **rotation: Any) -> None:
        manifest = self.shop.manifest(release={"retainSeconds": 600})
        spec = manifest["spec"]
        spec["stripe"]["apiBase"] = self.shop.address("simulator")
        spec["database"] |= {"migrationUrlSecretRef": {"name": "payments"}, "rotation": rotation or {"mode": "None"}}
        self.shop.put(manifest)

    def register(self, key: str, **properties: Any) -> None:
        """Tell the simulator what a key is."""
        status, answer = self.shop.namespace.request(
            "http://simulator:12112/keys", method="PUT", body={"key": key} | properties
        )
        assert status in {200, 204}, answer

    def keep_in_mind(self) -> None:
        """Note what the Secrets hold now: it must stand nowhere else, also later."""
        self.words |= secret_words(self.shop)

    def logs_in(self, role: str, password: str) -> bool:
        script = f"PGPASSWORD={password} psql -h127.0.0.1 -U{role} -d payments -Atc 'SELECT 1'"
        return self.shop.namespace.kubectl("exec", "postgresql-0", "--", "sh", "-c", script, check=False).strip() == "1"


@pytest.fixture(scope="module")
def rotated(shop: Shop, operator: Operator) -> Rotated:
    assert operator.process is not None
    shop.psql_script(ROLES)
    made = Rotated(shop)
    made.keep()
    made.apply()
    made.shop.ready(seconds=600)
    return made


@contextmanager
def buying(shop: Shop) -> Iterator[dict[str, Any]]:
    """Buy all the time; what came of it is there afterwards."""
    result: dict[str, Any] = {}
    with purchases(shop, rate=3, fresh=1) as load:
        yield result
        load.stop()
        result |= load.result()


def pending(reason: str, status: dict[str, Any]) -> Any:
    found = ((status.get("rotation") or {}).get("apiKey") or {}).get("pending") or {}
    return found if (found.get("state"), found.get("reason")) == ("Refused", reason) else None


def moved(before: str, status: dict[str, Any]) -> Any:
    return status["active"]["hash"] != before and status["active"].get("since") and not status.get("candidate")


def test_a_key_is_proven_first_and_released_without_a_failed_request(
    rotated: Rotated, say: Callable[[str], None]
) -> None:
    shop = rotated.shop
    before = shop.status()["active"]["hash"]
    for key, (reason, properties) in BAD.items():
        if properties:
            rotated.register(key, **properties)
        rotated.keep(STRIPE_SECRET_KEY=key)
        rotated.keep_in_mind()
        found = shop.until(partial(pending, reason), seconds=120, what=f"refused: {reason}")
        say(f"{reason}: {found['message']}")
        assert key not in json.dumps(shop.get())
        assert shop.condition("SecretsValid")["status"] == "False"
        assert shop.status()["active"]["hash"] == before
    with buying(shop) as bought:
        rotated.keep(STRIPE_SECRET_KEY="sk_test_second")
        shop.until(partial(moved, before), seconds=600, what="released with the new key")
        shop.ready()
        rotated.keep_in_mind()
    say(f"a new key under load: {bought['failed']} of {bought['total']} purchases failed")
    assert (bought["failed_by_kind"], bought["total"] > 20) == ({}, True)
    assert shop.condition("SecretsValid")["status"] == "True"
    assert shop.status()["rotation"]["apiKey"]["state"] == "Current"


def test_while_the_old_key_lives_a_rollback_takes_it_again(rotated: Rotated) -> None:
    """A revision that was left comes back by `retry`."""
    shop = rotated.shop
    before = shop.status()
    for verb, wanted in (("rollback", before["previous"]["hash"]), ("retry", before["active"]["hash"])):
        shop.ask(verb)
        shop.until(partial(serves, wanted), seconds=600, what=f"{verb} to {wanted}")
        body = {"lookup_key": "pro_monthly", "email": f"{wanted}@example.com", "payment_method_id": "pm_card_visa"}
        status, answer = shop.create_subscription(shop.api_key(), body)
        assert status == 201, answer
    shop.ready()


def serves(digest: str, status: dict[str, Any]) -> bool:
    return status["active"]["hash"] == digest and not status.get("candidate")


def test_the_way_back_ends_with_the_old_key(rotated: Rotated) -> None:
    shop = rotated.shop
    rotated.register(OURS, revoked=True)

    def blocked(status: dict[str, Any]) -> Any:
        previous = status.get("previous") or {}
        return previous if previous.get("rollbackable") is False else None

    previous = shop.until(blocked, seconds=180, what="blocked")
    assert "key" in previous["blockedReason"].lower()
    assert shop.answer(shop.ask("rollback"))["state"] == "Refused"
    rotated.register(OURS)


def test_the_database_password_alternates_between_two_roles(rotated: Rotated, say: Callable[[str], None]) -> None:
    shop = rotated.shop
    before = shop.status()["active"]["hash"]
    with buying(shop) as bought:
        rotated.apply(**ALTERNATING, intervalSeconds=5)

        def begun(status: dict[str, Any]) -> Any:
            return (((status.get("rotation") or {}).get("database")) or {}).get("version")

        shop.until(begun, seconds=300, what="a rotation")
        rotated.keep_in_mind()
        rotated.apply(**ALTERNATING, intervalSeconds=YEAR)
        shop.until(partial(moved, before), seconds=600, what="released with the new password")

        def current(status: dict[str, Any]) -> Any:
            found = status["rotation"]["database"]
            return found if found["role"] == "shop_a" else None

        shop.until(current, seconds=120)
    say(f"a new database password under load: {bought['failed']} of {bought['total']} purchases failed")
    assert (bought["failed_by_kind"], bought["total"] > 20) == ({}, True)
    manifest = shop.manifest(release={"retainSeconds": 3})
    manifest["spec"] = shop.get()["spec"] | {"release": manifest["spec"]["release"]}
    shop.put(manifest)
    assert shop.namespace.until(lambda: not rotated.logs_in("payments", PASSWORD), seconds=300)
    assert shop.status()["rotation"]["database"]["state"] == "Current"


def test_no_value_that_was_rotated_is_found_outside_of_secrets(rotated: Rotated, operator: Operator) -> None:
    rotated.keep_in_mind()
    assert {"sk_test_second", PASSWORD, *BAD} <= rotated.words
    assert not found_outside_secrets(rotated.shop, operator, rotated.words)
