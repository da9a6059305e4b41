"""Keeps what should exist as it should be and removes what is no longer needed, whatever a release does."""

from typing import Final

from payment_operator import names
from payment_operator.decide.placement import assign
from payment_operator.decide.release import replicas, traffic
from payment_operator.decide.release.jobs import pods_of
from payment_operator.decide.release.steps import new_credentials
from payment_operator.decide.rotation.staged_credentials import staged_of
from payment_operator.decide.turn import Turn
from payment_operator.model.actions import Apply, Delete, Part, PutToPod, key_of
from payment_operator.model.observed import Key, Observed, Revision
from payment_operator.resources import credentials, scaling, services
from payment_operator.resources.metadata import Manifest
from payment_operator.resources.overlay import holds

COMPONENTS: Final = (names.API, names.WORKER)
ENDED: Final = frozenset({"Failed", "Superseded", "Replaced"})


def upkeep(turn: Turn) -> None:
    """Repair, scale, tell the pods, remove."""
    for manifest in wanted(turn):
        live = turn.observed.objects.get(key_of(manifest))
        if not holds(live, manifest):
            turn.decision.actions.append(Apply(manifest))
    _keep_credentials(turn)
    _put_to_pods(turn)
    _remove(turn)


def restore(observed: Observed) -> Part:
    """Make again what serves and is missing, and nothing else: of the spec, only a part could be read."""
    staged = staged_of(observed)
    turn = Turn(observed, staged, assign(observed, staged), Part("upkeep", independent=True))
    missing = [manifest for manifest in wanted(turn) if key_of(manifest) not in observed.objects]
    turn.decision.actions += [Apply(manifest) for manifest in missing]
    _keep_credentials(turn)
    if turn.placement.active is not None and observed.service is None:
        traffic.make_again(turn, turn.placement.active)
    return turn.decision


def wanted(turn: Turn) -> list[Manifest]:
    """Every object that is simply applied."""
    observed, placement = turn.observed, turn.placement
    owner, spec = observed.owner, observed.spec
    found = [services.metrics_service(owner, spec)]
    if turn.staged.usable:
        hot = (credentials.migration_secret, credentials.signing_key_secret)
        found += [secret for make in hot if (secret := make(owner, observed.sources)) is not None]
    if ("Service", names.api_service(owner.name)) in observed.objects:
        found.append(services.api_service(owner, spec))
    running = placement.running
    if running:
        claiming = {revision.digest: revision is placement.active for revision in running}
        shown = placement.candidate if placement.candidate in running else placement.active
        found.append(scaling.worker_config(owner, claiming=claiming))
        found.append(services.preview_service(owner, spec, revision=(shown or running[0]).digest))
    if placement.active is not None:
        found += scaling.autoscalers(owner, spec, active=placement.active.digest)
    for revision in running:
        found += _of_revision(turn, revision)
    return found


def _of_revision(turn: Turn, revision: Revision) -> list[Manifest]:
    observed, placement = turn.observed, turn.placement
    counts = {
        names.API: replicas.api_replicas(observed, placement, revision),
        names.WORKER: replicas.worker_replicas(observed, placement, revision),
    }
    found = []
    for component in COMPONENTS:
        stored = revision.manifests[component]
        found.append(observed.owner.owned(stored | {"spec": stored["spec"] | {"replicas": counts[component]}}))
        found.append(scaling.disruption_budget(observed.owner, component=component, revision=revision.digest))
    return found


def lost_credentials(turn: Turn) -> list[Revision]:
    """Running revisions whose credentials are gone and cannot be made again: their source has moved."""
    observed = turn.observed
    return [
        revision
        for revision in turn.placement.running
        if ("Secret", names.credentials(observed.owner.name, revision.credentials)) not in observed.objects
        and not (turn.staged.usable and turn.staged.digest == revision.credentials)
    ]


def _keep_credentials(turn: Turn) -> None:
    observed, staged = turn.observed, turn.staged
    if not staged.usable:
        return
    used = {revision.credentials for revision in turn.placement.running}
    name = names.credentials(observed.owner.name, staged.digest)
    if staged.digest in used and ("Secret", name) not in observed.objects:
        turn.decision.actions.append(new_credentials(turn))


def _put_to_pods(turn: Turn) -> None:
    """Which pods send their clients elsewhere, and which workers claim. A new worker begins before an old one ends."""
    observed, placement = turn.observed, turn.placement
    active = placement.active.digest if placement.active else ""
    left = placement.previous.digest if placement.previous and not observed.overlapping else ""
    running = {revision.digest for revision in placement.running}
    if active and observed.ready(active) and not observed.behind:
        turn.decision.look_again(1)  # no watch tells of endpoints
    pods = [pod for pod in observed.pods if pod.revision in running and pod.running and pod.ip and not pod.job]
    for pod in sorted(pods, key=lambda pod: pod.revision != active):
        if pod.terminating:
            continue
        if pod.component == names.API:
            drain = pod.revision == left and not observed.selects(left)
            turn.decision.actions.append(PutToPod(pod, "/drain", ("drain", drain)))
        elif pod.component == names.WORKER:
            turn.decision.actions.append(PutToPod(pod, "/worker", ("claim", pod.revision == active)))


def _remove(turn: Turn) -> None:
    """Remove the workloads of ended revisions, autoscalers that nobody wants, and what is beyond the history."""
    gone = _forgotten(turn)
    for key, item in turn.observed.objects.items():
        if "deletionTimestamp" not in item["metadata"] and _unneeded(turn, key, item, gone):
            turn.decision.actions.append(Delete(*key, item["metadata"]["uid"]))


def _unneeded(turn: Turn, key: Key, item: Manifest, gone: set[str]) -> bool:
    observed, placement = turn.observed, turn.placement
    kind, name = key
    digest = item["metadata"]["labels"].get(names.LABEL_REVISION, "")
    if kind in {"Deployment", "PodDisruptionBudget"}:
        return _ended(turn, digest)
    if kind == "HorizontalPodAutoscaler":
        active = placement.active.digest if placement.active else ""
        kept = scaling.autoscalers(observed.owner, observed.spec, active=active)
        return name not in {manifest["metadata"]["name"] for manifest in kept}
    if kind == "ControllerRevision":
        return digest in gone
    if kind == "Job":
        unstarted = not any(pod.running or pod.finished for pod in pods_of(observed, name))
        return digest in gone or (
            _ended(turn, digest) and unstarted and not (item.get("status") or {}).get("conditions")
        )
    return kind == "Secret" and _unused_version(turn, item, gone)


def _ended(turn: Turn, digest: str) -> bool:
    """Whether a revision's pods may go: its own record must say that it is over."""
    revision = turn.observed.revisions.get(digest)
    if revision is None or digest in {running.digest for running in turn.placement.running}:
        return False
    if turn.observed.selects(digest) or (turn.observed.cutover is not None and turn.observed.cutover.to == digest):
        return False
    return revision.record.state in ENDED


def _unused_version(turn: Turn, item: Manifest, gone: set[str]) -> bool:
    """Whether a version of the credentials belongs to no revision that is kept."""
    if names.ANNOTATION_CREDENTIALS_VERSION not in (item["metadata"].get("annotations") or {}):
        return False
    kept = {r.credentials for r in turn.observed.revisions.values() if r.digest not in gone}
    kept.add(turn.staged.digest if turn.staged.usable else "")
    known = {names.credentials(turn.observed.owner.name, digest) for digest in kept}
    return turn.staged.usable and item["metadata"]["name"] not in known


def _forgotten(turn: Turn) -> set[str]:
    """Revisions beyond the history limit."""
    placement = turn.placement
    parts = (placement.active, placement.previous, placement.candidate, placement.failed)
    kept = {revision.digest for revision in parts if revision is not None} | {placement.desired}
    others = [r for r in turn.observed.revisions.values() if r.digest not in kept and r.record.state in ENDED]
    newest = sorted(others, key=lambda revision: revision.number, reverse=True)
    populated = turn.observed.populated()
    limit = turn.observed.spec.release.revision_history_limit
    return {revision.digest for revision in newest[limit:] if revision.digest not in populated}
