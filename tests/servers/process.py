"""Server processes that never outlive the test run."""

from __future__ import annotations

import contextlib
import ctypes
import os
import secrets
import signal
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1
START_SECONDS = 60.0
FIRST_PORT = 13_000
PORTS_EACH = 2_000
WORKERS = 8
_TAKEN: set[int] = set()


def free_port() -> int:
    """Return a port that nobody listens on, and that nobody else will take.

    The kernel gives out ports above these for connections, and other processes of the tests have numbers of their own.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % WORKERS
    while True:
        port = FIRST_PORT + PORTS_EACH * worker + secrets.randbelow(PORTS_EACH)
        if port in _TAKEN:
            continue
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            _TAKEN.add(port)
            return port


def remove_folder(folder: Path) -> None:
    """Remove a server's data without waiting: a run leaves tens of thousands of files."""
    nothing = subprocess.DEVNULL
    command = ["sh", "-c", 'rm -rf -- "$1" &', "sh", str(folder)]
    subprocess.run(command, stdin=nothing, stdout=nothing, stderr=nothing, check=True)


def die_with_parent() -> None:
    """Let the kernel kill this process when its parent ends."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class ServerProcess:
    """One process with its log, started and stopped by a test."""

    def __init__(self, command: Sequence[str | Path], *, log: Path, user: str | None = None, **options: Any) -> None:
        self._command = [str(part) for part in command]
        self._log = log
        self._user = user
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The running process's id."""
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it lives."""
        return self._process is not None and self._process.poll() is None

    def start(self, *, ready: Callable[[], bool]) -> None:
        """Start and wait until `ready`; raises with the log's end otherwise."""
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                user=self._user,
                group=self._user and "nogroup",
                extra_groups=[] if self._user else None,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - one system call, no lock
                **self._options,
            )
        deadline = time.monotonic() + START_SECONDS
        while not ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                tail = self._log.read_text(errors="replace")[-2000:]
                raise RuntimeError(f"{self._command[0]} did not start:\n{tail}")
            time.sleep(0.02)

    def stop(self, *, with_signal: int = signal.SIGTERM) -> None:
        """End it and wait."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(with_signal)
            try:
                self._process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()
        self._process = None

    def kill(self) -> None:
        """End it without warning."""
        self.stop(with_signal=signal.SIGKILL)

    def pause(self) -> None:
        """Freeze it: connections stay open and nothing answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Thaw it."""
        os.kill(self.pid, signal.SIGCONT)


def accepts(port: int) -> bool:
    """Tell whether something listens on the port."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0
