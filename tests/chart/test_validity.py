"""Every rendered manifest against Kubernetes' own schemas and those of the CRDs, and kube-score's opinion."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest
import yaml
from tests.chart.test_render import CASES, SECRET
from tests.chart.tools import render
from tests.cluster.node import programs
from tests.cluster.schemas.store import VERSIONS, check
from tests.requirements import require

if TYPE_CHECKING:
    from pathlib import Path

SETS = [None, *CASES]
WITHOUT_FINDING = 7
EXPLAINED = {
    "container-image-pull-policy": "tags do not move and a digest may be set; Always makes a registry's outage ours",
    "container-resources": "a CPU limit throttles a pod that could use an idle core; memory is limited",
    "container-security-context-user-group-id": "backup runs as the user of PostgreSQL's image",
    "deployment-has-host-podantiaffinity": "topologySpreadConstraints spread the pods over nodes and zones",
    "deployment-has-poddisruptionbudget": "the operator has one replica: another starts when it is evicted",
    "deployment-replicas": "one worker is the choice of the value set staging, one operator its design",
    "ingress-targets-service": "in operator mode the operator writes the Service",
    "networkpolicy-targets-pod": "in operator mode the operator writes the pods",
    "pod-networkpolicy": "networkPolicy.enabled=false is a value set's choice; the operator must reach the API server",
    "pod-probes": "the pod of helm test runs once and serves nobody",
}


def arguments(values: Path | None) -> tuple[str, ...]:
    return ("--values", str(values)) if values else SECRET


@pytest.mark.parametrize("values", SETS, ids=lambda path: path.stem if path else "defaults")
@pytest.mark.parametrize("version", VERSIONS)
def test_every_manifest_is_valid(version: str, values: Path | None) -> None:
    require(programs.path("kubeconform").exists(), what="kubeconform", command="make cluster-tools")
    assert check(render(*arguments(values), "--kube-version", version), version=version) == []


def test_a_wrong_field_is_found() -> None:
    require(programs.path("kubeconform").exists(), what="kubeconform", command="make cluster-tools")
    wrong = ("--set-json", 'extraVolumes=[{"name":"data","emptydir":{}}]')
    assert any("emptydir" in problem for problem in check(render(*SECRET, *wrong), version=VERSIONS[0]))


def findings(values: Path | None) -> dict[str, list[str]]:
    """Return what kube-score complains of, by the name of its check."""
    program = programs.path("kube-score")
    require(program.exists(), what="kube-score", command="make cluster-tools")
    command = [str(program), "score", "--output-format", "json", "-"]
    text = yaml.safe_dump_all(render(*arguments(values)))
    done = subprocess.run(command, check=False, capture_output=True, text=True, input=text)
    found: dict[str, list[str]] = {}
    for scored in json.loads(done.stdout):
        for item in scored["checks"]:
            if not item["skipped"] and item["grade"] < WITHOUT_FINDING:
                found.setdefault(item["check"]["id"], []).append(scored["object_name"])
    return found


def test_kube_score_finds_nothing_unexplained() -> None:
    found: dict[str, list[str]] = {}
    for values in SETS:
        found |= findings(values)
    assert {name: objects for name, objects in found.items() if name not in EXPLAINED} == {}
    assert set(EXPLAINED) <= set(found), "explained, but no longer found"
