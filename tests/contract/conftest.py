"""The demo, for tests that call it over HTTP, and Schemathesis, which only this tier needs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from tests.servers.process import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMATHESIS = "schemathesis.pytest.plugin"


def pytest_plugin_registered(manager: pytest.PytestPluginManager) -> None:
    """Load it here: in every other pytest it would be a second of the start (`addopts` in pyproject.toml)."""
    if not manager.hasplugin(SCHEMATHESIS):
        manager.import_plugin(SCHEMATHESIS)


@pytest.fixture(scope="module")
def base_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The demo as a process of its own, without the limit of ten a minute."""
    port = free_port()
    process = subprocess.Popen(
        [Path(sys.executable).with_name("payments"), "demo", "--port", str(port)],
        cwd=tmp_path_factory.mktemp("demo"),
        env={"PATH": os.environ["PATH"], "PAYMENTS_CREATE_LIMIT_PER_MINUTE": "0", "LOG_LEVEL": "ERROR"},
        stdout=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_until_ready(url)
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=40) == 0


def _wait_until_ready(url: str) -> None:
    deadline = time.monotonic() + 120  # on a busy machine the start alone takes 40 s
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{url}/health/ready").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise TimeoutError(url)
