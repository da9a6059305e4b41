"""Every pod takes the fields of `pods`: those that the chart renders and, with the operator, those that this makes."""

from __future__ import annotations

import json
from functools import cache
from typing import Any, Final

import msgspec
import pytest
from tests.chart.test_render import of_kind
from tests.chart.tools import render, template

from payment_operator.api.environment import Environment
from payment_operator.plugin.verbs.lint import check
from payment_operator.resources.jobs import migration_job, smoke_job
from payment_operator.resources.metadata import Owner
from payment_operator.resources.pods import MIGRATE, SMOKE, manifests

Template = tuple[dict[str, Any], dict[str, Any]]
"""Metadata and specification of a pod."""
MODES: Final = ("operator", "alone")
BASE: Final = {"secrets": {"existingSecret": "s"}, "config": {"stripeMode": "test"}, "image": {"digest": ""}}
BACKUP: Final = {"backup": {"enabled": True, "existingClaim": "dumps"}}
PARTS: Final = {
    "api": {"api"},
    "worker": {"worker"},
    "jobs": {"migrate", "contract", "plan", "expand", "smoke job"},
    "test": {"smoke"},
    "backup": {"backup", "restore"},
    "operator": {"operator", "crd"},
}
"""The pods of each part of `pods`, by the ends of their names."""
EVERY: Final[dict[str, Any]] = {
    "labels": {"team": "billing", "sidecar.istio.io/inject": "false", "app.kubernetes.io/component": "mine"},
    "annotations": {"karpenter.sh/do-not-disrupt": "true"},
    "nodeSelector": {"kubernetes.io/arch": "arm64"},
    "tolerations": [{"key": "pci", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
    "topologySpreadConstraints": [{"maxSkew": 2, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule"}],
    "priorityClassName": "payments",
    "securityContext": {"fsGroupChangePolicy": "OnRootMismatch", "runAsUser": 1000660000},
}


@cache
def pods(mode: str, text: str) -> dict[str, Template]:
    """The pods of a release by name, from values in JSON; with the operator also those that it makes."""
    values = json.loads(text) | {"operator": {"enabled": mode == "operator"}}
    found = render(
        *(argument for name, value in values.items() for argument in ("--set-json", f"{name}={json.dumps(value)}"))
    )
    rendered = dict(_rendered(found))
    if mode == "operator":
        (environment,) = of_kind(found, "PaymentEnvironment")
        assert check(environment) == []
        rendered |= _made(msgspec.convert(environment["spec"], Environment))
    return rendered


def _rendered(found: list[dict[str, Any]]) -> Any:
    for manifest in found:
        name, spec = manifest["metadata"]["name"].rpartition("-")[2], manifest.get("spec", {})
        if manifest["kind"] == "Pod":
            yield name, (manifest["metadata"], spec)
        elif manifest["kind"] in {"Deployment", "Job"}:
            yield name, (spec["template"]["metadata"], spec["template"]["spec"])
        elif manifest["kind"] == "CronJob":
            made = spec["jobTemplate"]["spec"]["template"]
            yield name, (made["metadata"], made["spec"])


def _made(spec: Environment) -> dict[str, Template]:
    owner = Owner("pay-lean-payments", "billing", "uid")
    stored = manifests(owner, spec, revision="abcd1234", credentials="c", replica=False)
    made = {name: stored[name]["spec"]["template"] for name in ("api", "worker")}
    for step in ("plan", "expand", "contract"):
        pod = stored[MIGRATE]
        job = migration_job(owner, spec, step=step, revision="abcd1234", run=1, pod=pod, owner_role=False)
        made[step] = job["spec"]["template"]
    job = smoke_job(owner, spec, revision="abcd1234", run=1, pod=stored[SMOKE], proves=("a:0",))
    made["smoke job"] = job["spec"]["template"]
    return {name: (template["metadata"], template["spec"]) for name, template in made.items()}


def of(mode: str, **values: Any) -> dict[str, Template]:
    return pods(mode, json.dumps(BASE | BACKUP | values))


@pytest.mark.parametrize("mode", MODES)
def test_the_parts_are_all_pods_of_both_modes(mode: str) -> None:
    everything = {name for names in PARTS.values() for name in names}
    alone = {"migrate"} if mode == "operator" else {"plan", "expand", "smoke job", "operator", "crd"}
    assert set(of(mode)) == everything - alone


@pytest.mark.parametrize("mode", MODES)
def test_every_pod_takes_what_all_have(mode: str) -> None:
    before = of(mode)
    for name, (metadata, spec) in of(mode, pods=EVERY).items():
        own = before[name][0]["labels"]
        assert metadata["labels"] == EVERY["labels"] | own, name
        assert EVERY["annotations"].items() <= metadata["annotations"].items(), name
        for field in ("nodeSelector", "tolerations", "affinity", "topologySpreadConstraints", "priorityClassName"):
            assert spec[field] == EVERY[field], (name, field)
        assert spec["securityContext"] == before[name][1]["securityContext"] | EVERY["securityContext"], name


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("part", PARTS)
def test_a_part_has_its_own_instead(part: str, mode: str) -> None:
    own: dict[str, Any] = {
        "labels": {"team": part},
        "annotations": {"for": part},
        "nodeSelector": {"pool": part},
        "tolerations": [{"key": part}],
        "affinity": {"podAffinity": {}},
        "topologySpreadConstraints": [{"topologyKey": part}],
        "priorityClassName": part,
        "securityContext": {"runAsUser": 7},
        "volumes": [{"name": "own", "emptyDir": {}}],
        "volumeMounts": [{"name": "own", "mountPath": "/own"}],
    }
    for name, (metadata, spec) in of(mode, pods=EVERY | {part: own}).items():
        theirs = name in PARTS[part]
        assert (metadata["labels"]["team"] == part) is theirs, name
        assert metadata["annotations"].get("for") == (part if theirs else None), name
        assert spec["nodeSelector"] == EVERY["nodeSelector"] | (own["nodeSelector"] if theirs else {}), name
        assert spec["affinity"] == EVERY["affinity"] | (own["affinity"] if theirs else {}), name
        for field in ("tolerations", "topologySpreadConstraints", "priorityClassName"):
            assert spec[field] == (own if theirs else EVERY)[field], (name, field)
        assert spec["securityContext"]["runAsUser"] == (7 if theirs else 1000660000), name
        assert ({"name": "own", "emptyDir": {}} in spec["volumes"]) is theirs, name
        containers = spec["containers"] + spec.get("initContainers", [])
        mounts = [{"name": "own", "mountPath": "/own"} in container["volumeMounts"] for container in containers]
        assert set(mounts) == {theirs}, name


@pytest.mark.parametrize("mode", MODES)
def test_further_volumes_reach_every_pod_of_the_service_s_image_and_no_other(mode: str) -> None:
    volume, mount = {"name": "db-ca", "configMap": {"name": "rds-ca"}}, {"name": "db-ca", "mountPath": "/etc/db-ca"}
    others = PARTS["backup"] | PARTS["operator"]
    for name, (_, spec) in of(mode, extraVolumes=[volume], extraVolumeMounts=[mount]).items():
        assert (volume in spec["volumes"]) is (name not in others), name
        assert (mount in spec["containers"][0]["volumeMounts"]) is (name not in others), name


@pytest.mark.parametrize("mode", MODES)
def test_ids_are_left_to_a_platform_that_gives_them(mode: str) -> None:
    for name, (_, spec) in of(mode, pods={"userIds": "Platform"}).items():
        assert spec["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}, name


@pytest.mark.parametrize("mode", MODES)
def test_every_pod_but_the_operator_s_has_the_account_or_its_part_s(mode: str) -> None:
    existing = {"serviceAccount": {"create": False, "name": "payments"}}
    for name, (_, spec) in of(mode, **existing, pods={"backup": {"serviceAccountName": "dumper"}}).items():
        if name in PARTS["operator"]:
            assert spec["serviceAccountName"].startswith("pay-lean-payments-operator")
        else:
            assert spec["serviceAccountName"] == ("dumper" if name in PARTS["backup"] else "payments"), name


def test_the_hook_has_a_created_account_only_when_it_is_named_for_it() -> None:
    assert "serviceAccountName" not in of("alone")["migrate"][1]
    assert of("alone")["contract"][1]["serviceAccountName"] == "pay-lean-payments"
    named = of("alone", pods={"jobs": {"serviceAccountName": "migrator"}})
    assert named["migrate"][1]["serviceAccountName"] == named["contract"][1]["serviceAccountName"] == "migrator"


def test_accounts_carry_their_annotations() -> None:
    values = ("--set", "secrets.existingSecret=s,operator.enabled=true,config.stripeMode=test")
    notes = ("--set", "serviceAccount.annotations.role=pay,operator.serviceAccountAnnotations.role=operate")
    accounts = {account["metadata"]["name"]: account for account in of_kind(render(*values, *notes), "ServiceAccount")}
    assert accounts["pay-lean-payments"]["metadata"]["annotations"] == {"role": "pay"}
    assert accounts["pay-lean-payments-operator"]["metadata"]["annotations"] == {"role": "operate"}


@pytest.mark.parametrize(
    "setting", ["pods.api.hostNetwork=true", "pods.operator.serviceAccountName=x", "pods.ap.labels.a=b"]
)
def test_a_field_that_pods_do_not_take_is_refused_by_name(setting: str) -> None:
    result = template("--set", f"secrets.existingSecret=s,{setting}")
    assert result.returncode != 0
    assert setting.partition("=")[0].split(".")[2 if "ap." not in setting else 1].strip() in result.stderr
