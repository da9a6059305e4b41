"""The CRD is generated from the operator's types."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import yaml

from payment_operator.api.crd import crd_manifest, crd_yaml, openapi_schema
from payment_operator.api.environment import Environment

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[4]
CRD = ROOT / "chart/crds/paymentenvironments.payments.leanconstruction.io.yaml"
SAMPLES = sorted((ROOT / "k8s/samples").glob("*.yaml"))
WITHOUT_DESCRIPTION = {"metadata"}


def properties(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for name, inner in schema.get("properties", {}).items():
        yield f"{path}.{name}".lstrip("."), inner
        yield from properties(inner, f"{path}.{name}")
    if items := schema.get("items"):
        yield from properties(items, f"{path}[]")


def test_the_chart_holds_the_crd_that_the_types_give() -> None:
    assert CRD.read_text(encoding="utf-8") == crd_yaml(), f"run `payment-operator crd > {CRD.relative_to(ROOT)}`"


def test_every_field_is_described() -> None:
    silent = [path for path, schema in properties(openapi_schema()) if not schema.get("description")]
    assert set(silent) == WITHOUT_DESCRIPTION


def test_the_resource_has_status_and_scale() -> None:
    (version,) = crd_manifest()["spec"]["versions"]
    assert set(version["subresources"]) == {"status", "scale"}


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.stem)
def test_a_sample_is_read_by_the_types(sample: Path) -> None:
    environment = next(yaml.safe_load_all(sample.read_text(encoding="utf-8")))
    assert msgspec.convert(environment["spec"], Environment).image


def test_the_minimal_sample_has_at_most_fifteen_lines() -> None:
    text = (ROOT / "k8s/samples/minimal.yaml").read_text(encoding="utf-8")
    assert len([line for line in text.splitlines() if not line.startswith("#")]) <= 15


def test_an_object_default_holds_the_defaults_inside_it() -> None:
    autoscaling = openapi_schema()["properties"]["spec"]["properties"]["autoscaling"]
    assert autoscaling["default"] == {
        "mode": "Enabled",
        "minReplicas": 2,
        "maxReplicas": 10,
        "targetCPUUtilizationPercentage": 70,
        "scaleDownStabilizationSeconds": 300,
    }
