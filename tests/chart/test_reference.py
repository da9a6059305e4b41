from __future__ import annotations

import re

import yaml
from tests.chart.reference import CHART, documented_values, readme, schema_text


def test_the_readme_is_the_generated_one() -> None:
    assert (CHART / "README.md").read_text() == readme(), "run: make chart-reference"


def test_the_schema_is_the_generated_one() -> None:
    assert (CHART / "values.schema.json").read_text() == schema_text(), "run: make chart-reference"


def test_every_value_is_documented() -> None:
    assert [value.path for value in documented_values() if not value.meaning] == []


def test_there_are_at_most_350_values() -> None:
    assert len(documented_values()) <= 350


def test_every_value_is_used() -> None:
    templates = "\n".join(path.read_text() for path in (CHART / "templates").rglob("*") if path.is_file())
    names = {value.path.rpartition(".")[2] for value in documented_values()} - {"global"}
    assert [name for name in sorted(names) if not re.search(rf"\b{name}\b", templates)] == []


def test_the_catalogue_names_the_images_that_the_values_name() -> None:
    metadata = yaml.safe_load((CHART / "Chart.yaml").read_text())
    images = {
        entry["name"]: entry["image"] for entry in yaml.safe_load(metadata["annotations"]["artifacthub.io/images"])
    }
    defaults = {value.path: value.default for value in documented_values()}
    assert images["service"] == f"{defaults['image.repository']}:{metadata['appVersion']}"
    names = (CHART / "templates/_names.tpl").read_text()
    assert f'ternary "{images["backup-of-mariadb"]}" "{images["backup"]}"' in names
    assert 'default (include "lean-payments.knownBackupImage" .) .Values.backup.image' in names
    assert f'default "{images["object-storage"]}" .Values.backup.objectStorage.image' in names
    assert defaults["backup.image"] == defaults["backup.objectStorage.image"] == ""
