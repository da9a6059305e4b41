"""How many pods each revision should have, and what it lacks."""

from payment_operator import names
from payment_operator.decide.placement import Placement
from payment_operator.model.observed import Observed, Revision


def api_replicas(observed: Observed, placement: Placement, revision: Revision) -> int:
    """API pods: what the environment asks for; the candidate as many as serve now, or its preview."""
    asked = observed.spec.replicas
    if placement.candidate is None or revision.digest != placement.candidate.digest:
        return asked
    full = full_size(observed, placement)
    if placement.active is None or revision.record.step("scale").state:
        return full
    return min(observed.spec.release.preview_replicas, full)


def full_size(observed: Observed, placement: Placement) -> int:
    """API pods that a candidate needs before it takes over; never none."""
    serving = len(observed.ready(placement.active.digest)) if placement.active else 0
    return max(observed.spec.replicas, serving, 1)


def worker_replicas(observed: Observed, placement: Placement, revision: Revision) -> int:
    """Worker pods: what the spec says, or what an autoscaler has chosen for this or the active revision."""
    worker = observed.spec.worker
    if worker.autoscaling is None or worker.autoscaling.mode == "Disabled":
        return worker.replicas
    sources = [revision, placement.active] if placement.active else [revision]
    names_of = [names.deployment(observed.owner.name, names.WORKER, source.digest) for source in sources]
    live = [observed.objects.get(("Deployment", name)) for name in names_of]
    chosen = [item["spec"].get("replicas", 0) for item in live if item is not None]
    return max(chosen[0] if chosen else 0, worker.autoscaling.min_replicas)


def lacking(observed: Observed, placement: Placement, revision: Revision) -> str:
    """What keeps the revision from having all its pods ready; empty when it has."""
    if (short := _short(observed, placement, revision)) is None:
        return ""
    component, ready, count = short
    why = cause(observed, revision, component)
    return f"{ready} of {count} {component} pods are ready" + (f" ({why})" if why else "")


def why(observed: Observed, placement: Placement, revision: Revision) -> str:
    """The cause alone; empty when all pods are ready, or it is not known."""
    short = _short(observed, placement, revision)
    return cause(observed, revision, short[0]) if short else ""


def _short(observed: Observed, placement: Placement, revision: Revision) -> tuple[str, int, int] | None:
    """The first component that lacks ready pods, how many it has and how many it is to have."""
    wanted = {
        names.API: api_replicas(observed, placement, revision),
        names.WORKER: worker_replicas(observed, placement, revision),
    }
    counts = ((name, len(observed.ready(revision.digest, name)), count) for name, count in wanted.items())
    return next((found for found in counts if found[1] < found[2]), None)


def cause(observed: Observed, revision: Revision, component: str) -> str:
    """Why pods do not become ready, as a person would find it: what a pod says, or why none is made."""
    if why := next((pod.waiting for pod in observed.of(revision.digest, component) if pod.waiting), ""):
        return why
    key = ("Deployment", names.deployment(observed.owner.name, component, revision.digest))
    live = observed.objects.get(key) or {}
    if refused := observed.refusals.get(key):
        return refused
    failures = [
        f"{entry.get('reason', '')}: {entry.get('message', '')}"
        for entry in (live.get("status") or {}).get("conditions") or []
        if entry.get("type") == "ReplicaFailure" and entry.get("status") == "True"
    ]
    return failures[0] if failures else ""
