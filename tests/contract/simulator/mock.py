"""Stripe's own stand-in without state: it accepts a request only when Stripe's description does."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.cluster.node.programs import PROGRAMS, build_all, path
from tests.requirements import require
from tests.servers.process import ServerProcess, accepts, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "stripe-mock"


@contextmanager
def stripe_mock() -> Iterator[str]:
    """Run stripe-mock, built first when Go is there (seconds), and yield its address; skips without."""
    if shutil.which("go"):
        build_all([PROGRAMS[NAME]])
    require(path(NAME).exists(), what=NAME, command="apt-get install golang-go && make cluster-tools")
    port = free_port()
    folder = Path(tempfile.mkdtemp(prefix="lean-payments-stripe-mock-"))
    # without an address of its own for HTTPS it listens on a fixed port too, which only one of two workers gets
    addresses = ["-http-addr", f"127.0.0.1:{port}", "-https-addr", "127.0.0.1:0"]
    command: list[str | Path] = [path(NAME), *addresses]
    server = ServerProcess(command, log=folder / "log", cwd=folder)
    server.start(ready=lambda: accepts(port))
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
