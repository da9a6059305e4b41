"""One pod as decisions see it, and the ready endpoints behind a Service."""

from dataclasses import dataclass

from payment_operator import names
from payment_operator.resources.metadata import Manifest


@dataclass(frozen=True)
class Pod:
    """One pod of the environment."""

    name: str
    uid: str
    ip: str
    component: str
    revision: str
    ready: bool
    terminating: bool
    finished: bool
    running: bool
    restarts: int
    containers: tuple[str, ...] = ()
    waiting: str = ""
    """Why a container does not start, as `Reason: message`."""
    job: str = ""
    exit_code: int | None = None
    last_words: str = ""
    ended_at: str = ""
    """Since when our container has ended while others in the pod run on."""
    disrupted: bool = False
    """It was evicted: by a drain, a preemption, a taint."""

    @property
    def proof(self) -> str:
        """What a smoke run remembers of it."""
        return f"{self.uid}:{self.restarts}"


def read_pod(item: Manifest) -> Pod:
    """Read what matters of a pod."""
    metadata, status = item["metadata"], item.get("status") or {}
    labels = metadata.get("labels") or {}
    component, job = labels.get(names.LABEL_COMPONENT, ""), labels.get("batch.kubernetes.io/job-name", "")
    containers = status.get("containerStatuses") or []
    waits = [entry.get("state") or {} for entry in (*(status.get("initContainerStatuses") or []), *containers)]
    ours = names.container(component, job=bool(job))
    own: Manifest = next((entry for entry in containers if entry.get("name") == ours), {})
    state, former = own.get("state") or {}, (own.get("lastState") or {}).get("terminated")
    ended = state.get("terminated")
    others = any("running" in (entry.get("state") or {}) for entry in containers if entry is not own)
    conditions = {entry["type"]: entry["status"] for entry in status.get("conditions") or []}
    return Pod(
        name=metadata["name"],
        uid=metadata["uid"],
        ip=status.get("podIP", ""),
        component=component,
        revision=labels.get(names.LABEL_REVISION, ""),
        ready=conditions.get("Ready") == "True",
        terminating="deletionTimestamp" in metadata,
        finished=status.get("phase") in {"Succeeded", "Failed"},
        running="running" in state,
        restarts=own.get("restartCount", 0),
        containers=(own.get("containerID", ""),) if own else (),
        waiting=next((_waiting(state["waiting"]) for state in waits if "waiting" in state), "") or _unscheduled(status),
        job=job,
        exit_code=ended.get("exitCode") if ended else None,
        last_words=(ended or former or {}).get("message", ""),
        disrupted=conditions.get("DisruptionTarget") == "True",
        ended_at=(ended.get("finishedAt") or "") if ended and others else "",
    )


def _waiting(state: Manifest) -> str:
    return f"{state.get('reason', '')}: {state.get('message', '')}".rstrip(": ")


def _unscheduled(status: Manifest) -> str:
    entries = status.get("conditions") or []
    found = (entry for entry in entries if entry["type"] == "PodScheduled" and entry["status"] == "False")
    return next((f"{entry.get('reason', '')}: {entry.get('message', '')}" for entry in found), "")


def read_endpoints(slices: list[Manifest]) -> dict[str, frozenset[str]]:
    """The uids of the ready endpoints, by Service."""
    found: dict[str, set[str]] = {}
    for item in slices:
        service = (item["metadata"].get("labels") or {}).get("kubernetes.io/service-name", "")
        ready = (entry for entry in item.get("endpoints") or [] if (entry.get("conditions") or {}).get("ready"))
        found.setdefault(service, set()).update((entry.get("targetRef") or {}).get("uid", "") for entry in ready)
    return {service: frozenset(uids) for service, uids in found.items()}
