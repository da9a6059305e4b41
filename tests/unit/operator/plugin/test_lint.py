"""``lint`` says what the API server says; tests/cluster/plugin compares the two."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from tests.unit.operator.plugin.wrong import WRONG, changed

from payment_operator.plugin.lint.rules import CHECKS, check_of
from payment_operator.plugin.lint.schema import openapi_schema
from payment_operator.plugin.lint.structure import with_defaults
from payment_operator.plugin.verbs.lint import check, files

if TYPE_CHECKING:
    from collections.abc import Iterator

SAMPLES = sorted((Path(__file__).parents[4] / "k8s/samples").glob("*.yaml"))


def rules(schema: dict[str, Any]) -> Iterator[str]:
    for entry in schema.get("x-kubernetes-validations", []):
        yield entry["rule"]
    for inner in (*schema.get("properties", {}).values(), *filter(None, [schema.get("items")])):
        yield from rules(inner)


def test_the_table_holds_exactly_the_rules_of_the_crd() -> None:
    known = [rule for rule in rules(openapi_schema()) if not rule.startswith("self.image.matches")]
    assert set(known) == set(CHECKS)
    assert all(check_of(rule) for rule in rules(openapi_schema()) if "oldSelf" not in rule)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.stem)
def test_a_sample_is_right(sample: Path) -> None:
    assert check(next(yaml.safe_load_all(sample.read_text()))) == []


def test_each_file_of_a_folder_is_named() -> None:
    assert files(str(SAMPLES[0].parent)) == [str(sample) for sample in SAMPLES]
    assert files("-") == ["-"]
    assert files("missing.yaml") == ["missing.yaml"]


@pytest.mark.parametrize(("sample", "path", "value", "says"), WRONG)
def test_a_wrong_field_is_named_with_its_fix(sample: str, path: str, value: Any, says: str) -> None:
    found = check(changed(sample, path, value))
    assert len(found) == 1
    assert says in found[0]


def test_every_mistake_is_reported_at_once() -> None:
    document = changed("minimal.yaml", "spec.replicas", "three")
    document["spec"]["relase"] = {}
    del document["spec"]["redis"]
    assert len(check(document)) == 3


def test_another_version_is_refused() -> None:
    document = changed("minimal.yaml", "apiVersion", "payments.leanconstruction.io/v1")
    assert check(document) == [
        "apiVersion: payments.leanconstruction.io/v1 is not served; use payments.leanconstruction.io/v1alpha1"
    ]


def test_defaults_are_filled_in_at_every_depth_and_nulls_count_as_absent() -> None:
    document = changed("minimal.yaml", "spec.release", {"bake": {"seconds": 7}})
    document["spec"]["worker"] = None
    before = deepcopy(document)
    filled = with_defaults(document, openapi_schema())["spec"]
    assert document == before
    assert filled["release"]["bake"] | {} == filled["release"]["bake"]
    assert filled["release"]["bake"]["seconds"] == 7
    assert filled["release"]["bake"]["failureLimit"] == 3
    assert filled["worker"]["replicas"] == 1
