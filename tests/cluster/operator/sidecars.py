"""What a service mesh does to pods: an admission policy puts containers of its own into those that a label names."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cluster.environment import Namespace

LABEL = {"mesh.example.com/inject": "enabled"}
NATIVE, PLAIN = "mesh-native", "mesh-plain"
API = "admissionregistration.k8s.io/v1"


def _container(kind: str, name: str, image: str, *, extra: str = "") -> str:
    context = f"Object.spec.{kind}.securityContext"
    return (
        f'Object.spec.{kind}{{name: "{name}", image: "{image}", command: ["sleep", "86400"]{extra}, securityContext: '
        f'{context}{{allowPrivilegeEscalation: false, capabilities: {context}.capabilities{{drop: ["ALL"]}}}}}}'
    )


@contextmanager
def injected(namespace: Namespace) -> Iterator[None]:
    """Put a native and a plain sidecar, which never ends, into every pod with the label while the body runs."""
    name, image = f"{namespace.name}-mesh", namespace.images["service"]
    native = _container("initContainers", NATIVE, image, extra=', restartPolicy: "Always"')
    plain = _container("containers", PLAIN, image)
    first = f'JSONPatch{{op: "add", path: "/spec/containers/0", value: {plain}}}'
    expression = f'[{first}, JSONPatch{{op: "add", path: "/spec/initContainers", value: [{native}]}}]'
    policy = {
        "failurePolicy": "Fail",
        "reinvocationPolicy": "Never",
        "matchConstraints": {
            "objectSelector": {"matchLabels": LABEL},
            "resourceRules": [
                {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
            ],
        },
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": expression}}],
    }
    selector = {"matchLabels": {"kubernetes.io/metadata.name": namespace.name}}
    binding = {"policyName": name, "matchResources": {"namespaceSelector": selector}}
    items: list[dict[str, Any]] = [
        {"apiVersion": API, "kind": "MutatingAdmissionPolicy", "metadata": {"name": name}, "spec": policy},
        {"apiVersion": API, "kind": "MutatingAdmissionPolicyBinding", "metadata": {"name": name}, "spec": binding},
    ]
    try:
        namespace.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
        assert namespace.until(lambda: _works(namespace), seconds=60), "the API server has not learned of the policy"
        yield
    finally:
        for kind in ("mutatingadmissionpolicybinding", "mutatingadmissionpolicy"):
            namespace.cluster.kubectl("delete", kind, name, "--ignore-not-found")


def _works(namespace: Namespace) -> bool:
    """Whether a pod would get both."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "probe", "labels": LABEL},
        "spec": {
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [
                {
                    "name": "probe",
                    "image": namespace.images["service"],
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                }
            ],
        },
    }
    made = namespace.kubectl("create", "--dry-run=server", "-f", "-", "-o", "json", stdin=json.dumps(pod))
    return names_of(json.loads(made)) == {"probe", NATIVE, PLAIN}


def names_of(pod: dict[str, Any]) -> set[str]:
    """The names of a pod's containers."""
    return {item["name"] for item in (*pod["spec"]["containers"], *pod["spec"].get("initContainers", []))}
