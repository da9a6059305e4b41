"""Imports go one way. The layers stand in `pyproject.toml`."""

from __future__ import annotations

import tomllib
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import grimp

ROOT = Path(__file__).parents[2]
LINTER: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
PACKAGES: list[str] = LINTER["root_packages"]


def circle(package: str) -> str:
    """Return an import that leads back to where it began.

    Imports inside functions count; those that only types need do not run, so they do not.
    """
    graph = grimp.build_graph(package, exclude_type_checking_imports=True, cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    assert len(imports) > 30
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return " -> ".join(reversed(error.args[1]))
    return ""


def test_no_import_leads_back_to_where_it_began() -> None:
    assert len(PACKAGES) >= 3
    assert [found for package in PACKAGES if (found := circle(package))] == []


def test_every_package_stands_in_a_layer() -> None:
    """An exhaustive contract breaks when a new child of its container stands in no layer."""
    exhaustive = [container for c in LINTER["contracts"] if c.get("exhaustive") for container in c["containers"]]
    assert set(PACKAGES) <= set(exhaustive)
