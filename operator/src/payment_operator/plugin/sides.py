"""Both colours with their pods: who takes traffic is read from the Service, not from the status."""

from typing import Any, Final, Literal

from payment_operator import names
from payment_operator.plugin import clock
from payment_operator.plugin.kubectl import Object
from payment_operator.plugin.model import Pod, Side
from payment_operator.plugin.snapshot import Observed

Colour = Literal["blue", "green", "old"]
_TROUBLE_LENGTH: Final = 160


def sides(observed: Observed) -> list[Side]:
    """Return blue, then green; after a release the revision that is kept warm follows the one that serves."""
    status = observed.environment.get("status", {})
    active, candidate, previous = (status.get(name) or {} for name in ("active", "candidate", "previous"))
    found: list[Side] = []
    if candidate:
        blue = active if active.get("hash") != candidate["hash"] else previous
        chosen: list[tuple[Colour, dict[str, Any]]] = [("blue", blue), ("green", candidate)]
    else:
        chosen = [("blue", active), ("old", previous)]
    for colour, revision in chosen:
        if revision and (revision is not previous or pods_of(observed, revision["hash"])):
            found.append(_side(colour, revision, observed))
    return found


def traffic(observed: Observed) -> set[str]:
    """Return the hashes of the revisions that the Service selects."""
    metadata, status = observed.environment["metadata"], observed.environment.get("status", {})
    services = {service["metadata"]["name"]: service for service in observed.of_kind("Service")}
    service = services.get(names.api_service(metadata["name"]))
    active = status.get("active") or {}
    if service is None:
        return {active["hash"]} if active else set()
    chosen = service["spec"].get("selector", {}).get(names.LABEL_REVISION)
    if chosen:
        return {chosen}
    return {
        revision["hash"] for name in ("active", "candidate", "previous") if (revision := status.get(name)) is not None
    }


def _side(colour: Colour, revision: dict[str, Any], observed: Observed) -> Side:
    digest = revision["hash"]
    serves = digest in traffic(observed)
    deployment = _deployment(observed, digest)
    pods = pods_of(observed, digest)
    ready = sum(pod.ready for pod in pods if pod.component == names.API)
    return Side(
        colour=colour,
        revision=revision["revision"],
        hash=digest,
        image=revision.get("image", ""),
        role=_role(colour, revision, observed, serves=serves),
        traffic=serves,
        ready=ready if pods else revision.get("readyReplicas", 0),
        wanted=deployment["spec"].get("replicas") if deployment else None,
        pods=pods,
    )


def _role(colour: Colour, revision: dict[str, Any], observed: Observed, *, serves: bool) -> str:
    shared = len(traffic(observed)) > 1
    if serves and shared:
        return "takes a share of the traffic"
    if serves:
        since = clock.seconds_since(revision.get("since"), observed.at)
        return "takes all traffic" + (f", for {clock.duration(since)}" if since is not None else "")
    if colour == "green":
        return "takes no traffic yet"
    left = clock.seconds_until(revision.get("retainUntil"), observed.at)
    return "takes no traffic, kept for a rollback" + (f" for {clock.duration(left)} more" if left else "")


def _deployment(observed: Observed, digest: str) -> Object | None:
    wanted = {names.LABEL_REVISION: digest, names.LABEL_COMPONENT: names.API}
    for deployment in observed.of_kind("Deployment"):
        if wanted.items() <= deployment["metadata"].get("labels", {}).items():
            return deployment
    return None


def pods_of(observed: Observed, digest: str) -> list[Pod]:
    """Return the API's and the worker's pods of a revision, the API's first; Jobs' pods are not among them."""
    found = []
    for pod in observed.of_kind("Pod"):
        labels = pod["metadata"].get("labels", {})
        component = labels.get(names.LABEL_COMPONENT, "")
        if labels.get(names.LABEL_REVISION) == digest and component in {names.API, names.WORKER}:
            found.append(_pod(pod, component, observed))
    return sorted(found, key=lambda pod: (pod.component, pod.name))


def _pod(pod: Object, component: str, observed: Observed) -> Pod:
    metadata, status = pod["metadata"], pod.get("status", {})
    containers = status.get("containerStatuses") or []
    own: dict[str, Any] = next((entry for entry in containers if entry.get("name") == component), {})
    waiting = [entry["state"]["waiting"] for entry in containers if "waiting" in entry.get("state", {})]
    conditions = {entry["type"]: entry for entry in status.get("conditions", [])}
    return Pod(
        name=metadata["name"],
        component=component,
        status=_pod_status(pod, waiting),
        ready=conditions.get("Ready", {}).get("status") == "True" and "deletionTimestamp" not in metadata,
        restarts=own.get("restartCount", 0),
        age_seconds=clock.seconds_since(metadata.get("creationTimestamp"), observed.at),
        node=pod["spec"].get("nodeName", ""),
        trouble=_trouble(waiting, conditions),
    )


def _pod_status(pod: Object, waiting: list[dict[str, str]]) -> str:
    if "deletionTimestamp" in pod["metadata"]:
        return "Terminating"
    if waiting:
        return waiting[0].get("reason", "Waiting")
    return str(pod.get("status", {}).get("phase", "Unknown"))


def _trouble(waiting: list[dict[str, str]], conditions: dict[str, Any]) -> str:
    scheduled = conditions.get("PodScheduled", {})
    text = scheduled.get("message", "") if scheduled.get("status") == "False" else ""
    if waiting:
        text = waiting[0].get("message", "")
    flat = " ".join(text.split())
    return flat if len(flat) <= _TROUBLE_LENGTH else flat[: _TROUBLE_LENGTH - 1] + "…"
