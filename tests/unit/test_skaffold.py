"""What skaffold.yaml and the kind configuration name exists: skaffold itself is not run here."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from tests.cluster.images.recipes import recipes

ROOT = Path(__file__).parents[2]
KIND = ROOT / "k8s/kind"
_TEMPLATE = re.compile(r"\{\{\.IMAGE_(?:REPO|TAG)_([a-z0-9_]+)\}\}")


@cache
def configurations() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((ROOT / "skaffold.yaml").read_text()))


def artifacts() -> dict[str, dict[str, Any]]:
    return {item["image"]: item for part in configurations() for item in part["build"]["artifacts"]}


def manifests() -> list[Path]:
    return [ROOT / path for part in configurations() for path in part.get("manifests", {}).get("rawYaml", ())]


def releases() -> list[dict[str, Any]]:
    return [item for part in configurations() for item in part["deploy"].get("helm", {}).get("releases", ())]


def documents() -> list[dict[str, Any]]:
    return [item for path in manifests() for item in yaml.safe_load_all(path.read_text())]


def value(dotted: str) -> Any:
    found: Any = yaml.safe_load((ROOT / "chart/values.yaml").read_text())
    for key in dotted.split("."):
        found = found[key]
    return found


def leaves(values: dict[str, Any], *, below: str = "") -> list[str]:
    """The dotted names of the values that a file sets; a map that the chart leaves open counts as one."""
    names = []
    for key, item in values.items():
        if "/" in key:  # a label's name
            continue
        name = f"{below}{key}"
        known = value(name)
        names += (
            leaves(item, below=f"{name}.") if isinstance(item, dict) and isinstance(known, dict) and known else [name]
        )
    return names


def test_every_file_and_folder_exists() -> None:
    named = [*manifests(), *(ROOT / release["chartPath"] / "Chart.yaml" for release in releases())]
    named += [ROOT / path for release in releases() for path in release["valuesFiles"]]
    for artifact in artifacts().values():
        context = ROOT / artifact.get("context", ".")
        named += [context / artifact["docker"]["dockerfile"]] if "docker" in artifact else []
        named += [context / path for path in artifact.get("custom", {}).get("dependencies", {}).get("paths", ())]
    assert len(named) > 10
    assert [path for path in named if not path.exists()] == []


def test_every_target_of_a_dockerfile_exists() -> None:
    docker = [artifact["docker"] for artifact in artifacts().values() if "docker" in artifact]
    assert len(docker) == 3
    for build in docker:
        assert f" AS {build['target']}\n" in (ROOT / build["dockerfile"]).read_text()


def test_custom_builds_call_a_target_of_make_with_an_image_that_there_is() -> None:
    commands = [artifact["custom"]["buildCommand"] for artifact in artifacts().values() if "custom" in artifact]
    assert len(commands) == 2
    for command in commands:
        target, short = re.fullmatch(r'make --no-print-directory (\S+) SHORT=(\w+) NAME="\$IMAGE"', command).groups()  # type: ignore[union-attr]
        assert f"\n{target}: " in (ROOT / "tests/cluster/cluster.mk").read_text()
        assert short in recipes()


def test_the_manifests_use_just_the_images_that_are_built() -> None:
    used = set(re.findall(r"image: (\S+):dev\n", "".join(path.read_text() for path in manifests())))
    built = set(artifacts())
    from_chart = {"localhost/payments-service", "localhost/payments-operator"}
    assert used <= built
    assert built == used | from_chart


def test_every_chart_value_exists_and_every_image_in_a_template_is_built() -> None:
    variables = {re.sub(r"[^a-z0-9]", "_", image) for image in artifacts()}
    (release,) = releases()
    for name, template in release["setValueTemplates"].items():
        assert value(name) is not None
        (image,) = _TEMPLATE.fullmatch(template).groups()  # type: ignore[union-attr]
        assert image in variables
    for path in release["valuesFiles"]:
        assert len(leaves(yaml.safe_load((ROOT / path).read_text()))) > 5  # a KeyError names what the chart lacks


def test_the_configurations_are_deployed_in_an_order_that_they_name() -> None:
    names = [part["metadata"]["name"] for part in configurations()]
    wanted = [name for part in configurations() for need in part.get("requires", ()) for name in need["configs"]]
    assert wanted == ["servers"]
    assert set(wanted) <= set(names)


def test_everything_goes_to_the_namespace_that_is_made() -> None:
    made = [item["metadata"]["name"] for item in documents() if item["kind"] == "Namespace"]
    defaults = {
        part["deploy"]["kubectl"]["defaultNamespace"] for part in configurations() if "kubectl" in part["deploy"]
    }
    forwarded = {item["namespace"] for part in configurations() for item in part.get("portForward", ())}
    assert {*made, *defaults, *forwarded, *(release["namespace"] for release in releases())} == {"payments-dev"}


def test_the_secret_and_the_addresses_of_the_values_are_those_of_the_servers() -> None:
    values = yaml.safe_load((KIND / "values.yaml").read_text())
    secret = next(item for item in documents() if item["metadata"]["name"] == values["secrets"]["existingSecret"])
    given = {"DATABASE_URL", "REDIS_URL", "SECRET_KEY", "STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET"}
    assert set(secret["stringData"]) == given | {"WEBHOOK_SIGNING_KEY"}
    assert values["webhookEndpoints"]["existingSecret"] == values["secrets"]["existingSecret"]
    services = {item["metadata"]["name"] for item in documents() if item["kind"] == "Service"}
    assert services == {"postgresql", "valkey", "simulator"}
    addresses = [values["config"]["stripeApiBase"], *secret["stringData"].values()]
    hosts = {found for text in addresses for found in re.findall(r"(?:@|//)(\w+):\d+", text)}
    assert hosts == services


def test_the_kind_configuration_is_one_node_and_maps_ports_to_this_machine_only() -> None:
    kind = yaml.safe_load((KIND / "cluster.yaml").read_text())
    assert (kind["kind"], kind["apiVersion"]) == ("Cluster", "kind.x-k8s.io/v1alpha4")
    (node,) = kind["nodes"]
    assert {mapping["listenAddress"] for mapping in node["extraPortMappings"]} == {"127.0.0.1"}
    assert all((ROOT / mount["hostPath"]).exists() for mount in node.get("extraMounts", ()))
