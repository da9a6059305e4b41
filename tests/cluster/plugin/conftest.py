"""An API server without pods, and the plugin as one file."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.cluster.api_server import ApiServer
from tests.cluster.plugin.world import ROOT, World, new_world

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The plugin, built as people install it."""
    made = tmp_path_factory.mktemp("plugin")
    builder = ROOT / "operator/packaging/single_file.py"
    subprocess.run([sys.executable, str(builder), str(made)], check=True, capture_output=True)
    return made


@pytest.fixture(scope="package")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """An API server with the CRD."""
    server = ApiServer(tmp_path_factory.mktemp("api"))
    try:
        server.start()
        server.install_crds()
        yield server
    finally:
        server.stop()


@pytest.fixture
def world(api: ApiServer, folder: Path) -> World:
    """A namespace of the test's own."""
    return new_world(api, folder)
