"""A release with production-like values, and how long the tests run: a sample, or whole under `make soak`."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest
from tests.cluster.chart.release import Release, helm
from tests.requirements import require

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cluster.environment import Namespace


def pytest_configure(config: pytest.Config) -> None:
    """Name the marker of what only `make soak` runs."""
    config.addinivalue_line("markers", "soak: takes minutes; run by `make soak`")


@pytest.fixture(scope="module")
def release(servers: Namespace) -> Release:
    """The chart, installed by Helm 4 with production-like values."""
    require(helm(4).exists(), what="Helm 4", command="make cluster-tools")
    made = Release(servers)
    made.prepare()
    made.install()
    return made


@pytest.fixture(scope="session")
def whole() -> bool:
    """Whether the run is a long one."""
    return bool(os.environ.get("SOAK"))


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Print a measured number, captured or not."""

    def write(text: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"\n  {text}")

    return write
