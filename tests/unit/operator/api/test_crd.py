"""The CRD is generated from the operator's types."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import yaml

from payment_operator.api import request
from payment_operator.api.crd import crd_manifest, crd_manifests, crd_yaml, openapi_schema
from payment_operator.api.environment import Environment

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[4]
CRDS = ROOT / "chart/crds"
SAMPLES = sorted((ROOT / "k8s/samples").glob("*.yaml"))
WITHOUT_DESCRIPTION = {"metadata"}


def properties(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for name, inner in schema.get("properties", {}).items():
        yield f"{path}.{name}".lstrip("."), inner
        yield from properties(inner, f"{path}.{name}")
    if items := schema.get("items"):
        yield from properties(items, f"{path}[]")


@pytest.mark.parametrize("plural", crd_manifests())
def test_the_chart_holds_the_crd_that_the_types_give(plural: str) -> None:
    held = (CRDS / f"{plural}.payments.leanconstruction.io.yaml").read_text(encoding="utf-8")
    assert held == crd_yaml(plural), "run `make operator-reference`"


@pytest.mark.parametrize("schema", [openapi_schema(), request.openapi_schema()], ids=["environment", "request"])
def test_every_field_is_described(schema: dict[str, Any]) -> None:
    silent = [path for path, schema in properties(schema) if not schema.get("description")]
    assert set(silent) == WITHOUT_DESCRIPTION


def test_numbers_and_texts_of_a_request_are_bounded() -> None:
    """A number of 5 000 digits once killed passes."""
    limits = {"string": {"maxLength", "enum"}, "integer": {"maximum"}, "boolean": {"type"}}
    for name, field in request.openapi_schema()["properties"]["spec"]["properties"].items():
        assert limits[field["type"]] & set(field), name


@pytest.mark.parametrize(
    "spec",
    [
        {"verb": "rotate"},
        {"verb": "abort", "secret": "webhook"},
        {"verb": "approve"},
        {"verb": "promote", "revision": 0},
        {"verb": "promote", "revision": 10**9},
        {"verb": "promote", "reason": "two\nlines"},
        {"verb": "destroy"},
        {"environment": "../other"},
    ],
)
def test_what_the_schema_does_not_allow_is_not_read_either(spec: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"spec|Expected|Invalid"):
        request.read_spec({"environment": "shop", "verb": "abort"} | spec)


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
