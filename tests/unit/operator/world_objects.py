"""The objects of the world: pods as their containers leave them, and what a JSON patch does to an object."""

from __future__ import annotations

import copy
from typing import Any

from payment_operator import names
from payment_operator.errors import Conflict

JOB = "batch.kubernetes.io/job-name"


def make_pod(name: str, labels: dict[str, str], *, ready: bool) -> dict[str, Any]:
    """Return a pod that runs, or waits for its image."""
    own = {"name": "job" if JOB in labels else labels[names.LABEL_COMPONENT]}
    running = {"containerID": name, "restartCount": 0, "state": {"running": {}}}
    waiting = {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}
    return {
        "metadata": {"name": name, "uid": f"uid-{name}", "labels": dict(labels)},
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


def operate(item: dict[str, Any], operation: dict[str, Any]) -> None:
    """Do one operation of a JSON patch, strictly as an API server does."""
    *parents, last = [part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]]
    place = item
    for part in parents:
        place = place[part]
    match operation["op"]:
        case "test" if place.get(last) != operation["value"]:
            raise Conflict(422, "Invalid", "test failed")
        case "remove":
            if last not in place:
                raise Conflict(422, "Invalid", "not there")
            del place[last]
        case "add" | "replace":
            place[last] = copy.deepcopy(operation["value"])
