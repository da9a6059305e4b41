from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.chart.tools import CHART, pod_specs, render, template

from payment_service.http.addresses import parse_network, too_wide

CASES = sorted((CHART / "ci").glob("*-values.yaml"))
SNAPSHOTS = Path(__file__).parent / "snapshots"
GATEWAY = "httpRoute.enabled=true,httpRoute.parentRefs[0].name=public"
SECRET = ("--set", "secrets.existingSecret=lean-payments")


def of_kind(manifests: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [manifest for manifest in manifests if manifest["kind"] == kind]


def compare(name: str, manifests: list[dict[str, Any]]) -> None:
    """UPDATE_SNAPSHOTS=1 writes them anew."""
    text = yaml.safe_dump_all(manifests, sort_keys=True, width=120)
    kept = SNAPSHOTS / f"{name}.yaml"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        kept.parent.mkdir(exist_ok=True)
        kept.write_text(text)
    assert text == kept.read_text(), "rendered otherwise than before; if wanted: UPDATE_SNAPSHOTS=1"


def test_the_defaults_render_as_before() -> None:
    compare("defaults", render(*SECRET))


@pytest.mark.parametrize("values", CASES, ids=lambda path: path.stem)
def test_each_value_set_renders_as_before(values: Path) -> None:
    compare(values.stem, render("--values", str(values)))


def test_there_are_at_least_six_value_sets() -> None:
    assert len(CASES) >= 6


def test_rendering_twice_gives_the_same() -> None:
    assert template(*SECRET).stdout == template(*SECRET).stdout


@pytest.mark.parametrize("values", CASES, ids=lambda path: path.stem)
def test_every_pod_satisfies_the_restricted_level(values: Path) -> None:
    for spec in pod_specs(render("--values", str(values))):
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        own = spec["containers"][0]["name"]
        assert spec["automountServiceAccountToken"] is (own == "operator")
        for container in spec["containers"] + spec.get("initContainers", []):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["requests"]
            assert container["resources"]["limits"]["memory"]


def test_an_autoscaled_deployment_states_no_replicas() -> None:
    assert all("replicas" not in deployment["spec"] for deployment in of_kind(render(*SECRET), "Deployment"))


def test_without_autoscaling_the_replicas_stand_in_the_deployment() -> None:
    manifests = render(*SECRET, "--set", "api.autoscaling.enabled=false,worker.autoscaling.enabled=false")
    assert [deployment["spec"]["replicas"] for deployment in of_kind(manifests, "Deployment")] == [3, 2]
    assert not of_kind(manifests, "HorizontalPodAutoscaler")


def test_pods_drain_before_they_stop_and_none_is_missing_during_a_rollout() -> None:
    for deployment in of_kind(render(*SECRET), "Deployment"):
        assert deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        hook = {"preStop": {"exec": {"command": ["payments", "drain"]}}} if container["name"] == "api" else None
        assert container.get("lifecycle") == hook


def test_secrets_reach_pods_as_files_only() -> None:
    for spec in pod_specs(render(*SECRET)):
        for container in spec["containers"]:
            assert not [entry for entry in container.get("env", []) if "valueFrom" in entry]
            assert "envFrom" not in container


def test_the_migration_needs_nothing_of_the_release_and_runs_expand_only() -> None:
    (job,) = of_kind(render(*SECRET), "Job")
    (contract,) = of_kind(render(*SECRET), "CronJob")
    assert contract["spec"]["suspend"] is True
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    spec = job["spec"]["template"]["spec"]
    assert "serviceAccountName" not in spec
    assert spec["containers"][0]["command"] == ["payments", "migrate", "--expand"]


def test_selectors_carry_no_version() -> None:
    for deployment in of_kind(render(*SECRET), "Deployment"):
        assert not {"app.kubernetes.io/version", "helm.sh/chart"} & set(deployment["spec"]["selector"]["matchLabels"])


def test_the_digest_wins_over_the_tag() -> None:
    digest = "sha256:" + "a" * 64
    manifests = render(*SECRET, "--set", f"image.digest={digest},image.tag=v9")
    assert {c["image"] for s in pod_specs(manifests) for c in s["containers"]} == {f"lean-payments/service@{digest}"}


def test_it_renders_as_a_subchart(tmp_path: Path) -> None:
    umbrella = {"apiVersion": "v2", "name": "umbrella", "version": "1.0.0"}
    dependency = {"name": "lean-payments", "version": "0.1.0", "condition": "lean-payments.enabled"}
    (tmp_path / "Chart.yaml").write_text(json.dumps(umbrella | {"dependencies": [dependency]}))
    child = {"enabled": True, "secrets": {"existingSecret": "s"}, "operator": {"enabled": False}}
    child["config"] = {"stripeMode": "test"}
    (tmp_path / "values.yaml").write_text(json.dumps({"global": {"region": "eu"}, "lean-payments": child}))
    shutil.copytree(CHART, tmp_path / "charts" / "lean-payments")
    assert of_kind(render(chart=tmp_path), "Deployment")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("apii.replicas=2", "apii"),
        ("config.stripeMode=real", "stripeMode"),
        ("image.digest=sha256:12", "digest"),
        ("api.replicas=many", "replicas"),
        ("operator.replicas=0", "operator"),
    ],
)
def test_the_schema_refuses_a_wrong_value(setting: str, message: str) -> None:
    result = template(*SECRET, "--set", setting)
    assert result.returncode != 0
    assert message in result.stderr


def test_every_mistake_is_reported_at_once_with_its_fix() -> None:
    result = template("--set", "ingress.enabled=true,backup.enabled=true,api.autoscaling.minReplicas=99")
    assert result.returncode != 0
    parts = ("6 problem(s)", "kubectl -n billing create secret", "ingress.host", "existingClaim", "maxReplicas")
    for part in (*parts, "config.trustedProxies", "backup.image"):
        assert part in result.stderr


def refused(*arguments: str) -> str:
    """Return the chart's complaint."""
    result = template(*SECRET, *arguments)
    assert result.returncode != 0
    return result.stderr


@pytest.mark.parametrize(
    "way", ["ingress.enabled=true,ingress.host=pay.example.com", GATEWAY], ids=["Ingress", "Gateway"]
)
def test_a_way_in_without_trusted_proxies_is_refused_with_the_fix(way: str) -> None:
    message = refused("--set", way)
    assert "1 problem(s)" in message
    for part in ("config.trustedProxies is empty", "the pod network", "docs/operations/install.md"):
        assert part in message
    assert refused("--set", way, "--set-json", 'config.trustedProxies=[""]') == message
    assert render(*SECRET, "--set", way, "--set", "config.trustedProxies={10.244.0.0/16}")
    assert not [network for network in NARROW if too_wide(parse_network(network))]
    assert render(*SECRET, "--set", way, "--set-json", f"config.trustedProxies={json.dumps(NARROW)}")


NARROW = ["10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "130.211.0.0/22"]
NARROW += ["192.0.2.1", "fd00::/8", "2606:4700::/32", "2001:db8::1", "::1"]
WIDE = ["0.0.0.0/0", "::/0", "0::0/0", "128.0.0.0/1", "10.0.0.0/7", "52.0.0.0/8", "2000::/3", "::ffff:0:0/96"]


@pytest.mark.parametrize("network", WIDE)
@pytest.mark.parametrize("mode", ["operator.enabled=false", "operator.enabled=true,config.stripeMode=test"])
def test_a_network_that_is_everybody_s_is_not_trusted(network: str, mode: str) -> None:
    assert too_wide(parse_network(network))
    message = refused("--set", mode, "--set-json", f'config.trustedProxies=["10.244.0.0/16","{network}"]')
    assert "1 problem(s)" in message
    assert f"config.trustedProxies: {network} trusts everybody" in message
    assert "docs/operations/install.md" in message


def test_the_mode_has_one_source_so_that_what_live_mode_asks_for_is_checked() -> None:
    message = refused("--set", "config.stripeMode=test,image.digest=", "--set-json", LIVE_BY_VARIABLE)
    assert "extraEnv holds PAYMENTS_STRIPE_MODE" in message
    assert "config.stripeMode" in message


LIVE_BY_VARIABLE = 'extraEnv=[{"name":"PAYMENTS_STRIPE_MODE","value":"live"}]'
BACKUP = "backup.enabled=true,backup.existingClaim=dumps"
OBJECTS = "backup.enabled=true,backup.objectStorage.path=store:x,backup.objectStorage.configSecret=store"
CNPG = "database.cloudNativePG.enabled=true,migrations.mode=initContainer"
OPERATED = "operator.enabled=true"
PIN = f"@sha256:{'3' * 64}"


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ("image.digest=", ["image.digest"]),
        (OPERATED, ["operator.image.digest"]),
        (f"{OPERATED},image.digest=", ["image.digest", "operator.image.digest"]),
        (BACKUP, ["backup.image"]),
        (f"{BACKUP},backup.image=postgres:18", ["backup.image"]),
        (f"{BACKUP},backup.image=postgres:18@sha256:12", ["backup.image"]),
        (OBJECTS, ["backup.image", "backup.objectStorage.image"]),
        (f"{OBJECTS},backup.image=postgres:18{PIN}", ["backup.objectStorage.image"]),
        (CNPG, ["database.cloudNativePG.imageName"]),
        (f"{CNPG},database.cloudNativePG.imageName=ghcr.io/x/postgresql:18", ["database.cloudNativePG.imageName"]),
        (f"{OPERATED},image.digest=,operator.spec.stripe.mode=Live,config.stripeMode=test", None),
        (f"{OPERATED},operator.image.digest={PIN[1:]},operator.spec.image=other:1", ["operator.spec.image"]),
    ],
)
def test_an_image_that_could_change_is_refused_in_live_mode(values: str, names: list[str] | None) -> None:
    message = refused("--set", values)
    names = names or ["image.digest", "operator.image.digest"]
    assert f"{len(names)} problem(s)" in message
    for name in names:
        assert f"- {name}" in message
        assert f"set {name}=" in message
    assert "docker buildx imagetools inspect" in message


@pytest.mark.parametrize("values", ["image.digest=", f"{OPERATED},image.digest=", BACKUP, OBJECTS, CNPG])
def test_test_mode_takes_tags(values: str) -> None:
    for spec in pod_specs(render(*SECRET, "--set", "config.stripeMode=test", "--set", values)):
        for container in spec["containers"] + spec.get("initContainers", []):
            assert re.search(":[0-9][^:/]*$|@sha256:[0-9a-f]{64}$", container["image"])


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ("image.tag=latest,image.digest=,config.stripeMode=test", "image.tag=latest"),
        (f"{OPERATED},operator.image.tag=latest,config.stripeMode=test", "operator.image.tag=latest"),
        (f"{BACKUP},backup.image=postgres:latest,config.stripeMode=test", "backup.image=postgres:latest"),
        (f"{BACKUP},backup.image=registry:5000/postgres,config.stripeMode=test", "backup.image=registry:5000/postgres"),
    ],
)
def test_a_name_that_moves_is_refused_in_every_mode(values: str, name: str) -> None:
    assert f"{name} can change without a release" in refused("--set", values)


@pytest.mark.parametrize("values", CASES, ids=lambda path: path.stem)
def test_every_image_of_a_live_value_set_is_named_by_digest(values: Path) -> None:
    live = "stripeMode: test" not in values.read_text()
    manifests = render("--values", str(values))
    images = [c["image"] for s in pod_specs(manifests) for c in s["containers"] + s.get("initContainers", [])]
    images += [cluster["spec"]["imageName"] for cluster in of_kind(manifests, "Cluster")]
    assert [image for image in images if live and not re.search("@sha256:[0-9a-f]{64}$", image)] == []


def test_the_object_storages_secret_is_not_the_services_own() -> None:
    message = refused("--set", f"{OBJECTS},backup.objectStorage.configSecret=lean-payments,config.stripeMode=test")
    assert "a third-party image gets all of it" in message


def test_backups_reach_the_database_and_only_with_object_storage_anything_else() -> None:
    for values, ports in ((BACKUP, {53, 5432}), (OBJECTS, {53, 5432, 443})):
        manifests = render(*SECRET, "--set", f"{values},config.stripeMode=test")
        policies = {policy["metadata"]["name"]: policy["spec"] for policy in of_kind(manifests, "NetworkPolicy")}
        own = policies["pay-lean-payments-backup"]
        assert {port["port"] for rule in own["egress"] for port in rule["ports"]} == ports
        assert own["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "backup"
        (other,) = policies["pay-lean-payments"]["podSelector"]["matchExpressions"]
        assert (other["operator"], other["values"]) == ("NotIn", ["backup"])
