"""A namespace on an API server without pods, in which the test plays the operator."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import yaml
from tests.cluster.api_server import ADMIN, NOBODY, ApiServer, program

from payment_operator import names
from payment_operator.plugin.complaints import REQUESTS, RESOURCE

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
Object = dict[str, Any]
Done = subprocess.CompletedProcess[str]
MANAGED = {
    "mode": "Test",
    "apiKey": {"secretRef": {"name": "payments"}},
    "webhook": {"provider": "Managed", "url": "https://pay.example.com/api/v1/webhooks/stripe"},
}
"""A spec whose webhook secret the operator makes."""


@dataclass(frozen=True, kw_only=True)
class World:
    """One namespace, and the plugin as a user of it."""

    api: ApiServer
    namespace: str
    folder: Path
    """Holds the plugin as one file, and kubectl."""

    def plugin(self, *arguments: str, user: str = ADMIN, stdin: str | None = None, seconds: float = 60) -> Done:
        """Run ``kubectl payments``, found by kubectl on the PATH."""
        return subprocess.run(
            ["kubectl", "payments", *arguments],
            env=self.environ(user),
            cwd=self.folder,
            input=stdin or "",
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )

    @contextmanager
    def watching(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """Run ``kubectl payments`` while the test reads its lines."""
        command = ["kubectl", "payments", *arguments]
        pipe, null = subprocess.PIPE, subprocess.DEVNULL
        with subprocess.Popen(
            command, env=self.environ(), cwd=self.folder, text=True, stdin=null, stdout=pipe, stderr=null
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def environ(self, user: str = ADMIN) -> dict[str, str]:
        path = f"{self.folder}{os.pathsep}{os.environ['PATH']}"
        return os.environ | {"PATH": path, "KUBECONFIG": str(self.api.kubeconfig(user, namespace=self.namespace))}

    def kubectl(self, *arguments: str, stdin: Object | None = None) -> str:
        text = json.dumps(stdin) if stdin is not None else None
        done = self.api.kubectl(f"--namespace={self.namespace}", *arguments, stdin=text)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def apply(self, *objects: Object) -> None:
        """Create objects, their status included: here nobody else writes it."""
        for found in objects:
            metadata = found["metadata"] | {"namespace": self.namespace}
            metadata.pop("creationTimestamp", None)
            self.kubectl("create", "-f", "-", stdin=found | {"metadata": metadata})
            if status := found.get("status"):
                kind = RESOURCE if found["kind"] == names.KIND else found["kind"]
                self.report(status, kind=kind, name=metadata["name"])

    def report(self, status: Object, *, kind: str = RESOURCE, name: str = "shop") -> None:
        """Write a status, as the operator does."""
        change = json.dumps({"status": status})
        self.kubectl("patch", kind, name, "--subresource=status", "--type=merge", f"--patch={change}")

    def environment(self, name: str = "shop", *, status: Object | None = None, **spec: Any) -> None:
        """Create the minimal sample with a status of its first generation."""
        found: Object = yaml.safe_load((ROOT / "k8s/samples/minimal.yaml").read_text())
        found["metadata"]["name"] = name
        found["spec"] |= spec
        self.apply(found | {"status": {"observedGeneration": 1} | (status or {})})

    def stored(self, name: str = "shop") -> Object:
        found: Object = json.loads(self.kubectl("get", RESOURCE, name, "--output=json"))
        return found

    def allow(self, verb: str, resource: str) -> None:
        """Give NOBODY one right."""
        name = f"allow-{uuid.uuid4().hex[:8]}"
        self.kubectl("create", "role", name, f"--verb={verb}", f"--resource={resource}")
        self.kubectl("create", "rolebinding", name, f"--role={name}", f"--user={NOBODY}")

    def requests(self) -> list[Object]:
        """What has been asked in the namespace."""
        found: list[Object] = json.loads(self.kubectl("get", REQUESTS, "--output=json"))["items"]
        return found

    def operator(self, answer: Object, *, status: Object | None = None) -> Operator:
        """Answer the next request, and write the environment's status."""
        return Operator(self, answer, status)


class Operator(threading.Thread):
    """Plays the operator for one request: writes what it changed, then the answer."""

    def __init__(self, world: World, answer: Object, status: Object | None) -> None:
        super().__init__(daemon=True)
        self.world, self.answer, self.status = world, answer, status
        self.request: Object = {}
        """What was asked."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.join(timeout=60)
        assert not self.is_alive(), "no request came"

    def run(self) -> None:
        for _ in range(200):
            for item in self.world.requests():
                assert item["status"]["state"] == "Pending", "by default"
                self.request = item["spec"]
                if self.status is not None:
                    self.world.report(self.status)
                self.world.report(self.answer, kind=REQUESTS, name=item["metadata"]["name"])
                return
            time.sleep(0.1)


def answered(state: str, message: str = "") -> Object:
    """An answer as it stands in a request's status."""
    return {"state": state, "message": message, "by": "admin (unverified)", "number": 1, "at": "2026-11-25T12:00:00Z"}


def new_world(api: ApiServer, folder: Path) -> World:
    """Make a namespace in which pods may be created: each needs a ServiceAccount."""
    kubectl = folder / "kubectl"
    if not kubectl.exists():
        kubectl.symlink_to(program("clients-*/kubectl"))
    world = World(api=api, namespace=f"test-{uuid.uuid4().hex[:8]}", folder=folder)
    done = api.kubectl("create", "namespace", world.namespace)
    assert done.returncode == 0, done.stderr
    world.kubectl("create", "serviceaccount", "default")
    return world
