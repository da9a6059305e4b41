"""Where traffic goes: the switch, its completion, the bake, the way back, and the end of what served before.

The Service is the commit record: its selector and the annotation that says from where, to where and since when are one
patch, which tests the selector that was read. It never selects a revision without a ready pod.
"""

from datetime import timedelta
from typing import Any

import msgspec

from payment_operator import names
from payment_operator.actions import Create, Patch, pointer
from payment_operator.decide import api_key, database_rotation, sizes
from payment_operator.decide.compromise import replaces_leaked
from payment_operator.decide.roles import baking
from payment_operator.decide.turn import Progress, Turn
from payment_operator.observed import Observed, Revision
from payment_operator.record import moment, stamp
from payment_operator.resources.services import Cutover, new_api_service


def cut_over(turn: Turn, revision: Revision) -> Progress:
    """Send traffic to the candidate, whose pods are ready and proven."""
    observed, active = turn.observed, turn.roles.active
    since = turn.since(revision, "scale")
    missing = sizes.lacking(observed, turn.roles, revision)
    if missing or not reached(observed, revision):
        turn.decision.look_again(0.5)
        return Progress("CutOver", missing or "the endpoints of the candidate", since)
    union = active is not None and observed.spec.release.cutover.mode == "Overlap"
    point(turn, to=revision, source=active, union=union)
    return Progress("CutOver", "", since)


def reached(observed: Observed, revision: Revision) -> bool:
    """Whether the preview Service has exactly the ready pods of this revision behind it, and some."""
    ready = frozenset(pod.uid for pod in observed.ready(revision.digest))
    return bool(ready) and observed.serving.get(names.preview_service(observed.owner.name)) == ready


def point(turn: Turn, *, to: Revision, source: Revision | None, union: bool = False) -> None:
    """Write the Service's selector and its commit record, in one patch."""
    owner = turn.observed.owner
    cutover = Cutover(to=to.digest, source=source.digest if source else "", at=stamp(turn.observed.now))
    service = turn.observed.objects.get(("Service", names.api_service(owner.name)))
    if service is None:
        turn.decision.actions.append(Create(new_api_service(owner, turn.observed.spec, cutover=cutover)))
    else:
        selector = owner.selector(names.API, "" if union else to.digest)
        turn.decision.actions.append(_patch(service, selector=selector, cutover=cutover))
    turn.decision.look_again(0.05)


def _patch(service: dict[str, Any], *, selector: dict[str, str], cutover: Cutover | None) -> Patch:
    present = service["spec"].get("selector")
    operations: list[dict[str, Any]] = [
        {"op": "test", "path": "/spec/selector", "value": present},
        {"op": "replace", "path": "/spec/selector", "value": selector},
    ]
    annotations = service["metadata"].get("annotations")
    text = (annotations or {}).get(names.ANNOTATION_CUTOVER)
    place = pointer(names.ANNOTATION_CUTOVER)
    if text is not None:
        operations.append({"op": "test", "path": place, "value": text})
    elif annotations is None:
        operations.append({"op": "add", "path": "/metadata/annotations", "value": {}})
    if cutover is not None:
        operations.append({"op": "add", "path": place, "value": cutover.encode()})
    return Patch("Service", service["metadata"]["name"], tuple(operations))


def settle(turn: Turn) -> Progress | None:
    """After a switch, write into the records what the Service says; make a lost Service again."""
    active, cutover = turn.roles.active, turn.observed.cutover
    if active is None:
        return None
    if cutover is None:
        _restore(turn, active)
        return None
    source = turn.observed.revisions.get(cutover.source)
    if active.record.state not in {"Active", "Failed"}:
        first = source is None
        stable = active.record.stable_at or (cutover.at if first else "")
        record = msgspec.structs.replace(
            active.record, state="Active", active_at=cutover.at, stable_at=stable, replaced_at="", retired_at=""
        )
        turn.save(active, record)
        turn.decision.tell("TrafficSwitched", f"Traffic goes to revision {active.number}")
        back = source is not None and source.record.state == "Failed"
        turn.decision.outcomes += ["rolled_back"] if back else ["released"] if first else []
        return Progress("CutOver", "", cutover.at)
    if source is not None and source.digest != active.digest and source.record.state == "Active":
        replaced = msgspec.structs.replace(source.record, state="Replaced", replaced_at=cutover.at, rollback_from="")
        turn.save(source, replaced)
        return Progress("CutOver", "", cutover.at)
    return None


def _restore(turn: Turn, active: Revision) -> None:
    """Make the Service again as it was before somebody deleted it."""
    previous = turn.roles.previous
    cutover = Cutover(to=active.digest, source=previous.digest if previous else "", at=active.record.active_at)
    turn.decision.actions.append(Create(new_api_service(turn.observed.owner, turn.observed.spec, cutover=cutover)))


def complete(turn: Turn) -> Progress | None:
    """After the overlap, let the Service select the new revision only."""
    observed, active, cutover = turn.observed, turn.roles.active, turn.observed.cutover
    if active is None or cutover is None or not observed.overlapping or active.record.state == "Failed":
        return None
    name = names.api_service(observed.owner.name)
    over = moment(cutover.at) + timedelta(seconds=observed.spec.release.cutover.overlap_seconds)
    ready = {pod.uid for pod in observed.ready(active.digest)}
    if observed.now < over:
        turn.decision.look_again(turn.seconds_until(over))
    elif not ready or not ready <= observed.serving.get(name, frozenset()):
        turn.decision.look_again(0.5)
    else:
        service = observed.objects["Service", name]
        selector = observed.owner.selector(names.API, active.digest)
        turn.decision.actions.append(_patch(service, selector=selector, cutover=None))
        turn.decision.look_again(0.05)
        return Progress("CutOver", "", cutover.at)
    return _breach(turn) or Progress("CutOver", "the overlap to end", cutover.at, over)


def go_back(turn: Turn) -> Progress | None:
    """Send traffic back from a revision that has failed."""
    active, previous = turn.roles.active, turn.roles.previous
    if active is None or active.record.state != "Failed":
        return None
    failure = active.record.failure
    waiting = "; ".join(blockers(turn))
    if previous is not None and not waiting:
        point(turn, to=previous, source=active)
        why = failure.reason if failure else "failed"
        turn.decision.tell("RolledBack", f"Revision {active.number}: {why}; traffic goes back to {previous.number}")
    else:
        turn.decision.look_again(2)
    return Progress("Rollback", waiting, failure.at if failure else "")


def blockers(turn: Turn) -> list[str]:
    """Why traffic cannot go back to the revision that served before; empty when it can."""
    observed, active, previous = turn.observed, turn.roles.active, turn.roles.previous
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
    if why := database_rotation.blocker(observed, previous):
        found.append(f"revision {number}: {why}")
    return found


def bake(turn: Turn) -> Progress | None:
    """Watch the new revision; it goes back by itself, or becomes stable."""
    observed, active, cutover = turn.observed, turn.roles.active, turn.observed.cutover
    if active is None or cutover is None or not baking(active):
        return None
    limits = observed.spec.release.bake
    if progress := _breach(turn):
        return progress
    over = moment(cutover.at) + timedelta(seconds=limits.seconds)
    looked = observed.bake.looks > 0 or limits.seconds == 0
    if observed.now >= over and looked and (not observed.bake.breaches or _only_report(turn)):
        turn.save(active, msgspec.structs.replace(active.record, stable_at=stamp(observed.now)))
        turn.decision.tell("Released", f"Revision {active.number} is stable")
        turn.decision.outcomes.append("released")
        api_key.tell_of_old(turn, active)
        return Progress("Bake", "", cutover.at)
    turn.decision.look_again(min(limits.interval_seconds, turn.seconds_until(over) or 1))
    waiting = observed.bake.breach or "the bake to end"
    return Progress("Bake", waiting, cutover.at, over)


def _only_report(turn: Turn) -> bool:
    return turn.observed.spec.release.auto_rollback == "Disabled"


def _breach(turn: Turn) -> Progress | None:
    """Fail the active revision when its metrics say so for long enough and the way back is open."""
    observed, active = turn.observed, turn.roles.active
    seen = observed.bake
    if active is None or not baking(active) or seen.breaches < observed.spec.release.bake.failure_limit:
        return None
    if _only_report(turn) or blockers(turn):
        return None
    record = active.record.failed("BakeFailed", turn.clean(seen.breach), at=observed.now)
    turn.save(active, record)
    turn.decision.tell("BakeFailed", f"Revision {active.number}: {seen.breach}", warning=True)
    turn.decision.outcomes.append("failed")
    return Progress("Bake", seen.breach, active.record.active_at)


def retire(turn: Turn) -> Progress | None:
    """End the pods of what served before: after the retention, or once its clients left if it failed or leaked."""
    observed, active, previous, cutover = turn.observed, turn.roles.active, turn.roles.previous, turn.observed.cutover
    if active is None or previous is None or cutover is None or observed.overlapping:
        return None
    at_once = previous.record.state == "Failed" or replaces_leaked(observed, previous, active)
    if (not at_once and observed.spec.suspend) or not active.record.stable_at:
        return None
    release = observed.spec.release
    over = moment(cutover.at) + timedelta(seconds=release.drain_seconds if at_once else release.retain_seconds)
    if observed.now < over:
        turn.decision.look_again(turn.seconds_until(over))
        return None
    turn.save(previous, msgspec.structs.replace(previous.record, retired_at=stamp(observed.now)))
    turn.decision.tell("Retired", f"Revision {previous.number} ends")
    return Progress("Retire", "", cutover.at)
