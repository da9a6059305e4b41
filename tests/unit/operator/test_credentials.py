"""What is taken from the user's Secrets, and what keeps a revision from being made."""

from __future__ import annotations

import base64
import copy
from typing import Any

import msgspec
import pytest
from tests.unit.operator.world import OWNER, SOURCE, SPEC

from payment_operator.api.environment import Environment
from payment_operator.resources.credentials import read_sources
from payment_operator.resources.pods import manifests
from payment_operator.resources.revisions import revision_input

PLAIN = "postgresql://app:secret-word@db/payments"


CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n"


def problems(
    values: dict[str, str],
    *,
    database: dict[str, Any] | None = None,
    redis: dict[str, Any] | None = None,
    authority: dict[str, Any] | None = None,
) -> list[str]:
    """Read a Secret with these values beside encrypted ones."""
    found = SOURCE | {"DATABASE_URL": f"{PLAIN}?sslmode=require", "REDIS_URL": "rediss://cache"} | values
    data = {name: base64.b64encode(value.encode()).decode() for name, value in found.items()}
    asked = spec(database=database, redis=redis)
    return list(read_sources(asked, {"payments": {"data": data}}, authority=authority).problems)


def spec(*, database: dict[str, Any] | None = None, redis: dict[str, Any] | None = None) -> Environment:
    asked = copy.deepcopy(SPEC)
    for server, changes in (("database", database), ("redis", redis)):
        asked[server] |= {"allowPlaintext": False} | (changes or {})
    return msgspec.convert(asked, Environment)


def test_encrypted_addresses_are_taken() -> None:
    assert problems({}) == []


@pytest.mark.parametrize(
    ("setting", "database"),
    [
        ("DATABASE_URL", {}),
        ("DATABASE_REPLICA_URL", {"replicaUrlSecretRef": {"name": "payments"}}),
        ("DATABASE_MIGRATION_URL", {"migrationUrlSecretRef": {"name": "payments"}}),
        (
            "DATABASE_ADMIN_URL",
            {"rotation": {"mode": "AlternatingRoles", "roles": ["a", "b"], "adminSecretRef": {"name": "payments"}}},
        ),
    ],
)
def test_a_database_in_plain_text_is_refused_by_name_with_the_fix(setting: str, database: dict[str, Any]) -> None:
    """The administrator's address is the operator's own connection."""
    (told,) = problems({setting: PLAIN}, database=database)
    assert told.startswith(f"{setting}: sslmode=prefer to db")
    assert "spec.database.allowPlaintext: true" in told
    assert "secret-word" not in told
    assert problems({setting: PLAIN}, database=database | {"allowPlaintext": True}) == []


def test_mariadb_is_taken_encrypted_and_in_plain_text_is_told_its_own_fix() -> None:
    address = "mariadb://app:secret-word@db-1,db-2/payments"
    assert problems({"DATABASE_URL": address}) == []
    (told,) = problems({"DATABASE_URL": f"{address}?ssl-mode=DISABLED"})
    assert told.startswith("DATABASE_URL: ssl-mode=DISABLED to db-1 may be unencrypted; set ssl-mode=VERIFY_IDENTITY")


def test_a_rotation_on_mariadb_names_the_role_with_the_rights() -> None:
    rotation = {"mode": "AlternatingRoles", "roles": ["a", "b"], "adminSecretRef": {"name": "payments"}}
    found = dict.fromkeys(("DATABASE_URL", "DATABASE_ADMIN_URL"), "mariadb://app@db/payments")
    (told,) = problems(found, database={"rotation": rotation})
    assert told.startswith("spec.database.rotation.groupRole is missing")
    assert problems(found, database={"rotation": rotation | {"groupRole": "payments_app"}}) == []
    other = found | {"DATABASE_ADMIN_URL": f"{PLAIN}?sslmode=require"}
    (told,) = problems(other, database={"rotation": rotation | {"groupRole": "payments_app"}})
    assert told == "DATABASE_ADMIN_URL: it and DATABASE_URL are addresses of different kinds of databases"


@pytest.mark.parametrize("setting", ["DATABASE_URL", "REDIS_URL"])
def test_no_part_of_a_password_is_told_as_a_host(setting: str) -> None:
    scheme = "redis" if setting == "REDIS_URL" else "postgresql"
    (told,) = problems({setting: f"{scheme}://app:some@secret/word@db/payments"})
    assert told == f"{setting}: a /, ? or # in its password must be percent-encoded: %2F, %3F, %23"


def test_redis_in_plain_text_is_refused_by_name_with_the_fix() -> None:
    (told,) = problems({"REDIS_URL": "redis://:secret-word@cache:6379"})
    assert told.startswith("REDIS_URL: redis:// to cache")
    assert "spec.redis.allowPlaintext: true" in told
    assert "secret-word" not in told
    assert problems({"REDIS_URL": "redis://cache:6379"}, redis={"allowPlaintext": True}) == []


def test_what_is_allowed_reaches_every_pod_and_is_a_release() -> None:
    allowing = spec(database={"allowPlaintext": True}, redis={"allowPlaintext": True})
    made = manifests(OWNER, allowing, revision="cafecafe", credentials="0123456789", replica=False)
    for name in ("api", "worker"):
        made[name] = made[name]["spec"]["template"]["spec"]
    for pod in made.values():
        assert {"name": "PAYMENTS_ALLOW_PLAINTEXT", "value": "database,redis"} in pod["containers"][0]["env"]
    content = [revision_input(found, credentials="0123456789") for found in (spec(), allowing)]
    assert "allowPlaintext" not in content[0]
    assert content[1]["allowPlaintext"] == ["database", "redis"]


def test_with_an_authority_an_address_without_a_mode_is_verified() -> None:
    database, authority = {"ca": {"configMap": "db-ca"}}, {"data": {"ca.crt": CERTIFICATE}}
    assert problems({"DATABASE_URL": PLAIN}, database=database, authority=authority) == []
    (told,) = problems({"DATABASE_URL": f"{PLAIN}?sslmode=prefer"}, database=database, authority=authority)
    assert "sslmode=prefer" in told


@pytest.mark.parametrize(
    ("ca", "found", "says"),
    [
        ({"configMap": "db-ca"}, None, "ConfigMap db-ca does not exist"),
        ({"secret": "db-ca", "key": "tls.crt"}, {"data": {"ca.crt": "eA=="}}, "Secret db-ca has no certificate"),
        ({"configMap": "db-ca"}, {"data": {"ca.crt": "see the wiki"}}, "ConfigMap db-ca has no certificate"),
    ],
)
def test_an_authority_that_is_not_there_is_named(ca: dict[str, str], found: dict[str, Any] | None, says: str) -> None:
    """Pods would wait for its file, or refuse every server."""
    (told,) = problems({}, database={"ca": ca}, authority=found)
    assert told.startswith(says)
    assert "spec.database.ca" in told


def test_another_authority_is_a_release() -> None:
    inputs = [revision_input(spec(database=ca), credentials="1") for ca in ({}, {"ca": {"configMap": "db-ca"}})]
    assert inputs[0] != inputs[1]
