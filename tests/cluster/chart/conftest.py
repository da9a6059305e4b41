"""A release with production-like values, and how long the tests run: a sample, or whole under `make soak`."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest
from tests.cluster import environment
from tests.cluster.chart.release import Release, helm
from tests.requirements import require

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.cluster.environment import Cluster


def pytest_configure(config: pytest.Config) -> None:
    """Name the marker of what only `make soak` runs."""
    config.addinivalue_line("markers", "soak: takes minutes; run by `make soak`")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave what takes minutes to `make soak`."""
    if os.environ.get("SOAK"):
        return
    long = [item for item in items if item.get_closest_marker("soak")]
    config.hook.pytest_deselected(items=long)
    items[:] = [item for item in items if item not in long]


@pytest.fixture(scope="session")
def release(cluster: Cluster, images: dict[str, str]) -> Iterator[Release]:
    """The chart, installed by Helm 4 with production-like values; who changes it brings it back."""
    require(helm(4).exists(), what="Helm 4", command="make cluster-tools")
    namespace = environment.new_namespace(cluster, images=images)
    namespace.create()
    try:
        namespace.servers()
        made = Release(namespace)
        made.prepare()
        made.install()
        yield made
    finally:
        namespace.remove()


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
