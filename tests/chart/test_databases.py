"""`database.kind`: the port that policies open, and what dumps and restores."""

from __future__ import annotations

import pytest
from tests.chart.test_render import BACKUP, CNPG, SECRET, of_kind, refused
from tests.chart.tools import render

OWNER = "secrets.migrationSecret=owner"
MARIADB = "database.kind=mariadb,config.stripeMode=test"


@pytest.mark.parametrize("operated", ["true", "false"])
@pytest.mark.parametrize(
    ("values", "port"),
    [
        ("database.kind=postgresql", 5432),
        ("database.kind=mariadb", 3306),
        ("database.kind=mariadb,networkPolicy.databasePort=3307", 3307),
    ],
)
def test_policies_open_the_port_of_the_kind(values: str, port: int, operated: str) -> None:
    given = f"{values},{BACKUP},config.stripeMode=test,operator.enabled={operated}"
    policies = {p["metadata"]["name"]: p["spec"] for p in of_kind(render(*SECRET, "--set", given), "NetworkPolicy")}
    for name in ("pay-lean-payments", "pay-lean-payments-backup"):  # the first is that of API, worker and Jobs
        opened = {entry["port"] for rule in policies[name]["egress"] for entry in rule["ports"]}
        assert opened & {5432, 3306, 3307} == {port}


@pytest.mark.parametrize("name", ["backup", "restore"])
@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_backups_run_the_programs_of_the_kind(kind: str, name: str) -> None:
    jobs = {
        job["metadata"]["name"].rpartition("-")[2]: job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        for job in of_kind(render(*SECRET, "--set", f"{MARIADB},{BACKUP},database.kind={kind}"), "CronJob")
    }
    (container,) = jobs[name]["containers"]
    assert container["image"] == {"postgresql": "postgres:18", "mariadb": "mariadb:11.8"}[kind]
    programs = {"postgresql": {"pg_dump", "pg_restore"}, "mariadb": {"mariadb-dump", "mariadb-install-db", "client"}}
    for other, words in programs.items():
        assert any(f"{word} " in container["args"][0] for word in words) is (other == kind)


@pytest.mark.parametrize("owned", [True, False])
@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_who_dumps_is_the_owner_where_there_is_one(kind: str, owned: bool) -> None:  # noqa: FBT001 - a parameter
    values = f"{MARIADB},{BACKUP},database.kind={kind}" + (f",{OWNER}" if owned else "")
    (pod,) = [
        job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        for job in of_kind(render(*SECRET, "--set", values), "CronJob")
        if job["metadata"]["name"].endswith("-backup")
    ]
    (container,) = pod["containers"]
    environ = {entry["name"] for entry in container["env"]}
    assert ("DATABASE_MIGRATION_URL_FILE" in environ) is owned
    read = {volume["secret"]["secretName"] for volume in pod["volumes"] if "secret" in volume}
    assert read == {"owner" if owned else "lean-payments"}
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod["volumes"]}


def test_a_cluster_of_postgresql_is_no_mariadb() -> None:
    message = refused("--set", f"{MARIADB},{CNPG}")
    assert "database.kind=mariadb: database.cloudNativePG renders PostgreSQL; set one of them" in message
    assert "database/kind" in refused("--set", "database.kind=mysql")
