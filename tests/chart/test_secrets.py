"""Which container can reach which secret: in every pod that the chart renders and every one that the operator makes.

A new container, or a new key for one, is refused here until it is listed with what it may have.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from tests.chart.test_render import CASES, SECRET
from tests.chart.tools import pod_specs, render
from tests.unit.operator.test_resources import spec
from tests.unit.operator.world import OWNER, SPEC

from payment_operator.resources.jobs import migration_job, smoke_job
from payment_operator.resources.pods import manifests

if TYPE_CHECKING:
    from collections.abc import Iterator

STRIPE, WEBHOOK, SIGNING, DATABASE, OWNERS = (
    "STRIPE_SECRET_KEY",
    "STRIPE_WEBHOOK_SECRET",
    "WEBHOOK_SIGNING_KEY",
    "DATABASE_URL",
    "DATABASE_MIGRATION_URL",
)
MODE: Final = "PAYMENTS_STRIPE_MODE"
AUTHORITY: Final = "ca.crt"
"""The file of PostgreSQL's authority: no secret; the other keys of its Secret, such as `ca.key`, stay away."""
WHOLE: Final = "every key"
"""Of a Secret that is the container's own."""
CHART: Final[dict[str, set[str]]] = {
    "api": {DATABASE, "REDIS_URL", STRIPE, WEBHOOK, "SECRET_KEY"},
    "worker": {DATABASE, "REDIS_URL", STRIPE},
    "api that signs webhooks": {DATABASE, "REDIS_URL", STRIPE, WEBHOOK, "SECRET_KEY", SIGNING},
    "worker that signs webhooks": {DATABASE, "REDIS_URL", STRIPE, SIGNING},
    "migrate": {DATABASE},
    "migrate as the owner": {DATABASE, OWNERS},
    "smoke": {DATABASE, STRIPE, WEBHOOK},
    "smoke in test mode": {DATABASE, STRIPE, WEBHOOK, "SECRET_KEY"},  # it makes an API key for its round trip
    "backup": {DATABASE},
    "backup as the owner": {OWNERS},  # the application's login may be locked by its rotation
    "restore": {DATABASE},
    "restore as the owner": {OWNERS},
    "upload": {f"{WHOLE} of payments-backup-store"},
    "download": {f"{WHOLE} of payments-backup-store"},
    "operator": set(),
}
OPERATOR: Final[dict[str, set[str]]] = {
    "api": {
        *(DATABASE, "DATABASE_REPLICA_URL", "REDIS_URL", STRIPE, WEBHOOK, SIGNING),
        *("SECRET_KEY", "PAYMENTS_ADMIN_TOKEN"),
    },
    "worker": {DATABASE, "REDIS_URL", STRIPE, SIGNING, "PAYMENTS_ADMIN_TOKEN"},
    "plan": {DATABASE, OWNERS},
    "expand": {DATABASE, OWNERS},
    "contract": {DATABASE, OWNERS},
    "smoke": {DATABASE, STRIPE, WEBHOOK},
}
THIRD_PARTY: Final = {"backup", "restore", "upload", "download"}
BACKUPS: Final = ("--set", f"backup.enabled=true,backup.image=postgres@sha256:{'1' * 64}")
CLAIM: Final = (*BACKUPS, "--set", "backup.existingClaim=dumps")
OPERATED: Final = ("--set", f"operator.enabled=true,operator.image.digest=sha256:{'2' * 64}")
OWNER_ROLE: Final = ("--set", "secrets.migrationSecret=owner")
HOOKS: Final = ("--set", "webhookEndpoints.existingSecret=hooks,webhookEndpoints.existingSecretKey=signing.key")
SETS: Final = {
    "defaults": SECRET,
    "backups of a claim": (*SECRET, *CLAIM),
    "backups with the operator": (*SECRET, *CLAIM, *OWNER_ROLE, *OPERATED),
    "an authority's Secret": (*SECRET, *CLAIM, *OWNER_ROLE, "--set", "database.ca.secret=db-ca"),
    "webhook endpoints": (*SECRET, *CLAIM, *OWNER_ROLE, *HOOKS, "--set", "migrations.mode=initContainer"),
    "another database's Secret": (*SECRET, *CLAIM, "--set", "database.existingSecret=db-app"),
    **{path.stem: ("--values", str(path)) for path in CASES},
}


def reached(pod: dict[str, Any], container: dict[str, Any]) -> set[str]:
    """Return the keys of Secrets that a container can read, wherever they come from."""
    found = set(_of_environment(container))
    volumes = {volume["name"]: volume for volume in pod.get("volumes", [])}
    for mount in container.get("volumeMounts", []):
        for source in _sources(volumes[mount["name"]]):
            name = source.get("secretName") or source.get("name")
            items = source.get("items") or [{"key": "", "path": f"{WHOLE} of {name}"}]
            found |= {item["path"] for item in items}
    return found


def _of_environment(container: dict[str, Any]) -> Iterator[str]:
    for entry in container.get("env", []):
        if reference := entry.get("valueFrom", {}).get("secretKeyRef"):
            yield reference["key"]
    for source in container.get("envFrom", []):
        if "secretRef" in source:
            yield f"{WHOLE} of {source['secretRef']['name']}"


def _sources(volume: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the Secrets of a volume; a kind of volume that this does not know is refused."""
    if "secret" in volume:
        yield volume["secret"]
    elif "projected" in volume:
        for source in volume["projected"]["sources"]:
            assert set(source) == {"secret"}, source
            yield source["secret"]
    else:
        assert set(volume) - {"name"} <= {"emptyDir", "persistentVolumeClaim", "configMap"}, volume


def containers(pod: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield every container of a pod, of whatever kind."""
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        yield from pod.get(kind, [])


def say(case: str, word: str) -> bool:
    """Whether the values hold a word."""
    return any(word in (Path(text).read_text() if "/" in text else text) for text in SETS[case])


def listed(case: str, container: dict[str, Any], *, owner_role: bool) -> set[str]:
    name = container["name"]
    variants = {  # the first that holds and is listed
        f"{name} that signs webhooks": say(case, "webhookEndpoints"),
        f"{name} as the owner": owner_role,
    }
    for variant, is_one in variants.items():
        if is_one and variant in CHART:
            return CHART[variant]
    mode = next((entry["value"] for entry in container.get("env", []) if entry["name"] == MODE), "")
    return CHART.get(f"{name} in {mode} mode", CHART[name])


@pytest.mark.parametrize("case", SETS)
def test_each_container_of_the_chart_reaches_what_is_listed_and_no_more(case: str) -> None:
    manifests_ = render(*SETS[case])
    pods = pod_specs(manifests_)
    assert pods
    for pod in pods:
        owner_role = "owner" in str(pod.get("volumes"))
        for container in containers(pod):
            found = reached(pod, container)
            expected = listed(case, container, owner_role=owner_role)
            assert found - {AUTHORITY} == expected, container["name"]
            assert AUTHORITY not in found or found & {DATABASE, OWNERS}


@pytest.mark.parametrize("ca", ["configMap=db-ca", "secret=db-ca,database.ca.key=tls.crt"])
@pytest.mark.parametrize("more", ["", "migrations.mode=initContainer", OPERATED[1]])
def test_every_container_that_reaches_postgresql_verifies_it(ca: str, more: str) -> None:
    seen = set()
    for pod in pod_specs(render(*SECRET, *CLAIM, "--set", f"database.ca.{ca},{more}".rstrip(","))):
        for container in containers(pod):
            if reached(pod, container) & {DATABASE, OWNERS}:
                assert verifies(pod, container), container["name"]
                seen.add(container["name"])
    assert {"backup", "restore", "smoke"} <= seen
    assert more == OPERATED[1] or {"api", "worker", "migrate"} <= seen


@pytest.mark.parametrize("ca", [{"configMap": "db-ca"}, {"secret": "db-ca", "key": "tls.crt"}])
def test_every_container_of_the_operator_verifies_postgresql(ca: dict[str, str]) -> None:
    for pod in operator_pods(ca=ca).values():
        for container in containers(pod):
            assert verifies(pod, container)


def verifies(pod: dict[str, Any], container: dict[str, Any]) -> bool:
    """Whether the authority's file lies where libpq and asyncpg look for it, and no fallback is left."""
    environ = {entry["name"]: entry.get("value", "") for entry in container["env"]}
    folder, _, file = environ.get("PGSSLROOTCERT", "").rpartition("/")
    (volume,) = [mount["name"] for mount in container["volumeMounts"] if mount["mountPath"] == folder]
    (source,) = [entry for entry in pod["volumes"] if entry["name"] == volume]
    content = source.get("configMap") or source["secret"]
    key = "tls.crt" if "secret" in source else "ca.crt"
    named = content.get("name") or content["secretName"]
    return (environ["PGSSLMODE"], named, content["items"]) == ("verify-full", "db-ca", [{"key": key, "path": file}])


def test_the_sets_render_every_container_that_is_listed() -> None:
    seen = {c["name"] for case in SETS for pod in pod_specs(render(*SETS[case])) for c in containers(pod)}
    assert seen == {name.partition(" ")[0] for name in CHART}


@pytest.mark.parametrize("case", SETS)
def test_no_image_of_others_reaches_a_key_to_stripe(case: str) -> None:
    for pod in pod_specs(render(*SETS[case])):
        for container in containers(pod):
            if container["name"] in THIRD_PARTY:
                assert not reached(pod, container) & {STRIPE, WEBHOOK, "SECRET_KEY"}


def operator_pods(ca: dict[str, str] | None = None) -> dict[str, dict[str, Any]]:
    """Return the pods that the operator makes, by what they do."""
    hooks = {"signingKeySecretRef": {"name": "hooks", "key": "signing.key"}}
    asked = spec(database=SPEC["database"] | ({"ca": ca} if ca else {}), webhookEndpoints=hooks)
    made = manifests(OWNER, asked, revision="cafecafe", credentials="0123456789", replica=True)
    found = {name: made[name]["spec"]["template"]["spec"] for name in ("api", "worker")}
    run: dict[str, Any] = {"revision": "cafecafe", "run": 1}
    for step in ("plan", "expand", "contract"):
        job = migration_job(OWNER, spec(), step=step, pod=made["job"], owner_role=True, **run)
        found[step] = job["spec"]["template"]["spec"]
    smoke = smoke_job(OWNER, spec(), pod=made["smoke"], proves=(), **run)
    return found | {"smoke": smoke["spec"]["template"]["spec"]}


def test_each_container_of_the_operator_reaches_what_is_listed_and_no_more() -> None:
    pods = operator_pods()
    assert set(pods) == set(OPERATOR)
    for name, pod in pods.items():
        assert len(list(containers(pod))) == 1
        for container in containers(pod):
            assert reached(pod, container) == OPERATOR[name], name


WORKER_CLAIM = "PAYMENTS_WORKER_CLAIM"
"""Its file is of a ConfigMap: which worker claims."""


def test_every_secret_of_a_container_is_one_that_its_settings_read() -> None:
    """A file that no setting names is one too many; a setting without its file keeps the pod from starting."""
    pods = itertools.chain(operator_pods().values(), *(pod_specs(render(*arguments)) for arguments in SETS.values()))
    for pod in pods:
        for container in containers(pod):
            if container["name"] in THIRD_PARTY:
                continue
            named = {e["name"].removesuffix("_FILE") for e in container.get("env", []) if e["name"].endswith("_FILE")}
            assert named - {WORKER_CLAIM} == reached(pod, container) - {AUTHORITY}, container["name"]


@pytest.mark.parametrize(
    "volume",
    [
        {"secret": {"secretName": "lean-payments"}},
        {"projected": {"sources": [{"secret": {"name": "lean-payments"}}]}},
        {"projected": {"sources": [{"secret": {"name": "lean-payments", "items": [{"key": "X", "path": STRIPE}]}}]}},
    ],
)
def test_a_volume_with_too_much_is_found(volume: dict[str, Any]) -> None:
    pod = {"volumes": [{"name": "all"} | volume]}
    container = {"name": "backup", "volumeMounts": [{"name": "all", "mountPath": "/run"}]}
    assert reached(pod, container) != CHART["backup"]


@pytest.mark.parametrize(
    "given",
    [
        {"envFrom": [{"secretRef": {"name": "lean-payments"}}]},
        {"env": [{"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "lean-payments", "key": STRIPE}}}]},
    ],
)
def test_an_environment_with_too_much_is_found(given: dict[str, Any]) -> None:
    assert reached({}, {"name": "backup"} | given) - CHART["backup"]
