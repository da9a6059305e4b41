"""Each arm's own virtual environment, made once from pinned requirements; the peers' in the user's cache folder.

Ours holds what the image holds, not what the tests bring: Litestar loads pydantic, for example, wherever it finds it.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

PEERS = Path(__file__).parent / "peers"
_ROOT = Path(__file__).parents[2]
_UV = _ROOT / ".tools" / "uv" / "bin" / "uv"


def peer_python(name: str) -> Path:
    """Return the interpreter of a peer's environment; its requirements are installed at the first call.

    Raises:
        CalledProcessError: the registry cannot be reached.
    """
    requirements = PEERS / name / "requirements.txt"
    folder = _folder(name, requirements.read_bytes())
    python, finished = folder / "bin" / "python", folder / "finished"
    if not finished.exists():
        subprocess.run([_UV, "venv", "--quiet", "--clear", "--python", sys.executable, folder], check=True)
        subprocess.run([_UV, "pip", "install", "--quiet", "--python", python, "-r", requirements], check=True)
        finished.touch()
    return python


@cache
def service_programs() -> Path:
    """Return the folder of `payments` and its interpreter, with the service's locked dependencies and nothing else."""
    folder = _ROOT / ".cache" / "bench-service"
    command: list[str | Path] = [_UV, "sync", "--quiet", "--frozen", "--no-dev", "--package", "payment-service"]
    environ = {**os.environ, "UV_PROJECT_ENVIRONMENT": str(folder)}
    subprocess.run([*command, "--python", sys.executable], check=True, cwd=_ROOT, env=environ)
    return folder / "bin"


def _folder(name: str, content: bytes) -> Path:
    mark = hashlib.sha256(content + sys.version.encode()).hexdigest()[:12]
    cache_home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache_home / "lean-payments" / "bench" / f"{name}-{mark}"
