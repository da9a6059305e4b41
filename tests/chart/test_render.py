from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.chart.tools import CHART, pod_specs, render, template

CASES = sorted((CHART / "ci").glob("*-values.yaml"))
SNAPSHOTS = Path(__file__).parent / "snapshots"
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
        assert container["lifecycle"]["preStop"] == {"httpGet": {"path": "/drain", "port": "admin"}}


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
    for part in ("4 problem(s)", "kubectl -n billing create secret", "ingress.host", "existingClaim", "maxReplicas"):
        assert part in result.stderr
