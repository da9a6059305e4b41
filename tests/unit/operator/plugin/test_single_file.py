"""The plugin as one file: no library, no installed package, the same bytes each time."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).parents[4]


def packaging() -> ModuleType:
    spec = importlib.util.spec_from_file_location("single_file", ROOT / "operator/packaging/single_file.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = packaging().build(tmp_path_factory.mktemp("dist"))
    return path


def alone(plugin: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it without any installed package in reach."""
    command = [sys.executable, "-I", "-S", str(plugin), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)


def test_it_runs_without_any_library(plugin: Path) -> None:
    done = alone(plugin, "--help")
    assert done.returncode == 0, done.stderr
    assert "promote" in done.stdout


def test_it_brings_the_schema_along(plugin: Path) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(plugin)!r})\n"
        "from payment_operator.plugin.lint.schema import openapi_schema\n"
        "print(openapi_schema()['properties']['spec']['required'])"
    )
    command = [sys.executable, "-I", "-S", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    assert "stripe" in done.stdout


def test_it_is_executable_and_finds_its_interpreter(plugin: Path) -> None:
    assert plugin.stat().st_mode & 0o111
    assert plugin.read_bytes().startswith(b"#!/usr/bin/env python3\n")


def test_the_completion_beside_it_asks_it(plugin: Path) -> None:
    completion = plugin.with_name("kubectl_complete-payments")
    assert completion.stat().st_mode & 0o111
    assert "kubectl payments __complete" in completion.read_text()


def test_building_twice_gives_the_same_bytes(plugin: Path, tmp_path: Path) -> None:
    assert packaging().build(tmp_path).read_bytes() == plugin.read_bytes()


def test_it_is_small(plugin: Path) -> None:
    assert plugin.stat().st_size < 100_000
