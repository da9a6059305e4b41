"""Whether the pods take what the operator tells them, and whether any worker applies events."""

from typing import Final

from payment_operator import names
from payment_operator.decide.release import replicas
from payment_operator.decide.turn import Turn
from payment_operator.model.conditions import UNKNOWN, Finding
from payment_operator.model.observed import Revision
from payment_operator.resources.pods import ADMIN_PORT, CLAIM_FILE

NAMED: Final = 3


def commands(turn: Turn) -> Finding:
    """Whether commands reach the pods."""
    present = {pod.uid: pod.name for pod in turn.observed.pods if not pod.terminating}
    late = sorted(f"{present[uid]} ({path})" for uid, path in turn.observed.untaken if uid in present)
    if not late:
        return Finding("CommandsTaken", "True", "Taken")
    more = f" and {len(late) - NAMED} more" if len(late) > NAMED else ""
    message = (
        f"port {ADMIN_PORT} of {', '.join(late[:NAMED])}{more} has not taken a command for a minute: a NetworkPolicy, "
        "or a mesh that asks for mTLS, keeps the operator out; workers follow their mounted ConfigMap within two "
        "minutes, API pods do not send their clients elsewhere"
    )
    return Finding("CommandsTaken", "False", "AdminPortUnreachable", message)


def workers(turn: Turn) -> Finding:
    """Whether a worker of the revision that serves claims events."""
    observed, active = turn.observed, turn.placement.active
    if active is None or not replicas.worker_replicas(observed, turn.placement, active):
        return Finding("WorkersClaiming", UNKNOWN, "NoWorkersWanted")
    ready = observed.ready(active.digest, names.WORKER)
    if not ready:
        why = replicas.cause(observed, active, names.WORKER)
        message = "no worker pod is ready; events are stored and not applied" + (f" ({why})" if why else "")
        return Finding("WorkersClaiming", "False", "NoReadyWorkers", message)
    claims = {(pod.uid, "/worker") for pod in ready}
    # an operator that has just started believes what was true, or each start would write every status twice
    if claims - observed.untaken if observed.taken is None else claims & observed.taken:
        return Finding("WorkersClaiming", "True", "Claiming")
    if claims - observed.untaken:
        return Finding("WorkersClaiming", UNKNOWN, "NotTakenYet", "no worker has taken the command to claim events yet")
    if follows(active):
        message = f"no worker takes commands on port {ADMIN_PORT}; each follows its mounted ConfigMap instead"
        return Finding("WorkersClaiming", UNKNOWN, "FollowConfigMap", message)
    message = (
        f"no worker takes commands on port {ADMIN_PORT}, and those of revision {active.number} follow no ConfigMap: "
        "events are stored and not applied until a worker pod starts anew"
    )
    return Finding("WorkersClaiming", "False", "NoWorkerClaims", message)


def follows(revision: Revision) -> bool:
    """Whether its workers read their claim from the mounted ConfigMap; those of an older operator do not."""
    template = revision.manifests.get(names.WORKER, {}).get("spec", {}).get("template", {})
    containers = template.get("spec", {}).get("containers") or []
    return any(entry.get("name") == CLAIM_FILE for item in containers for entry in item.get("env") or [])
