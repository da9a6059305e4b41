"""A person with kubectl and the plugin, in front of the environments of a namespace."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.environment import Namespace


@dataclass(frozen=True, kw_only=True)
class Person:
    """The plugin as one file, used in one namespace."""

    namespace: Namespace
    folder: Path

    def type(self, *words: str, code: int = 0) -> str:
        """Type ``kubectl payments WORDS`` and return what it says; another exit code fails the test."""
        done = self._run(*words)
        said = done.stdout + done.stderr
        assert done.returncode == code, f"exit code {done.returncode}: {said}"
        return said

    def look(self) -> dict[str, Any]:
        """Return what ``status -o json`` says."""
        done = self._run("status", "--output=json")
        assert done.stdout, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def _run(self, *words: str) -> subprocess.CompletedProcess[str]:
        place = ("--namespace", self.namespace.name, "--kubeconfig", str(self.namespace.cluster.kubeconfig))
        command = [str(self.folder / "kubectl-payments"), *words, *place]
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False, timeout=1000)
