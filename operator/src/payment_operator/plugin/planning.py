"""Plans an image that is not released yet: `payments migrate --plan` in a Job of the plugin's own.

The Job takes the settings and credentials of the revision that serves. It has no owner, so the operator leaves it
alone; it is removed as soon as it has answered, by Kubernetes itself if the plugin dies.
"""

import copy
import json
import time
import uuid
from typing import Any, Final

from payment_operator import names
from payment_operator.plugin.errors import NoAnswer, NotFound, Refused
from payment_operator.plugin.kubectl import Kubectl, Object
from payment_operator.plugin.model import Plan

_MIGRATION: Final = "DATABASE_MIGRATION_URL"
_MOUNT: Final = "/run/secrets/migration"
_PAUSE_SECONDS: Final = 1.0
_KEPT_SECONDS: Final = 300
_FAILED_TO_START: Final = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "CreateContainerConfigError")


def plan_of_image(kubectl: Kubectl, environment: Object, *, image: str, seconds: float) -> Plan:
    """Run the plan of an image and return what it says.

    Raises:
        NotFound: no revision serves yet.
        Refused: the plan itself failed, or its pod cannot start; the message is its reason.
        NoAnswer: it did not end in time.
        PluginError: the user may not make Jobs.
    """
    job = _job(environment, _serving(kubectl, environment), image=image, seconds=seconds)
    name, place = job["metadata"]["name"], f"--namespace={environment['metadata']['namespace']}"
    kubectl.ask("create", "--filename=-", place, stdin=json.dumps(job))
    try:
        said = _answer(kubectl, name, place, seconds=seconds)
    finally:
        kubectl.run("delete", "job", name, place, "--wait=false", "--ignore-not-found")
    return Plan(
        environment=environment["metadata"]["name"],
        namespace=environment["metadata"]["namespace"],
        image=image,
        revision=None,
        current=str(said.get("current", "")),
        target=str(said.get("target", "")),
        pending=[f"{entry['number']} {entry['phase']}: {entry['summary']}" for entry in said["pending"]],
        lint=said.get("findings", []),
        sql=said.get("sql", ""),
        source="not released, nothing was changed",
    )


def _serving(kubectl: Kubectl, environment: Object) -> Object:
    """The stored Job pod of the revision that serves."""
    metadata, active = environment["metadata"], environment.get("status", {}).get("active")
    if not active:
        raise NotFound(
            "no revision serves yet whose settings a plan could use; the first release plans by itself",
            fix=f"kubectl payments status {metadata['name']}",
        )
    name = names.revision(metadata["name"], active["hash"])
    found = kubectl.get("controllerrevisions.apps", name, f"--namespace={metadata['namespace']}")
    pod: Object = copy.deepcopy(found["data"]["manifests"]["job"])
    return pod


def _job(environment: Object, pod: Object, *, image: str, seconds: float) -> Object:
    name = environment["metadata"]["name"]
    (container,) = pod["containers"]
    container |= {"image": image, "command": ["payments", "migrate", "--plan", "--json"]}
    container["resources"] = {"requests": {"cpu": "50m", "memory": "96Mi"}, "limits": {"memory": "256Mi"}}
    if environment["spec"]["database"].get("migrationUrlSecretRef"):
        container["env"].append({"name": f"{_MIGRATION}_FILE", "value": f"{_MOUNT}/{_MIGRATION}"})
        container["volumeMounts"].append({"name": "migration", "mountPath": _MOUNT, "readOnly": True})
        secret = {"secretName": names.migration_secret(name), "defaultMode": 0o440}
        pod["volumes"].append({"name": "migration", "secret": secret})
    labels = {
        names.LABEL_NAME: names.APPLICATION,
        names.LABEL_INSTANCE: name,
        names.LABEL_ENVIRONMENT: name,
        names.LABEL_COMPONENT: "migrate",
        names.LABEL_MANAGED_BY: "kubectl-payments",
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": f"{name}-plan-{uuid.uuid4().hex[:8]}", "labels": labels},
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": max(1, round(seconds)),
            "ttlSecondsAfterFinished": _KEPT_SECONDS,
            "template": {"metadata": {"labels": labels}, "spec": pod | {"restartPolicy": "Never"}},
        },
    }


def _answer(kubectl: Kubectl, name: str, place: str, *, seconds: float) -> dict[str, Any]:
    """What the Job printed, once it has ended."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        pods = kubectl.get("pods", f"--selector=batch.kubernetes.io/job-name={name}", place)["items"]
        if any(pod["status"].get("phase") in {"Succeeded", "Failed"} for pod in pods):
            return _read(kubectl.ask("logs", f"job/{name}", place))
        for pod in pods:
            _refuse_stuck(pod)
        time.sleep(_PAUSE_SECONDS)
    raise NoAnswer(f"the plan did not end within {seconds:.0f} s", fix="give it more: --timeout 10m")


def _refuse_stuck(pod: Object) -> None:
    for status in pod["status"].get("containerStatuses") or []:
        waiting = (status.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") in _FAILED_TO_START:
            raise _refused(f"{waiting['reason']}: {waiting.get('message', '')}".rstrip(": "))


def _read(log: str) -> dict[str, Any]:
    """The plan, which is the one JSON object among the lines with what is pending."""
    lines = [line for line in log.splitlines() if line.strip()]
    for line in reversed(lines):
        try:
            said = json.loads(line)
        except ValueError:
            continue
        if isinstance(said, dict) and "pending" in said:
            return said
    raise _refused(lines[-1] if lines else "it printed nothing")


def _refused(why: str) -> Refused:
    return Refused(f"the image cannot be planned: {why}")
