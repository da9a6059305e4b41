"""The peers' own virtual environments, made once under the user's cache folder from pinned requirements."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

PEERS = Path(__file__).parent / "peers"
_UV = Path(__file__).parents[2] / ".tools" / "uv" / "bin" / "uv"


def peer_python(name: str) -> Path:
    """Return the interpreter of a peer's environment; its requirements are installed at the first call.

    Raises:
        CalledProcessError: the registry cannot be reached.
    """
    requirements = PEERS / name / "requirements.txt"
    mark = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "lean-payments" / "bench" / f"{name}-{mark}"
    python, finished = folder / "bin" / "python", folder / "finished"
    if not finished.exists():
        subprocess.run([_UV, "venv", "--quiet", "--clear", "--python", sys.executable, folder], check=True)
        subprocess.run([_UV, "pip", "install", "--quiet", "--python", python, "-r", requirements], check=True)
        finished.touch()
    return python
