"""Names, versions and what catalogues read of the chart."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from collections import Counter
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest
import yaml
from tests.chart.test_render import of_kind
from tests.chart.tools import CHART, documents, helm, pod_specs, render, template

from payment_operator.plugin.verbs.lint import check

if TYPE_CHECKING:
    from pathlib import Path

OPERATED = ("--set", "operator.enabled=true,secrets.existingSecret=s,config.stripeMode=test")
ALONE = ("--set", "operator.enabled=false,secrets.existingSecret=s,config.stripeMode=test")
DIGEST = f"sha256:{'a' * 64}"
SERVICE_NAME = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
LABEL = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")


@pytest.mark.parametrize("mode", [OPERATED, ALONE], ids=["operator", "alone"])
def test_a_version_with_build_metadata_makes_labels_and_tags_that_kubernetes_takes(
    mode: tuple[str, ...], tmp_path: Path
) -> None:
    versions = ["--version", "0.1.0+sha.abc123", "--app-version", "2.0.0+g1234", "-d", str(tmp_path)]
    subprocess.run([str(helm()), "package", str(CHART), *versions], check=True, capture_output=True)
    (package,) = tmp_path.glob("*.tgz")
    manifests = render(*mode, "--set", "image.digest=", chart=package)
    labels = [value for manifest in manifests for value in manifest["metadata"]["labels"].values()]
    assert [value for value in labels if not LABEL.fullmatch(value)] == []
    images = [container["image"] for spec in pod_specs(manifests) for container in spec["containers"]]
    assert images
    assert {image.rpartition(":")[2] for image in images} == {"2.0.0_g1234"}


@pytest.mark.parametrize("name", ["1shop", "my.shop", "Shop", "a-b_c", "9", "-a", "a-", "x" * 41, "a b"])
def test_a_name_that_no_service_could_have_is_refused_by_the_schema(name: str) -> None:
    result = template(*OPERATED, "--set-string", f"fullnameOverride={name}")
    assert "fullnameOverride" in result.stderr
    (environment,) = of_kind(render(*OPERATED), "PaymentEnvironment")
    assert check(environment) == []
    environment["metadata"]["name"] = name
    assert any("a letter first" in str(complaint) for complaint in check(environment))


@pytest.mark.parametrize("release", ["1payments", "pay.ments"])
def test_a_release_that_makes_such_a_name_is_refused_with_the_way_out(release: str) -> None:
    command = [str(helm()), "template", release, str(CHART), *OPERATED]
    result = subprocess.run(command, check=False, capture_output=True, text=True)
    assert f"would be called {release}-lean-payments" in result.stderr
    assert "set fullnameOverride" in result.stderr
    again = subprocess.run([*command, "--set", "fullnameOverride=shop"], check=False, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("secrets.migrationSecret", "shop-migration"),
        ("secrets.existingSecret", "shop-secret-keys"),
        ("secrets.existingSecret", "shop-webhook-secrets"),
        ("database.existingSecret", "shop-database-roles"),
        ("database.existingSecret", "shop-credentials-e98ae3db5b"),
    ],
)
def test_a_secret_with_the_name_of_one_that_the_operator_makes_is_refused(value: str, name: str) -> None:
    called = ("--set", f"fullnameOverride=shop,{value}={name}")
    assert f"{value}={name} is the name of a Secret that the operator makes" in template(*OPERATED, *called).stderr
    assert template(*ALONE, *called).returncode == 0
    assert template(*OPERATED, "--set", f"fullnameOverride=other,{value}={name}").returncode == 0


@pytest.mark.parametrize("release", ["shop", "europus", "eu", "eu-us", "r" * 39, "r" * 53])
@pytest.mark.parametrize("mode", [OPERATED, ALONE], ids=["operator", "alone"])
def test_two_aliases_in_one_release_share_no_name(release: str, mode: tuple[str, ...], tmp_path: Path) -> None:
    dependency = {"name": "lean-payments", "version": "0.1.0"}
    umbrella: dict[str, Any] = {"apiVersion": "v2", "name": "um", "version": "1.0.0"}
    umbrella |= {"dependencies": [dependency | {"alias": alias} for alias in ("eu", "us")]}
    (tmp_path / "Chart.yaml").write_text(json.dumps(umbrella))
    settings = [f"{alias}.{setting}" for alias in ("eu", "us") for setting in mode[1].split(",")]
    shutil.copytree(CHART, tmp_path / "charts" / "lean-payments")
    command = [str(helm()), "template", release, str(tmp_path), "-n", "pay", "--set", ",".join(settings)]
    result = subprocess.run(command, check=False, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    found = documents(result.stdout)
    names = Counter((manifest["kind"], manifest["metadata"]["name"]) for manifest in found)
    assert [name for name, count in names.items() if count > 1] == []
    services = [name for kind, name in names if kind in {"Service", "PaymentEnvironment"}]
    assert all(SERVICE_NAME.fullmatch(name) for name in services)
    assert all(len(name) <= 40 for kind, name in names if kind == "PaymentEnvironment")


def test_a_moving_tag_beside_a_digest_is_taken_for_the_digest_names_the_image() -> None:
    values = f"image.tag=latest,image.digest={DIGEST},operator.image.tag=latest,operator.image.digest={DIGEST}"
    for spec in pod_specs(render(*OPERATED, "--set", values)):
        assert {container["image"].partition("@")[2] for container in spec["containers"]} == {DIGEST}


def test_the_hook_that_argo_cd_runs_before_the_kind_is_there_needs_no_right_to_make_one() -> None:
    """Argo CD runs pre-upgrade hooks before a first sync too, and applies crds/ only then."""
    hooks = [
        manifest
        for manifest in render(*OPERATED)
        if "upgrade" in (manifest["metadata"].get("annotations") or {}).get("helm.sh/hook", "")
    ]
    (job,) = of_kind(hooks, "Job")
    assert job["spec"]["template"]["spec"]["containers"][0]["args"] == ["crd", "--apply", "--existing"]
    rules = [rule for role in of_kind(hooks, "ClusterRole") for rule in role["rules"]]
    assert {verb for rule in rules for verb in rule["verbs"]} == {"get", "patch"}


def test_the_page_says_what_an_uninstall_leaves() -> None:
    page = (CHART.parent / "docs/operations/install.md").read_text()
    said = page.partition("## Uninstall")[2].partition("\n## ")[0]
    database, backup = "database.cloudNativePG.enabled=true", "backup.enabled=true,backup.existingClaim=dumps"
    alone = f"{database},migrations.mode=initContainer"
    left = set()
    for mode, values in ((OPERATED, database), (ALONE, alone), (OPERATED, backup), (ALONE, backup)):
        left |= {manifest["metadata"]["name"] for manifest in render(*mode, "--set", values) if stays(manifest)}
    left |= {yaml.safe_load(path.read_text())["metadata"]["name"] for path in (CHART / "crds").glob("*.yaml")}
    assert len(left) == 3 + len(list((CHART / "crds").glob("*.yaml")))
    assert [name for name in left if name.replace("pay-", "payments-", 1) not in said and name not in said] == []


def test_no_page_upgrades_with_the_former_chart_s_defaults() -> None:
    """`--reuse-values` takes the old chart's defaults for the new one's, which then lack every value that is new."""
    pages = sorted((CHART.parent / "docs").rglob("*.md"))
    upgrades = [line for page in pages for line in page.read_text().splitlines() if "helm upgrade" in line]
    assert [line for line in upgrades if "--reset-then-reuse-values" in line]
    assert [line for line in upgrades if " --reuse-values" in line] == []


def stays(manifest: dict[str, Any]) -> bool:
    notes = manifest["metadata"].get("annotations") or {}
    kept = notes.get("helm.sh/resource-policy") == "keep"
    return kept or ("helm.sh/hook" in notes and "hook-succeeded" not in notes.get("helm.sh/hook-delete-policy", ""))


def metadata() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((CHART / "Chart.yaml").read_text())
    return found


def test_the_catalogue_knows_the_kinds_and_an_example_that_the_api_server_takes() -> None:
    notes = metadata()["annotations"]
    kinds = {
        (crd["spec"]["names"]["kind"], crd["metadata"]["name"], crd["spec"]["versions"][0]["name"])
        for crd in (yaml.safe_load(path.read_text()) for path in (CHART / "crds").glob("*.yaml"))
    }
    listed = yaml.safe_load(notes["artifacthub.io/crds"])
    assert {(entry["kind"], entry["name"], entry["version"]) for entry in listed} == kinds
    assert all(entry["displayName"] and entry["description"] for entry in listed)
    examples = yaml.safe_load(notes["artifacthub.io/crdsExamples"])
    assert [check(example) for example in examples if example["kind"] == "PaymentEnvironment"] == [[]]
    assert notes["artifacthub.io/operator"] == "true"


def test_the_catalogue_lists_every_image_that_the_defaults_run() -> None:
    values = "backup.enabled=true,backup.objectStorage.path=s:x,backup.objectStorage.configSecret=x,image.digest="
    run = {
        container["image"]
        for mode in (OPERATED, ALONE, (*ALONE, "--set", "database.kind=mariadb,secrets.migrationSecret=s"))
        for spec in pod_specs(render(*mode, "--set", values))
        for container in spec["containers"] + spec.get("initContainers", [])
    }
    listed = yaml.safe_load(metadata()["annotations"]["artifacthub.io/images"])
    assert {entry["image"] for entry in listed} == run


def test_the_catalogue_shows_where_from_whom_and_a_picture() -> None:
    found = metadata()
    assert found["home"].startswith("https://")
    assert all(entry["name"] and entry["url"] for entry in found["maintainers"])
    kind, _, picture = found["icon"].partition(",")
    assert kind == "data:image/svg+xml;base64"
    assert ET.fromstring(base64.b64decode(picture)).tag.endswith("svg")
    lint = [str(helm()), "lint", str(CHART), "--strict", *OPERATED]
    linted = subprocess.run(lint, check=False, capture_output=True, text=True)
    assert linted.returncode == 0, linted.stdout
    assert "icon" not in linted.stdout


@pytest.mark.parametrize("mode", [OPERATED, ALONE], ids=["operator", "alone"])
def test_every_container_of_the_service_knows_which_environment_it_is_of(mode: tuple[str, ...]) -> None:
    manifests = render(*mode)
    settings = [
        {entry["name"]: entry.get("value") for entry in container.get("env", [])}
        for spec in pod_specs(manifests)
        for container in spec["containers"]
    ]
    found = [each.get("PAYMENTS_ENVIRONMENT_NAME") for each in settings if "PAYMENTS_STRIPE_MODE" in each]
    assert set(found) == {"billing/pay-lean-payments"}
    for environment in of_kind(manifests, "PaymentEnvironment"):
        assert environment["metadata"]["name"] == "pay-lean-payments", "the operator's pods are of the same one"


def test_a_pod_that_starts_again_migrates_leniently_and_a_release_does_not() -> None:
    for owner in ("", ",secrets.migrationSecret=owner"):
        manifests = render(*ALONE, "--set", f"migrations.mode=initContainer{owner}")
        starting = [spec["initContainers"][0]["command"] for spec in pod_specs(manifests) if "initContainers" in spec]
        assert len(starting) == 2
        assert all("--expand" in " ".join(words) and "--lenient" in " ".join(words) for words in starting)
        assert "--lenient" not in json.dumps(of_kind(render(*ALONE, "--set", f"migrations.mode=hook{owner}"), "Job"))
