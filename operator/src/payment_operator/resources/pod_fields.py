"""Lays spec.pods over a pod."""

from typing import Any, Final

import msgspec

from payment_operator import names
from payment_operator.api.environment import Environment
from payment_operator.resources.metadata import Manifest
from payment_operator.resources.overlay import overlay

_OWN_PARTS: Final = frozenset({"userIds", "api", "worker", "jobs"})
_OF_THE_POD: Final = (
    "nodeSelector",
    "tolerations",
    "affinity",
    "topologySpreadConstraints",
    "priorityClassName",
    "serviceAccountName",
)
_IDS: Final = frozenset({"runAsUser", "runAsGroup", "fsGroup"})


def pod_fields(spec: Environment, component: str) -> dict[str, Any]:
    """The fields of a component's pods (api, worker or job): those of all, with its own laid over them."""
    every: dict[str, Any] = msgspec.to_builtins(spec.pods)
    own = every.get("jobs" if component == names.JOB else component, {})
    return dict(overlay({name: value for name, value in every.items() if name not in _OWN_PARTS}, own))


def pod_metadata(spec: Environment, component: str, labels: dict[str, str]) -> Manifest:
    """The metadata of a component's pods; the operator's own labels win."""
    fields = pod_fields(spec, component)
    metadata: Manifest = {"labels": fields.get("labels", {}) | labels}
    return metadata | ({"annotations": fields["annotations"]} if fields.get("annotations") else {})


def with_pod_fields(pod: Manifest, spec: Environment, component: str) -> Manifest:
    """The pod with a component's fields; it has one container."""
    fields = pod_fields(spec, component)
    (container,) = pod["containers"]
    security = pod["securityContext"]
    if spec.pods.user_ids == "Platform":
        security = {name: value for name, value in security.items() if name not in _IDS}
    mounts = [*container["volumeMounts"], *fields.get("volumeMounts", [])]
    resources = {"resources": fields["resources"]} if "resources" in fields else {}
    return (
        pod
        | {name: fields[name] for name in _OF_THE_POD if fields.get(name)}
        | {
            "securityContext": overlay(security, fields.get("securityContext", {})),
            "volumes": [*pod["volumes"], *fields.get("volumes", [])],
            "containers": [container | resources | {"volumeMounts": mounts}],
        }
    )
