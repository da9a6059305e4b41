"""The chart's operator mode: what it renders, with which rights, and what it leaves to the operator."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
import yaml
from tests.chart.test_render import of_kind
from tests.chart.tools import CHART, render, template

from payment_operator.api.crd import crd_manifests, crd_yaml
from payment_operator.api.environment import Environment
from payment_operator.plugin.verbs.lint import check

DIGEST = f"image.digest=sha256:{'0' * 64}"
MODE = ("--set", f"secrets.existingSecret=lean-payments,operator.enabled=true,{DIGEST},operator.{DIGEST}")
DEFAULTS = yaml.safe_load((CHART / "values.yaml").read_text())
VALUES = ("--values", str(CHART / "ci/operator-values.yaml"))
OWNED = {
    "Job",
    "CronJob",
    "HorizontalPodAutoscaler",
    "PodDisruptionBudget",
}
"""Kinds that the operator writes; the CRD's Job aside, the chart renders none of them."""


def test_the_operator_is_the_default() -> None:
    assert DEFAULTS["operator"]["enabled"] is True


def environment(*arguments: str) -> dict[str, Any]:
    (found,) = of_kind(render(*arguments), "PaymentEnvironment")
    return found


@pytest.mark.parametrize("arguments", [MODE, VALUES], ids=["defaults", "ci"])
def test_the_environment_is_one_that_the_api_server_takes(arguments: tuple[str, ...]) -> None:
    assert check(environment(*arguments)) == []


@pytest.mark.parametrize("arguments", [MODE, VALUES], ids=["defaults", "ci"])
def test_the_operators_objects_are_left_to_the_operator(arguments: tuple[str, ...]) -> None:
    manifests = render(*arguments)
    assert not [entry["metadata"]["name"] for entry in manifests if entry["kind"] in OWNED and not hook(entry)]
    names = {entry["metadata"]["name"] for entry in manifests if entry["kind"] in {"Deployment", "Service"}}
    assert names == {"pay-lean-payments-operator"}


def hook(manifest: dict[str, Any]) -> str:
    annotations = manifest["metadata"].get("annotations") or {}
    return str(annotations.get("helm.sh/hook", ""))


def test_values_mean_the_same_in_both_modes() -> None:
    spec = msgspec.convert(environment(*VALUES)["spec"], Environment)
    assert spec.stripe.mode == "Live"
    assert spec.stripe.webhook.url == "https://pay.example.com/api/v1/webhooks/stripe"
    assert spec.database.migration_url_secret_ref is not None
    assert spec.database.migration_url_secret_ref.name == "lean-payments-owner"
    assert spec.autoscaling is not None
    assert (spec.autoscaling.min_replicas, spec.autoscaling.max_replicas) == (3, 12)
    assert spec.worker.autoscaling is None
    assert spec.worker.replicas == 2
    assert spec.api.config["PAYMENTS_TRUSTED_PROXIES"] == "10.0.0.0/8"
    assert (spec.pods.api.node_selector, spec.pods.worker.node_selector) == ({"disk": "fast"}, {})
    assert spec.pods.volumes == [{"name": "authority", "configMap": {"name": "authority"}}]
    assert spec.pods.service_account_name == "pay-lean-payments"
    assert spec.pods.jobs.resources["limits"] == {"memory": "256Mi", "ephemeral-storage": "128Mi"}


FAMILIES = "service.ipFamilyPolicy=RequireDualStack,service.ipFamilies={IPv6,IPv4}"


def test_services_are_dual_stack_in_both_modes_where_the_values_say_so() -> None:
    asked = {"ipFamilyPolicy": "RequireDualStack", "ipFamilies": ["IPv6", "IPv4"]}
    services = of_kind(render(*MODE, "--set", FAMILIES), "Service")
    services += of_kind(render("--set", "secrets.existingSecret=s", "--set", FAMILIES), "Service")
    assert len(services) == 3
    for service in services:
        assert {name: service["spec"][name] for name in asked} == asked
    assert check(environment(*MODE, "--set", FAMILIES)) == []
    spec = msgspec.convert(environment(*MODE, "--set", FAMILIES)["spec"], Environment)
    assert (spec.service.ip_family_policy, spec.service.ip_families) == ("RequireDualStack", ["IPv6", "IPv4"])


@pytest.mark.parametrize("mode", [MODE, ("--set", "secrets.existingSecret=s")], ids=["operator", "alone"])
def test_two_families_need_a_policy_of_two(mode: tuple[str, ...]) -> None:
    result = template(*mode, "--set", "service.ipFamilies={IPv6,IPv4}")
    assert "service.ipFamilies names two: set service.ipFamilyPolicy" in result.stderr
    written = environment(*MODE)
    for service in (
        {"ipFamilies": ["IPv6", "IPv4"]},
        {"ipFamilies": ["IPv4", "IPv4"], "ipFamilyPolicy": "SingleStack"},
    ):
        complaints = check(written | {"spec": written["spec"] | {"service": service}})
        assert any("spec.service.ipFamilies names two" in str(complaint) for complaint in complaints)


def test_the_overlay_wins_over_what_the_values_make() -> None:
    spec = environment(*VALUES)["spec"]
    assert spec["release"] == {"promotion": "Manual", "bake": {"seconds": 600}, "drainSeconds": 5}


def test_replicas_are_absent_where_an_autoscaler_owns_them() -> None:
    assert "replicas" not in environment(*MODE)["spec"]
    fixed = environment(*MODE, "--set", "api.autoscaling.enabled=false")["spec"]
    assert fixed["replicas"] == 3
    assert fixed["autoscaling"] == {"mode": "Disabled"}


def test_people_pause_releases_so_the_chart_never_states_suspend() -> None:
    assert "suspend" not in environment(*VALUES)["spec"]


def test_cloudnativepg_needs_no_other_migration_mode_with_the_operator() -> None:
    values = f"database.cloudNativePG.enabled=true,database.cloudNativePG.imageName=postgresql:18@sha256:{'1' * 64}"
    reference = environment(*MODE, "--set", values)["spec"]["database"]["urlSecretRef"]
    assert reference == {"name": "pay-lean-payments-db-app", "key": "uri"}


def test_the_operator_has_the_rights_of_the_contract_in_its_namespace_only() -> None:
    manifests = render(*MODE)
    assert not [role for role in of_kind(manifests, "ClusterRole") if not hook(role) and not people_s(role)]
    rules = [rule for role in of_kind(manifests, "Role") for rule in role["rules"]]
    granted = {
        (group, kind): set(rule["verbs"]) for rule in rules for group in rule["apiGroups"] for kind in rule["resources"]
    }
    assert "*" not in str(rules)
    assert granted[("payments.leanconstruction.io", "paymentenvironments")] == {"get", "list", "watch"}
    requests = granted[("payments.leanconstruction.io", "environmentrequests")]
    assert requests == {"get", "list", "watch", "patch", "delete"}
    assert granted[("", "pods")] == {"get", "list", "watch"}
    assert granted[("", "events")] == {"list", "create"}
    args = of_kind(manifests, "Deployment")[0]["spec"]["template"]["spec"]["containers"][0]["args"]
    assert "--namespace=billing" in args


def people_s(role: dict[str, Any]) -> bool:
    return bool(role["metadata"]["name"].endswith(("-viewer", "-releaser", "-editor")))


def test_cluster_wide_it_has_the_same_rights_everywhere_and_its_lease_at_home() -> None:
    manifests = render(*VALUES)
    (wide,) = [role for role in of_kind(manifests, "ClusterRole") if not hook(role) and not people_s(role)]
    (narrow,) = [role for role in of_kind(render(*MODE), "Role") if not role["metadata"]["name"].endswith("-lease")]
    assert wide["rules"] == narrow["rules"]
    (lease,) = of_kind(manifests, "Role")
    assert [rule["resources"] for rule in lease["rules"]] == [["leases"]]
    args = of_kind(manifests, "Deployment")[0]["spec"]["template"]["spec"]["containers"][0]["args"]
    assert not [argument for argument in args if argument.startswith("--namespace")]


def test_the_kinds_lie_where_helm_installs_them_and_are_never_hooks() -> None:
    found = {path.name.partition(".")[0]: path.read_text() for path in (CHART / "crds").glob("*.yaml")}
    assert found == {plural: crd_yaml(plural) for plural in crd_manifests()}
    assert not of_kind(render(*MODE), "CustomResourceDefinition")


def test_an_upgrade_brings_the_kinds_with_rights_for_these_only() -> None:
    manifests = render(*MODE)
    (job,) = of_kind(manifests, "Job")
    assert hook(job) == "pre-upgrade"
    assert job["spec"]["template"]["spec"]["containers"][0]["args"] == ["crd", "--apply", "--existing"]
    (role,) = [role for role in of_kind(manifests, "ClusterRole") if hook(role)]
    (rule,) = role["rules"]
    assert rule["resourceNames"] == [f"{plural}.payments.leanconstruction.io" for plural in crd_manifests()]
    assert rule["verbs"] == ["get", "patch"]
    weights = {
        entry["kind"]: int(entry["metadata"]["annotations"]["helm.sh/hook-weight"])
        for entry in manifests
        if hook(entry) == "pre-upgrade"
    }
    assert weights["Job"] > max(weight for kind, weight in weights.items() if kind != "Job")
    assert not of_kind(render(*MODE, "--set", "operator.upgradeCRD=false"), "Job")


def test_a_second_release_may_leave_the_operator_to_the_first() -> None:
    manifests = render(*MODE, "--set", "operator.install=false")
    assert of_kind(manifests, "PaymentEnvironment")
    assert not [entry for kind in ("Deployment", "Role", "Job") for entry in of_kind(manifests, kind)]
    policies = {policy["metadata"]["name"]: policy for policy in of_kind(manifests, "NetworkPolicy")}
    sources = [source for rule in policies["pay-lean-payments"]["spec"]["ingress"] for source in rule["from"]]
    assert any(source.get("namespaceSelector") == {} and "podSelector" in source for source in sources)


def test_the_policy_of_the_environment_does_not_hold_for_the_operator() -> None:
    manifests = render(*MODE)
    labels = of_kind(manifests, "Deployment")[0]["spec"]["template"]["metadata"]["labels"]
    policies = {policy["metadata"]["name"]: policy["spec"] for policy in of_kind(manifests, "NetworkPolicy")}
    assert not policies["pay-lean-payments"]["podSelector"]["matchLabels"].items() <= labels.items()
    own = policies["pay-lean-payments-operator"]
    assert own["podSelector"]["matchLabels"].items() <= labels.items()
    assert own["policyTypes"] == ["Ingress"]


def test_who_may_release_may_not_edit() -> None:
    found = {role["metadata"]["name"]: role for role in of_kind(render(*MODE), "ClusterRole") if people_s(role)}
    roles = {name.rpartition("-")[2]: role for name, role in found.items()}
    assert set(roles) == {"viewer", "releaser", "editor"}
    assert all(name.startswith("billing-pay-lean-payments-operator-") for name in found)
    group = "payments.leanconstruction.io"
    ours = {
        (name, kind): set(rule["verbs"])
        for name, role in roles.items()
        for rule in role["rules"]
        if group in rule["apiGroups"]
        for kind in rule["resources"]
    }
    look = {"get", "list", "watch"}
    assert ours["viewer", "paymentenvironments"] == ours["releaser", "paymentenvironments"] == look
    assert ours["viewer", "environmentrequests"] == look
    assert "create" in ours["releaser", "environmentrequests"] | ours["editor", "environmentrequests"]
    assert "patch" in ours["editor", "paymentenvironments"]
    label = "rbac.authorization.k8s.io/aggregate-to-"
    joined = {name: [key for key in role["metadata"]["labels"] if label in key] for name, role in roles.items()}
    assert joined == {"viewer": [f"{label}view"], "releaser": [], "editor": [f"{label}edit"]}
    assert not of_kind(render(*MODE, "--set", "operator.userRoles=false,operator.upgradeCRD=false"), "ClusterRole")


@pytest.mark.parametrize("wide", [False, True])
def test_a_policy_vouches_for_who_asks_only_where_it_is_asked_for(*, wide: bool) -> None:
    values = VALUES if wide else MODE
    kinds = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
    assert not [entry for kind in kinds for entry in of_kind(render(*values), kind)]
    manifests = render(*values, "--set", "operator.verifyRequesters=true")
    (policy,), (binding,) = (of_kind(manifests, kind) for kind in kinds)
    name = policy["metadata"]["name"]
    assert binding["spec"]["policyName"] == name
    assert (policy["spec"]["failurePolicy"], binding["spec"]["validationActions"]) == ("Fail", ["Deny"])
    (rule,) = policy["spec"]["validations"]
    assert "object.spec.by == request.userInfo.username" in rule["expression"]
    namespaces = {"matchLabels": {"kubernetes.io/metadata.name": "billing"}}
    assert binding["spec"].get("matchResources", {}).get("namespaceSelector") == (None if wide else namespaces)
    (role,) = [entry for entry in of_kind(manifests, "ClusterRole") if entry["metadata"]["name"] == name]
    assert role["rules"][0]["resourceNames"] == [name]
    args = of_kind(manifests, "Deployment")[0]["spec"]["template"]["spec"]["containers"][0]["args"]
    assert f"--request-policy={name}" in args


CLASHES = {
    "secrets.existingSecret": "Secret pay-lean-payments-secret-keys",
    "secrets.migrationSecret": "Secret pay-lean-payments-migration",
    "database.existingSecret": "Secret pay-lean-payments-database-roles",
    "webhookEndpoints.existingSecret": "Secret pay-lean-payments-webhook-signing-keys",
    "database.ca.secret": "Secret pay-lean-payments-webhook-secrets",
    "database.ca.configMap": "ConfigMap pay-lean-payments-worker",
    "database.cloudNativePG.backup.credentialsSecret": "Secret pay-lean-payments-credentials-0123456789",
    "backup.objectStorage.configSecret": "Secret pay-lean-payments-migration",
    "ingress.tlsSecret": "Secret pay-lean-payments-webhook-secrets",
    "operator.spec.secretKeyRef.name": "Secret pay-lean-payments-secret-keys",
    "operator.spec.redis.urlSecretRef.name": "Secret pay-lean-payments-secret-keys",
    "operator.spec.stripe.webhook.secretRef.name": "Secret pay-lean-payments-webhook-secrets",
    "operator.spec.database.rotation.adminSecretRef.name": "Secret pay-lean-payments-database-roles",
}


@pytest.mark.parametrize(("value", "taken"), CLASHES.items())
def test_a_name_that_is_the_operators_own_is_refused_with_the_value(value: str, taken: str) -> None:
    kind, _, name = taken.partition(" ")
    result = template(*MODE, "--set", f"{value}={name}")
    assert result.returncode != 0
    assert f"{value}={name} is the name of a {kind} that the operator makes" in result.stderr
    assert template(*MODE, "--set", f"{value}=other-{name}").returncode == 0
    alone = template("--set", f"operator.enabled=false,secrets.existingSecret=s,config.stripeMode=test,{value}={name}")
    assert alone.returncode == 0, "there is nobody who would keep it"


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("Service", "api"),
        ("Service", "api-preview"),
        ("Service", "metrics"),
        ("HorizontalPodAutoscaler", "worker"),
        ("ConfigMap", "worker"),
        ("Secret", "credentials-0123456789"),
        ("Deployment", "api-0123abcd"),
        ("PodDisruptionBudget", "worker-0123abcd"),
        ("Job", "plan-0123abcd-a1"),
        ("ControllerRevision", "0123abcd"),
    ],
)
def test_an_object_of_ones_own_under_a_name_of_the_operators_is_refused(kind: str, name: str) -> None:
    written = {"kind": kind, "metadata": {"name": f"{{{{ .Release.Name }}}}-lean-payments-{name}"}}
    result = template(*MODE, "--set-json", f"extraObjects={json.dumps([{'kind': 'Secret'}, written])}")
    assert f"extraObjects[1].metadata.name=pay-lean-payments-{name} is the name of a {kind}" in result.stderr
    other = {"kind": kind, "metadata": {"name": f"pay-lean-payments-{name}-of-mine"}}
    assert template(*MODE, "--set-json", f"extraObjects={json.dumps([other])}").returncode == 0


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("image.digest=", "set image.digest=sha256:…, or config.stripeMode=test"),
        ("worker.keda.enabled=true", "use worker.autoscaling"),
        ("api.pdb.enabled=false", "api.pdb.enabled: the operator keeps"),
        ("worker.pdb.maxUnavailable=30%", "worker.pdb.maxUnavailable: the operator keeps"),
        ("migrations.mode=initContainer", "leave it at hook, or set none"),
    ],
)
def test_what_the_operator_cannot_do_is_refused_with_the_fix(setting: str, message: str) -> None:
    result = template(*MODE, "--set", setting)
    assert result.returncode != 0
    assert message in result.stderr


def test_manifests_hold_no_duplicate_keys() -> None:
    class Strict(yaml.SafeLoader):
        pass

    def mapping(loader: Strict, node: yaml.MappingNode) -> dict[Any, Any]:
        keys = [loader.construct_object(key) for key, _ in node.value]
        assert len(keys) == len(set(keys)), keys
        return {
            key: loader.construct_object(value, deep=True) for key, (_, value) in zip(keys, node.value, strict=True)
        }

    Strict.add_constructor("tag:yaml.org,2002:map", mapping)
    assert list(yaml.load_all(template(*VALUES).stdout, Loader=Strict))
