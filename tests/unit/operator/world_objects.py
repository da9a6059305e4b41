"""The objects of the world: pods as their containers leave them, and the endpoints behind a Service."""

from __future__ import annotations

from typing import Any

from payment_operator import names

JOB = "batch.kubernetes.io/job-name"


def make_pod(name: str, labels: dict[str, str], *, ready: bool, of: dict[str, Any]) -> dict[str, Any]:
    """Return a pod of a Deployment or Job that runs, or waits for its image."""
    own = {"name": "job" if JOB in labels else labels[names.LABEL_COMPONENT]}
    running = {"containerID": name, "restartCount": 0, "state": {"running": {}}}
    waiting = {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}
    return {
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": of["metadata"]["namespace"],
            "uid": f"uid-{name}",
            "labels": dict(labels),
            "ownerReferences": [{"uid": of["metadata"]["uid"]}],
        },
        "status": {
            "phase": "Running",
            "podIP": "10.0.0.1",
            "conditions": [{"type": "Ready", "status": str(ready)}],
            "containerStatuses": [own | (running if ready else waiting)],
        },
    }


def is_ready(pod: dict[str, Any]) -> bool:
    """Tell whether its condition `Ready` holds."""
    return any(entry == {"type": "Ready", "status": "True"} for entry in pod["status"]["conditions"])


def endpoint_slice(service: dict[str, Any], pods: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the slice that the endpoint controller keeps for a Service, with the Service's labels."""
    labels = service["metadata"].get("labels") or {}
    ready = [{"conditions": {"ready": True}, "targetRef": {"uid": pod["metadata"]["uid"]}} for pod in pods]
    metadata = {
        "name": service["metadata"]["name"],
        "labels": labels | {"kubernetes.io/service-name": service["metadata"]["name"]},
    }
    return {"kind": "EndpointSlice", "metadata": metadata, "endpoints": ready}
