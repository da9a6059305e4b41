"""Where traffic goes: the switch, its completion, the bake, the way back, and the end of what served before.

The Service is the commit record: its selector and the annotation that says from where, to where and since when are one
patch, which tests the selector that was read. It never selects a revision without a ready pod.
"""

from datetime import timedelta
from typing import Any, Final

import msgspec

from payment_operator import names
from payment_operator.decide.placement import baking
from payment_operator.decide.release import analysis, replicas
from payment_operator.decide.rotation import api_key, database
from payment_operator.decide.rotation.leaks import replaces_leaked
from payment_operator.decide.turn import Progress, Turn
from payment_operator.model.actions import Create, Patch, pointer
from payment_operator.model.commit_record import written
from payment_operator.model.observed import Observed, Revision
from payment_operator.resources.release_record import ReleaseRecord, moment, stamp
from payment_operator.resources.services import Cutover, new_api_service

ENDPOINT_SECONDS: Final = 60
"""What endpoints get beyond the time in which the pods must be ready."""


def cut_over(turn: Turn, revision: Revision) -> Progress:
    """Send traffic to the candidate, whose pods are ready and proven."""
    observed, active = turn.observed, turn.placement.active
    since = turn.since(revision, "scale")
    if replicas.lacking(observed, turn.placement, revision) or not reached(observed, revision):
        return await_endpoints(turn, revision, "CutOver", after="scale" if active else "smoke")
    overlap = active is not None and observed.spec.release.cutover.mode == "Overlap"
    point(turn, to=revision, source=active, overlap=overlap)
    return Progress("CutOver", "", since)


def await_endpoints(turn: Turn, revision: Revision, step: str, *, after: str) -> Progress:
    """Wait until the preview Service reaches the candidate's pods, which were ready once; fail at the deadline."""
    observed, service = turn.observed, names.preview_service(turn.observed.owner.name)
    waiting = replicas.lacking(observed, turn.placement, revision)
    refused = observed.refusals.get(("Service", service), "")
    if refused:
        waiting = f"the Service {service}: {refused}"
    waiting = waiting or f"the Service {service} to reach the candidate"
    seconds = observed.spec.release.progress_deadline_seconds + ENDPOINT_SECONDS
    limit = turn.deadline(revision, after, seconds=seconds)
    if observed.now >= limit:
        turn.fail(revision, "ProgressDeadlineExceeded", f"waited for {waiting}")
    turn.decision.look_again(0.5)
    why = refused or replicas.why(observed, turn.placement, revision)
    return Progress(step, waiting, turn.since(revision, after), limit, why)


def reached(observed: Observed, revision: Revision) -> bool:
    """Whether the preview Service has exactly the ready pods of this revision behind it, and some."""
    ready = frozenset(pod.uid for pod in observed.ready(revision.digest))
    return bool(ready) and observed.serving.get(names.preview_service(observed.owner.name)) == ready


def point(turn: Turn, *, to: Revision, source: Revision | None, overlap: bool = False) -> None:
    """Write the Service's selector and its commit record, in one patch."""
    at = stamp(turn.observed.now)
    commit(turn, Cutover(to=to.digest, source=source.digest if source else "", at=at, overlap=overlap))


def commit(turn: Turn, cutover: Cutover) -> None:
    """Write this commit record and the selector that it stands for, in one patch."""
    owner, service = turn.observed.owner, turn.observed.service
    if service is None:
        turn.decision.actions.append(Create(new_api_service(owner, turn.observed.spec, cutover=cutover)))
    else:
        turn.decision.actions.append(_patch(service, selector=cutover.selector(owner), cutover=cutover))
    turn.decision.look_again(0.05)


def _patch(service: dict[str, Any], *, selector: dict[str, str], cutover: Cutover) -> Patch:
    present = service["spec"].get("selector")
    operations: list[dict[str, Any]] = [{"op": "test", "path": "/metadata/uid", "value": service["metadata"]["uid"]}]
    if present is not None:
        operations.append({"op": "test", "path": "/spec/selector", "value": present})
    operations.append({"op": "add", "path": "/spec/selector", "value": selector})
    annotations = service["metadata"].get("annotations")
    text = (annotations or {}).get(names.ANNOTATION_CUTOVER)
    place = pointer(names.ANNOTATION_CUTOVER)
    if text is not None:
        operations.append({"op": "test", "path": place, "value": text})
    elif annotations is None:
        operations.append({"op": "add", "path": "/metadata/annotations", "value": {}})
    operations.append({"op": "add", "path": place, "value": cutover.encode()})
    return Patch("Service", service["metadata"]["name"], tuple(operations))


def settle(turn: Turn) -> Progress | None:
    """After a switch, write into the records what the Service says; make a lost Service or commit record again."""
    active, cutover, service = turn.placement.active, turn.observed.cutover, turn.observed.service
    if active is None:
        return None
    if cutover is None or service is None:
        make_again(turn, active)
        return None
    if written(service) != cutover:
        commit(turn, cutover)
        turn.decision.emit_event("CommitRecordRestored", f"The record of where traffic goes: revision {active.number}")
        return Progress("CutOver", "", cutover.at)
    if active.record.state not in {"Active", "Failed"} or _taken_over(active, cutover):
        return _activate(turn, active, cutover)
    others = [r for r in turn.observed.revisions.values() if r.record.state == "Active" and r.digest != active.digest]
    for other in others:
        turn.save(other, _replaced(turn, other, cutover))
    return Progress("CutOver", "", cutover.at) if others else None


def _activate(turn: Turn, active: Revision, cutover: Cutover) -> Progress:
    source = turn.observed.revisions.get(cutover.source)
    first = source is None
    stable = active.record.stable_at or (cutover.at if first or _taken_over(active, cutover) else "")
    record = msgspec.structs.replace(
        active.record,
        state="Active",
        switch=next_switch(turn.observed),
        active_at=cutover.at,
        stable_at=stable,
        replaced_at="",
        retired_at="",
        failure=None,
    )
    turn.save(active, record)
    turn.decision.emit_event("TrafficSwitched", f"Traffic goes to revision {active.number}")
    back = source is not None and source.record.state == "Failed"
    turn.decision.outcomes += ["rolled_back"] if back else ["released"] if first else []
    return Progress("CutOver", "", cutover.at)


def _taken_over(active: Revision, cutover: Cutover) -> bool:
    """Whether a person moved traffic to a revision that had failed, and that was adopted."""
    return cutover.adopted and active.record.state == "Failed" and active.record.active_at != cutover.at


def _replaced(turn: Turn, source: Revision, cutover: Cutover) -> ReleaseRecord:
    """The record of what served before; what a person left is not released again by itself."""
    if cutover.adopted and source.digest == turn.placement.desired:
        return source.record.failed("TrafficOverridden", "a person moved traffic away from it", at=turn.observed.now)
    return msgspec.structs.replace(source.record, state="Replaced", replaced_at=cutover.at, rollback_from="")


def next_switch(observed: Observed) -> int:
    """The number of a switch that is being written down."""
    return 1 + max((revision.record.switch for revision in observed.revisions.values()), default=0)


def make_again(turn: Turn, active: Revision) -> None:
    """Make the Service again as it was before somebody deleted it."""
    previous = turn.placement.previous
    at = active.record.active_at
    commit(turn, Cutover(to=active.digest, source=previous.digest if previous else "", at=at))


def complete(turn: Turn) -> Progress | None:
    """After the overlap, let the Service select the new revision only."""
    observed, active, cutover = turn.observed, turn.placement.active, turn.observed.cutover
    if active is None or cutover is None or not cutover.overlap or active.record.state == "Failed":
        return None
    if not observed.overlapping:
        commit(turn, msgspec.structs.replace(cutover, overlap=False))
        return Progress("CutOver", "", cutover.at)
    over = moment(cutover.at) + timedelta(seconds=observed.spec.release.cutover.overlap_seconds)
    ready = {pod.uid for pod in observed.ready(active.digest)}
    if observed.now < over:
        turn.decision.look_again(turn.seconds_until(over))
    elif observed.spec.replicas and (not ready or not ready <= observed.behind):
        turn.decision.look_again(0.5)
        why = replicas.why(observed, turn.placement, active)
        missing = replicas.lacking(observed, turn.placement, active) or "the Service to reach the new pods"
        return _breach(turn) or Progress("CutOver", missing, cutover.at, over, why)
    else:
        commit(turn, msgspec.structs.replace(cutover, overlap=False))
        return Progress("CutOver", "", cutover.at)
    return _breach(turn) or Progress("CutOver", "the overlap to end", cutover.at, over)


def go_back(turn: Turn) -> Progress | None:
    """Send traffic back from a revision that has failed."""
    active, previous = turn.placement.active, turn.placement.previous
    if active is None or active.record.state != "Failed":
        return None
    failure = active.record.failure
    waiting = "; ".join(blockers(turn))
    if previous is not None and not waiting:
        point(turn, to=previous, source=active)
        why = failure.reason if failure else "failed"
        turn.decision.emit_event(
            "RolledBack", f"Revision {active.number}: {why}; traffic goes back to {previous.number}"
        )
    else:
        turn.decision.look_again(2)
    return Progress("Rollback", waiting, failure.at if failure else "")


def blockers(turn: Turn) -> list[str]:
    """Why traffic cannot go back to the revision that served before; empty when it can."""
    observed, active, previous = turn.observed, turn.placement.active, turn.placement.previous
    if previous is None or active is None:
        return ["no earlier revision is running"]
    number, found = previous.number, []
    if previous.record.state == "Failed":
        found.append(f"revision {number} has failed")
    if observed.credentials_secret(previous) is None:
        found.append(f"the credentials of revision {number} are gone")
    probe, own = observed.probes.get(previous.digest), observed.probes.get(active.digest)
    if probe is not None and probe.schema_supported is False:
        found.append(f"the database's schema no longer supports revision {number}")
    elif not observed.ready(previous.digest):
        found.append(f"revision {number} has no ready pod")
    if probe is not None and probe.stripe is False and own is not None and own.stripe:
        found.append(f"Stripe does not accept the key of revision {number}")
    if why := database.blocker(observed, previous):
        found.append(f"revision {number}: {why}")
    return found


def bake(turn: Turn) -> Progress | None:
    """Watch the new revision; it goes back by itself, or becomes stable."""
    observed, active, cutover = turn.observed, turn.placement.active, turn.observed.cutover
    if active is None or cutover is None or not baking(active):
        return None
    over = analysis.ends(observed, cutover)
    if progress := _breach(turn):
        return progress
    if observed.now >= over and _concluded(turn, active):
        return Progress("Bake", "", cutover.at)
    turn.decision.look_again(min(observed.spec.release.bake.interval_seconds, turn.seconds_until(over) or 1))
    waiting = observed.bake.breach or analysis.inconclusive(observed) or "the bake to end"
    return Progress("Bake", waiting, cutover.at, over)


def _concluded(turn: Turn, active: Revision) -> bool:
    """Take the revision as stable, once the bake is long enough, if nothing is wrong with it or that is only told."""
    observed = turn.observed
    seen, unproven = observed.bake, ""
    if observed.spec.release.bake.seconds:
        if not seen.looks:
            return False
        unproven = seen.breach or seen.overall or seen.lacking
        wrong = seen.breaches or seen.overall
        if (wrong and not _only_report(turn)) or (not wrong and unproven and analysis.waits(observed)):
            return False
    unproven = turn.clean(unproven)
    turn.save(active, msgspec.structs.replace(active.record, stable_at=stamp(observed.now), unproven=unproven))
    if unproven:
        told = f"Revision {active.number} counts as stable, but nothing has proven it: {unproven}"
        turn.decision.emit_event("ReleasedUnproven", told, warning=True)
    else:
        turn.decision.emit_event("Released", f"Revision {active.number} is stable")
    turn.decision.outcomes.append("unproven" if unproven else "released")
    api_key.report_old_key(turn, active)
    return True


def _only_report(turn: Turn) -> bool:
    return turn.observed.spec.release.auto_rollback == "Disabled"


def _breach(turn: Turn) -> Progress | None:
    """Fail the active revision when its metrics say so for long enough and the way back is open."""
    observed, active = turn.observed, turn.placement.active
    if active is None or not baking(active) or not (wrong := analysis.failing(observed)):
        return None
    if _only_report(turn) or blockers(turn):
        return None
    record = active.record.failed("BakeFailed", turn.clean(wrong), at=observed.now)
    turn.save(active, record)
    turn.decision.emit_event("BakeFailed", f"Revision {active.number}: {wrong}", warning=True)
    turn.decision.outcomes.append("failed")
    return Progress("Bake", wrong, active.record.active_at)


def retire(turn: Turn) -> Progress | None:
    """End the pods of what served before: after the retention, or once its clients left if it failed or leaked."""
    observed, active, previous, cutover = (
        turn.observed,
        turn.placement.active,
        turn.placement.previous,
        turn.observed.cutover,
    )
    if active is None or previous is None or cutover is None or observed.overlapping:
        return None
    at_once = previous.record.state == "Failed" or replaces_leaked(observed, previous, active)
    if (not at_once and observed.suspended) or not active.record.stable_at:
        return None
    release = observed.spec.release
    over = moment(cutover.at) + timedelta(seconds=release.drain_seconds if at_once else release.retain_seconds)
    if observed.now < over:
        turn.decision.look_again(turn.seconds_until(over))
        return None
    turn.save(previous, msgspec.structs.replace(previous.record, retired_at=stamp(observed.now)))
    turn.decision.emit_event("Retired", f"Revision {previous.number} ends")
    return Progress("Retire", "", cutover.at)
