"""The sample of scenarios that run on MariaDB: each is one that there is."""

from __future__ import annotations

from pathlib import Path

from tests.integration.databases import SAMPLE, of

INTEGRATION = Path(__file__).parents[1] / "integration"


def test_every_scenario_of_the_sample_is_there() -> None:
    named = [name.partition(".") for name in SAMPLE]
    lost = [
        f"{module}.{test}"
        for module, _, test in named
        if f"def {test}(" not in (INTEGRATION / f"{module}.py").read_text(encoding="utf-8")
    ]
    assert lost == []


def test_what_is_not_of_the_sample_runs_on_two_databases() -> None:
    module, _, test = next(iter(SAMPLE)).partition(".")
    assert of(f"tests.integration.{module}", test)[-1] == "mariadb"
    assert of("tests.integration.test_health", "test_anything") == ("sqlite", "postgresql")
