"""Start the load generator beside a test, on the host or in a pod, and read its result."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

if TYPE_CHECKING:
    from types import TracebackType

PROGRAM = Path(__file__).with_name("generator.py")
PATIENCE = 60.0
"""Seconds that a run may take beyond what its arguments say."""


class Kubectl(Protocol):
    """Runs kubectl on a cluster and returns what it prints."""

    def __call__(self, *arguments: str, stdin: str | None = None) -> str: ...


class HostLoad:
    """A generator as a process of this machine; use as a context, then read `result`."""

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, str(PROGRAM), *arguments]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()

    def stop(self) -> None:
        """Send no more requests."""
        self._process.send_signal(signal.SIGTERM)

    def result(self, *, within: float = PATIENCE) -> dict[str, Any]:
        """Wait for the end and return the result; raises with what the generator complained of."""
        output, complaint = self._process.communicate(timeout=within)
        if self._process.returncode:
            raise RuntimeError(f"the load generator failed: {complaint}")
        return dict(json.loads(output))


def pod_manifests(
    name: str, *, namespace: str, image: str, arguments: tuple[str, ...], labels: dict[str, str] | None = None
) -> list[dict[str, Any]]:
    """Return a ConfigMap with the program and a pod that runs it and satisfies the `restricted` level.

    Args:
        name: of both objects.
        namespace: where they live; who removes it removes them.
        image: any with Python ≥ 3.11 as `python`, such as the service's.
        arguments: the generator's.
        labels: the pod's, for network policies.
    """
    metadata = {"name": name, "namespace": namespace}
    container = {
        "name": "load",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "/program/generator.py", *arguments],
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "program", "mountPath": "/program", "readOnly": True}],
    }
    spec = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 15,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "runAsGroup": 10001,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [{"name": "program", "configMap": {"name": name}}],
    }
    program = {"generator.py": PROGRAM.read_text()}
    return [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": program},
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": metadata | {"labels": labels or {"app.kubernetes.io/name": name}},
            "spec": spec,
        },
    ]


class PodLoad:
    """A generator in a pod."""

    def __init__(
        self,
        kubectl: Kubectl,
        name: str,
        *arguments: str,
        namespace: str,
        image: str,
        labels: dict[str, str] | None = None,
    ) -> None:
        self._kubectl, self._name, self._namespace = kubectl, name, namespace
        manifests = pod_manifests(name, namespace=namespace, image=image, arguments=arguments, labels=labels)
        kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests}))

    def stop(self) -> None:
        """Send no more requests."""
        tell = "import os, signal; os.kill(1, signal.SIGTERM)"
        self._kubectl("-n", self._namespace, "exec", self._name, "--", "python", "-c", tell)

    def wait(self, *, seconds: float = PATIENCE) -> None:
        """Wait until it sends."""
        self._kubectl(
            "-n", self._namespace, "wait", f"pod/{self._name}", "--for=condition=Ready", f"--timeout={seconds:.0f}s"
        )

    def result(self, *, within: float = PATIENCE) -> dict[str, Any]:
        """Wait for the pod's end and return the result.

        Raises:
            RuntimeError: it failed or did not end in time; the message holds its log.
        """
        deadline = time.monotonic() + within
        while (phase := self._phase()) not in {"Succeeded", "Failed"} and time.monotonic() < deadline:
            time.sleep(0.5)
        log = self._kubectl("-n", self._namespace, "logs", self._name) if phase != "Pending" else ""
        if phase != "Succeeded":
            raise RuntimeError(f"the load pod is {phase}: {log[-2000:]}")
        return dict(json.loads(log.splitlines()[-1]))

    def _phase(self) -> str:
        return self._kubectl("-n", self._namespace, "get", "pod", self._name, "-o", "jsonpath={.status.phase}")
