"""What an API server knows of each kind that the operator reads or writes.

From the strategies of Kubernetes 1.37 (`pkg/registry/*/*/strategy.go`, for custom resources
`apiextensions-apiserver/pkg/registry/customresource/strategy.go`) and its field labels (`pkg/apis/*/v1/conversion.go`).
"""

from typing import Final

from payment_operator import names
from payment_operator.clients.kubernetes import PATHS

CUSTOM: Final = frozenset({names.KIND, names.REQUEST_KIND})
WITH_STATUS: Final = CUSTOM | {"Deployment", "Job", "Pod", "Service", "PodDisruptionBudget", "HorizontalPodAutoscaler"}
"""Their status is written through its subresource alone."""
WITH_GENERATION: Final = (WITH_STATUS | {"EndpointSlice"}) - {"Service"}
VERSION_NEEDED: Final = CUSTOM | {"Lease", "PodDisruptionBudget"}
"""A replace of one must name the version that was read."""
MADE_BY_REPLACE: Final = frozenset({"Event", "Lease", "Service"})
"""A replace of one that is not there makes it."""
FIELDS: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "Event": {"involvedObject.uid": ("involvedObject", "uid"), "type": ("type",)},
    "Secret": {"type": ("type",)},
}
"""What can be selected by, with where it stands; every kind has `COMMON_FIELDS`."""
COMMON_FIELDS: Final = {"metadata.name": ("metadata", "name"), "metadata.namespace": ("metadata", "namespace")}


def resource(kind: str) -> str:
    """The kind's resource with its group, as messages name it: `deployments.apps`."""
    prefix, plural = PATHS.get(kind, ("", f"{kind.lower()}s"))
    return f"{plural}{_group(prefix)}"


def qualified(kind: str) -> str:
    """The kind with its group, as messages about what is invalid name it: `Deployment.apps`."""
    return f"{kind}{_group(PATHS.get(kind, ('', ''))[0])}"


def _group(prefix: str) -> str:
    return f".{prefix.split('/')[2]}" if prefix.startswith("/apis/") else ""
