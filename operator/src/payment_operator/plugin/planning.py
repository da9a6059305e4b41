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
from payment_operator.plugin.errors import NoAnswer, NotFound, PluginError, Refused
from payment_operator.plugin.kubectl import Kubectl, Object
from payment_operator.plugin.model import Plan
from payment_operator.plugin.output import Output, is_watched

KEPT_SECONDS: Final = 300
"""Kubernetes removes the Job so long after its end when the plugin cannot."""
_MIGRATION: Final = "DATABASE_MIGRATION_URL"
_MOUNT: Final = "/run/secrets/migration"
_PAUSE_SECONDS: Final = 1.0
_REMOVE_SECONDS: Final = 20
_NEVER_STARTS: Final = ("ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "CreateContainerConfigError")


def plan_of_image(kubectl: Kubectl, environment: Object, *, image: str, seconds: float) -> Plan:
    """Run the plan of an image and return what it says.

    Raises:
        NotFound: no revision serves yet.
        Refused: the plan itself failed, or its pod cannot start; the message is its reason.
        NoAnswer: it did not end in time.
        PluginError: the user may not make Jobs.
    """
    job = job_of(environment, _serving(kubectl, environment), image=image, seconds=seconds)
    said = _run(kubectl, job, f"--namespace={environment['metadata']['namespace']}", seconds=seconds)
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
    pod: Object = found["data"]["manifests"]["job"]
    return pod


def job_of(environment: Object, pod: Object, *, image: str, seconds: float) -> Object:
    """Return the Job: the serving revision's Job pod with the image, as the operator's own plan runs it."""
    name, pod = environment["metadata"]["name"], copy.deepcopy(pod)
    (container,) = pod["containers"]
    container |= {"image": image, "command": ["payments", "migrate", "--plan", "--json"]}
    container.setdefault("resources", {"requests": {"cpu": "50m", "memory": "96Mi"}, "limits": {"memory": "256Mi"}})
    container["terminationMessagePolicy"] = "FallbackToLogsOnError"
    if environment["spec"]["database"].get("migrationUrlSecretRef"):
        container["env"].append({"name": f"{_MIGRATION}_FILE", "value": f"{_MOUNT}/{_MIGRATION}"})
        container["volumeMounts"].append({"name": "migration", "mountPath": _MOUNT, "readOnly": True})
        items = [{"key": _MIGRATION, "path": _MIGRATION}]
        secret = {"secretName": names.migration_secret(name), "defaultMode": 0o440, "items": items}
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
            "ttlSecondsAfterFinished": KEPT_SECONDS,
            "template": {"metadata": _with_fields(environment, labels), "spec": pod | {"restartPolicy": "Never"}},
        },
    }


def _with_fields(environment: Object, labels: dict[str, str]) -> Object:
    """The metadata of the plan's pod with what spec.pods asks for, such as to be left alone by a mesh."""
    pods = environment["spec"].get("pods") or {}
    both = [pods, pods.get("jobs") or {}]
    return {
        kind: {key: value for fields in both for key, value in (fields.get(kind) or {}).items()} | own
        for kind, own in (("labels", labels), ("annotations", {}))
    }


def _run(kubectl: Kubectl, job: Object, place: str, *, seconds: float) -> dict[str, Any]:
    """Make the Job, wait for its answer, and remove it whatever happens."""
    name = job["metadata"]["name"]
    try:
        kubectl.checked("create", "--filename=-", place, stdin=json.dumps(job))
    except KeyboardInterrupt:
        _remove(kubectl, name, place)  # it may exist already
        raise
    if is_watched():
        Output.complain(f"Job {name} asks the image; a node that lacks it pulls it first")
    try:
        return _answer(kubectl, name, place, seconds=seconds)
    finally:
        _remove(kubectl, name, place)


def _remove(kubectl: Kubectl, name: str, place: str) -> None:
    try:
        kubectl.checked("delete", "job", name, place, "--wait=false", "--ignore-not-found", seconds=_REMOVE_SECONDS)
    except PluginError as error:
        Output.complain(f"Job {name} is left, Kubernetes removes it {KEPT_SECONDS} s after its end: {error}")


def _answer(kubectl: Kubectl, name: str, place: str, *, seconds: float) -> dict[str, Any]:
    """What the Job printed, once it has ended."""
    deadline, pods = time.monotonic() + seconds, []
    while time.monotonic() < deadline:
        pods = kubectl.get("pods", f"--selector=batch.kubernetes.io/job-name={name}", place)["items"]
        for pod in pods:
            if pod["status"].get("phase") in {"Succeeded", "Failed"} or _own(pod).get("terminated"):
                container = f"--container={names.JOB}"
                return read(kubectl.checked("logs", pod["metadata"]["name"], container, place), pod)
            refuse_stuck(pod)
        time.sleep(_PAUSE_SECONDS)
    raise NoAnswer(
        f"the plan did not end within {seconds:.0f} s; {waits_for(pods)}",
        fix=f"give it more: --timeout 10m; or see: kubectl get events {place} --sort-by=.lastTimestamp",
    )


def refuse_stuck(pod: Object) -> None:
    """Raise when the pod will never start.

    Raises:
        Refused: with the kubelet's reason.
    """
    waiting = _waiting(pod)
    if waiting.get("reason") in _NEVER_STARTS:
        why = f"{waiting['reason']}: {waiting.get('message', '')}".rstrip(": ")
        raise _refused(why, fix="name an image of lean-payments-service that this cluster can pull: --image REF")


def _waiting(pod: Object) -> dict[str, str]:
    states = [status.get("state") or {} for status in pod["status"].get("containerStatuses") or []]
    return next((state["waiting"] for state in states if "waiting" in state), {})


def waits_for(pods: list[Object]) -> str:
    """Return why the pod has not ended, as far as it is known."""
    if not pods:
        return "it has no pod: a quota or an admission rule may forbid it"
    (pod, *_), unscheduled = pods, ""
    for condition in pod["status"].get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            unscheduled = condition.get("message", "")
    reason = unscheduled or _waiting(pod).get("reason") or pod["status"].get("phase", "Unknown")
    return f"its pod {pod['metadata']['name']}: {reason}"


def read(log: str, pod: Object) -> dict[str, Any]:
    """Return the plan, which is the one JSON object among the lines with what is pending.

    Raises:
        Refused: there is none; the message is the last line, or how the pod ended.
    """
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    for line in reversed(lines):
        try:
            said = json.loads(line)
        except ValueError:
            continue
        if isinstance(said, dict) and "pending" in said:
            return said
    raise _refused(lines[-1] if lines else _end(pod))


def _own(pod: Object) -> dict[str, Any]:
    """The state of our container, whatever else is in the pod."""
    statuses = pod["status"].get("containerStatuses") or []
    return next((entry.get("state") or {} for entry in statuses if entry.get("name") == names.JOB), {})


def _end(pod: Object) -> str:
    if ended := _own(pod).get("terminated"):
        return f"{ended.get('reason', 'Error')}: {ended.get('message') or 'it printed nothing'}".strip()
    return str(pod["status"].get("message") or pod["status"].get("reason") or "it printed nothing")


def _refused(why: str, *, fix: str = "") -> Refused:
    return Refused(f"the image cannot be planned: {why}", fix=fix)
