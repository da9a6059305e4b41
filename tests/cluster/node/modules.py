"""Sources from the Go module proxy, pinned by the hash of their content."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Module:
    """A module at one version."""

    name: str
    version: str
    hash: str
    """As go.sum writes it."""


def fetch(module: Module) -> Path:
    """Return the module's folder in Go's module cache, downloaded the first time.

    Raises:
        RuntimeError: go is missing, the proxy does not answer, or the content is not the pinned one.
    """
    if not shutil.which("go"):
        raise RuntimeError("go ≥ 1.26 is needed: install it, or set TEST_KUBECONFIG")
    with tempfile.TemporaryDirectory() as folder:  # outside of any module
        command = ["go", "mod", "download", "-json", f"{module.name}@{module.version}"]
        done = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)
    found = json.loads(done.stdout or "{}")
    if done.returncode or found.get("Sum") != module.hash:
        reason = found.get("Error") or done.stderr or f"its hash is {found.get('Sum')}"
        raise RuntimeError(f"{module.name}@{module.version}: {reason}")
    return Path(found["Dir"])
