"""docs/contracts.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from payment_operator import metrics as operator_metrics
from payment_service.cli import main
from payment_service.observability import metrics

ROOT = Path(__file__).parents[2]
CONTRACTS = (ROOT / "docs" / "contracts.md").read_text()
SERVICE = "\n".join(path.read_text() for path in (ROOT / "service" / "src").rglob("*.py"))


def section(title: str) -> str:
    return CONTRACTS.split(f"## {title}")[1].split("\n## ")[0]


def test_every_metric_exists_with_its_labels() -> None:
    promised = re.findall(r"`((?:payments?_)\w+)(?:\{([\w,]+)\})?`", section("Metrics"))
    assert len(promised) > 15
    sides = (metrics, operator_metrics)
    known = {family.name: family for side in sides for family in side.REGISTRY.collect()}
    labels = {
        collector._name: set(collector._labelnames)
        for side in sides
        for collector in side.REGISTRY._collector_to_names
        if hasattr(collector, "_labelnames")
    }
    for name, names in promised:
        family = name.removesuffix("_total")
        assert family in known, name
        assert labels[family] == set(filter(None, names.split(","))), name


def test_every_command_exists() -> None:
    promised = set(re.findall(r"^\| `payments ([a-z-]+)", section("Commands"), re.MULTILINE))
    assert promised == {
        "serve",
        "worker",
        "migrate",
        "smoke",
        "drain",
        "simulator",
        "keys",
        "events",
        "endpoints",
        "deliveries",
        "listen",
        "secret-key",
        "config",
        "inbox",
        "reconcile",
        "import",
        "recover",
        "operations",
        "database",
    }
    assert promised <= set(main.list_commands(click.Context(main)))


@pytest.mark.parametrize("name", sorted(set(re.findall(r"PAYMENTS_[A-Z_]+", CONTRACTS))))
def test_every_setting_is_read(name: str) -> None:
    assert f'"{name}"' in SERVICE
