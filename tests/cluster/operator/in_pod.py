"""An operator in a pod: a policy between pods holds for it, whereas what the node itself sends always passes."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tests.cluster.operator.rights import ACCOUNT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cluster.environment import Namespace

NAME = "operator"


@contextmanager
def operator_pod(namespace: Namespace) -> Iterator[None]:
    """Run the operator's image with the rights that the chart ships, and end it as Kubernetes does."""
    namespace.kubectl("create", "-f", "-", stdin=json.dumps(_pod(namespace)))
    try:
        namespace.kubectl("wait", f"pod/{NAME}", "--for=condition=Ready", "--timeout=120s")
        yield
    finally:
        namespace.kubectl("delete", "pod", NAME, "--timeout=60s")


def _pod(namespace: Namespace) -> dict[str, Any]:
    container = {
        "name": NAME,
        "image": namespace.images["operator"],
        "args": ["run", f"--namespace={namespace.name}", f"--lease-namespace={namespace.name}", "--resync=5"],
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": 8080}, "periodSeconds": 2},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    spec = {
        "serviceAccountName": ACCOUNT,
        "automountServiceAccountToken": True,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": NAME}, "spec": spec}
