"""Manifests: what is a release and what is not, what is laid over what, what a live object holds."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from tests.unit.operator.world import OWNER, SOURCE, SPEC, World

from payment_operator import names
from payment_operator.api.environment import Environment
from payment_operator.api.workload import Api
from payment_operator.decide.decision import decide
from payment_operator.decide.placement import assign
from payment_operator.decide.rotation.staged_credentials import staged_of
from payment_operator.decide.unsafe_pods import unsafe_fields
from payment_operator.redaction import redact
from payment_operator.resources.credentials import StagedCredentials, credentials_secret
from payment_operator.resources.jobs import migration_job
from payment_operator.resources.overlay import holds, overlay
from payment_operator.resources.pods import manifests
from payment_operator.resources.revisions import pruned, revision_hash, revision_input


def spec(**changes: Any) -> Environment:
    return msgspec.convert(copy.deepcopy(SPEC) | changes, Environment)


def digest(**changes: Any) -> str:
    return revision_hash(revision_input(spec(**changes), credentials="0123456789"))


def test_defaults_written_out_are_no_other_revision() -> None:
    full = msgspec.to_builtins(spec())
    assert digest(api={}) == digest() == digest(worker={"replicas": 1}) == digest(imagePullPolicy="IfNotPresent")
    assert revision_hash(revision_input(msgspec.convert(full, Environment), credentials="0123456789")) == digest()


@pytest.mark.parametrize(
    "change",
    [
        {"replicas": 7},
        {"autoscaling": {"maxReplicas": 50}},
        {"release": {"drainSeconds": 5, "bake": {"seconds": 10}}},
        {"migrations": {"backoffLimit": 1}},
        {"service": {"port": 8080}},
        {"suspend": True},
    ],
)
def test_what_does_not_shape_pods_is_no_release(change: dict[str, Any]) -> None:
    assert digest(**change) == digest()


@pytest.mark.parametrize(
    "change",
    [
        {"image": "registry/payments:2"},
        {"api": {"config": {"LOG_LEVEL": "DEBUG"}}},
        {"allowedOrigins": ["https://shop.example.com"]},
        {"worker": {"podTemplate": {"spec": {"priorityClassName": "low"}}}},
        {"api": {"podTemplate": {"spec": {"tolerations": []}}}},
        {"release": {"drainSeconds": 30}},
    ],
)
def test_what_shapes_pods_is_a_release(change: dict[str, Any]) -> None:
    assert digest(**change) != digest()


def test_fragments_are_not_pruned() -> None:
    assert pruned(Api(pod_template={"spec": {"tolerations": [], "hostNetwork": False}})) == {
        "podTemplate": {"spec": {"tolerations": [], "hostNetwork": False}}
    }


def test_credentials_are_named_by_what_they_hold_and_webhook_secrets_are_not_among_them() -> None:
    first = StagedCredentials(dict(SOURCE))
    assert StagedCredentials(SOURCE | {"STRIPE_WEBHOOK_SECRET": "whsec_2"}).digest == first.digest
    assert StagedCredentials(SOURCE | {"REDIS_URL": "redis://other"}).digest != first.digest
    secret = credentials_secret(OWNER, first, version=1)
    assert secret["immutable"] is True
    assert "STRIPE_WEBHOOK_SECRET" not in secret["data"]
    assert secret["data"] == credentials_secret(OWNER, first, version=9)["data"]


def test_pods_satisfy_the_restricted_level_and_drain() -> None:
    rendered = manifests(OWNER, spec(), revision="cafecafe", credentials="0123456789", replica=False)
    for component in (names.API, names.WORKER):
        pod = rendered[component]["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        assert pod["securityContext"]["runAsNonRoot"]
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        hook = {"preStop": {"exec": {"command": ["payments", "drain"]}}} if component == names.API else None
        assert container.get("lifecycle") == hook
        assert pod["automountServiceAccountToken"] is False
        assert not any("value" in v and "secret" in v["value"] and "/run/" not in v["value"] for v in container["env"])


def test_the_pod_template_of_the_user_wins() -> None:
    template = {
        "spec": {"priorityClassName": "high", "containers": [{"name": "api", "env": [{"name": "A", "value": "1"}]}]}
    }
    rendered = manifests(
        OWNER, spec(api={"podTemplate": template}), revision="cafecafe", credentials="0123456789", replica=False
    )
    pod = rendered["api"]["spec"]["template"]["spec"]
    assert pod["priorityClassName"] == "high"
    assert {"name": "A", "value": "1"} in pod["containers"][0]["env"]
    assert len(pod["containers"][0]["env"]) > 5


def test_a_migration_job_stops_at_once_where_another_try_is_useless() -> None:
    pod = manifests(OWNER, spec(), revision="cafecafe", credentials="0123456789", replica=False)["job"]
    before = copy.deepcopy(pod)
    job = migration_job(OWNER, spec(), step="expand", revision="cafecafe", run=2, pod=pod, owner_role=True)
    assert pod == before
    assert job["metadata"]["name"] == "shop-expand-cafecafe-a2"
    assert job["spec"]["podReplacementPolicy"] == "Failed"
    assert job["spec"]["podFailurePolicy"]["rules"][0]["onExitCodes"]["values"] == [2, 4, 5, 6, 7, 8]
    assert any(volume["name"] == "migration" for volume in job["spec"]["template"]["spec"]["volumes"])


def test_an_overlay_merges_named_lists_and_replaces_others() -> None:
    base = {"a": [{"name": "x", "v": 1}, {"name": "y"}], "b": [1, 2], "c": {"d": 1}}
    over = {"a": [{"name": "x", "v": 2}, {"name": "z"}], "b": [3], "c": {"e": 2}}
    assert overlay(base, over) == {
        "a": [{"name": "x", "v": 2}, {"name": "y"}, {"name": "z"}],
        "b": [3],
        "c": {"d": 1, "e": 2},
    }


@pytest.mark.parametrize(
    ("live", "wanted", "same"),
    [
        ({"a": 1, "added": 2}, {"a": 1}, True),
        ({"a": 1}, {"a": 2}, False),
        ({}, {"a": {}, "b": [], "c": ""}, True),
        ({"cpu": "500m", "memory": "1Gi"}, {"cpu": "0.5", "memory": "1024Mi"}, True),
        ({"cpu": "500m"}, {"cpu": "0.6"}, False),
        ([{"name": "a"}, {"name": "injected"}], [{"name": "a"}], True),
        ([1, 2], [1], False),
        ({"ipFamilies": ["IPv6", "IPv4"]}, {"ipFamilies": ["IPv6"]}, True),
        ({"ipFamilies": ["IPv4", "IPv6"]}, {"ipFamilies": ["IPv6"]}, False),
        ({"ipFamilies": ["IPv4"]}, {"ipFamilies": ["IPv4", "IPv6"]}, False),
        ({"name": "5"}, {"name": "5x"}, False),
    ],
)
def test_a_live_object_holds_what_is_wanted(live: Any, wanted: Any, same: bool) -> None:  # noqa: FBT001 - the table's
    assert holds(live, wanted) is same


def test_every_service_has_the_addresses_that_the_spec_asks_for_and_is_written_once() -> None:
    families = {"ipFamilyPolicy": "PreferDualStack", "ipFamilies": ["IPv6"]}
    world = World(spec=copy.deepcopy(SPEC) | {"service": families})
    world.settle()
    services = [manifest["spec"] for (kind, _), manifest in world.objects.items() if kind == "Service"]
    assert len(services) == 3
    for service in services:
        assert {name: service[name] for name in families} == families
        service["ipFamilies"].append("IPv4")  # as the API server does
    before = copy.deepcopy(world.objects)
    world.operate()
    assert world.objects == before


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("bad key sk_test_abc123 used", "bad key sk_test_*** used"),
        ("secret whsec_abc and rk_live_x", "secret whsec_*** and rk_live_***"),
        ("postgresql://app:pw@db:5432/x refused", "postgresql://app:***@db:5432/x refused"),
        ("the password is secret-word", "the password is ***"),
        ("nothing here", "nothing here"),
    ],
)
def test_secrets_are_removed(text: str, clean: str) -> None:
    assert redact(text, SOURCE.values()) == clean


PODS = {
    "labels": {"sidecar.istio.io/inject": "false", names.LABEL_COMPONENT: "other"},
    "annotations": {"karpenter.sh/do-not-disrupt": "true"},
    "nodeSelector": {"kubernetes.io/arch": "arm64"},
    "tolerations": [{"key": "pci", "operator": "Exists"}],
    "priorityClassName": "payments",
    "serviceAccountName": "payments",
    "userIds": "Platform",
    "volumes": [{"name": "ca", "configMap": {"name": "rds-ca"}}],
    "volumeMounts": [{"name": "ca", "mountPath": "/etc/ca"}],
    "jobs": {"nodeSelector": {"pool": "batch"}, "priorityClassName": "low", "resources": {"limits": {"memory": "2Gi"}}},
}


def test_every_pod_takes_the_fields_of_spec_pods_and_jobs_their_own() -> None:
    asked = spec(pods=PODS)
    rendered = manifests(OWNER, asked, revision="cafecafe", credentials="0123456789", replica=False)
    job = migration_job(OWNER, asked, step="plan", revision="cafecafe", run=1, pod=rendered["job"], owner_role=False)[
        "spec"
    ]["template"]
    templates = {name: rendered[name]["spec"]["template"] for name in (names.API, names.WORKER)} | {"job": job}
    for name, template in templates.items():
        pod, metadata = template["spec"], template["metadata"]
        assert metadata["annotations"] == PODS["annotations"]
        assert metadata["labels"]["sidecar.istio.io/inject"] == "false"
        assert metadata["labels"][names.LABEL_COMPONENT] == {"job": "migrate"}.get(name, name)
        assert (pod["tolerations"], pod["serviceAccountName"]) == (PODS["tolerations"], "payments")
        assert not {"runAsUser", "runAsGroup", "fsGroup"} & set(pod["securityContext"])
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["volumes"][-1]["name"] == pod["containers"][0]["volumeMounts"][-1]["name"] == "ca"
        assert pod["nodeSelector"]["kubernetes.io/arch"] == "arm64"
        assert (pod["nodeSelector"].get("pool"), pod["priorityClassName"]) == (
            ("batch", "low") if name == "job" else (None, "payments")
        )
    assert job["spec"]["containers"][0]["resources"] == {"limits": {"memory": "2Gi"}}
    assert digest(pods=PODS) != digest(pods={}) == digest()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"pods": {"volumes": [{"name": "x", "hostPath": {"path": "/"}}]}}, "spec.pods.volumes[x].hostPath"),
        ({"pods": {"jobs": {"securityContext": {"sysctls": [{}]}}}}, "spec.pods.jobs.securityContext.sysctls"),
        ({"spec": {"hostNetwork": True}}, "hostNetwork"),
        ({"spec": {"hostPID": True}}, "hostPID"),
        ({"spec": {"serviceAccountName": "other"}}, "serviceAccountName"),
        ({"spec": {"automountServiceAccountToken": True}}, "automountServiceAccountToken"),
        ({"spec": {"volumes": [{"name": "x", "hostPath": {}}]}}, "volumes[x].hostPath"),
        ({"spec": {"containers": [{"name": "api", "image": "other"}]}}, "containers[api].image"),
        ({"spec": {"initContainers": [{"name": "x", "image": "o"}]}}, "initContainers[x].image"),
        (
            {"spec": {"containers": [{"name": "api", "securityContext": {"privileged": True}}]}},
            "containers[api].securityContext.privileged",
        ),
        (
            {"spec": {"containers": [{"name": "api", "securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}}}]}},
            "containers[api].securityContext.capabilities.add",
        ),
    ],
)
def test_what_gives_pods_more_rights_is_refused_by_name(change: dict[str, Any], field: str) -> None:
    asked = spec(**change) if "pods" in change else spec(worker={"podTemplate": change})
    where = "" if "pods" in change else "spec.worker.podTemplate.spec."
    assert unsafe_fields(asked) == (where + field,)


def test_harmless_templates_are_taken() -> None:
    template = {"spec": {"priorityClassName": "x", "containers": [{"name": "api", "image": SPEC["image"]}]}}
    assert unsafe_fields(spec(api={"podTemplate": template}, pods=PODS)) == ()


def test_a_refused_spec_is_no_release_and_stops_nothing_that_serves() -> None:
    world = World.serving()
    seen = replace(world.observe(), unsafe=("spec.api.podTemplate.spec.hostNetwork",))
    roles, decision = assign(seen, staged_of(seen)), decide(seen)
    assert (roles.desired, roles.candidate, roles.fresh) == ("", None, False)
    stalled = next(entry for entry in decision.status["conditions"] if entry["type"] == "Stalled")
    assert (stalled["status"], stalled["reason"]) == ("True", "SpecInvalid")
    assert "spec.api.podTemplate.spec.hostNetwork" in stalled["message"]
