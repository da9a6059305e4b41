"""The steps of a release until the switch: Plan, Expand, Deploy, Smoke, Hold, Scale, Cutover."""

from datetime import timedelta
from typing import Final

import msgspec

from payment_operator import names
from payment_operator.decide.release import replicas, traffic
from payment_operator.decide.release.jobs import (
    REASONS,
    awaited,
    ended_in,
    gone,
    gone_words,
    make,
    migrate,
    name_of,
    not_started,
    pods_of,
)
from payment_operator.decide.release.termination_messages import shortened
from payment_operator.decide.rotation.leaks import hurries, replaces_leaked
from payment_operator.decide.turn import Progress, Turn
from payment_operator.model.actions import Create, Part
from payment_operator.model.observed import Revision
from payment_operator.resources import credentials, jobs, pods
from payment_operator.resources.release_record import ReleaseRecord, StepRecord, moment, stamp
from payment_operator.resources.revisions import controller_revision

MOST_MOVES: Final = 10
"""Runs of one attempt at smoke that count as nothing; more, and a release would wait for ever."""

FULL: Final = "exceeded quota"
"""What passes by itself, or by a person who raises the quota: the release waits for that as it does for pods."""


def advance(turn: Turn) -> Progress | None:
    """Take the candidate one step further; None when there is no candidate."""
    placement, observed = turn.placement, turn.observed
    if placement.fresh:
        return Progress("Validate", observed.suspended) if observed.suspended else _create(turn)
    if placement.candidate is None:
        return None
    if observed.suspended:
        rehearsal = Turn(observed, turn.staged, placement, Part())
        progress = _next(rehearsal, placement.candidate)
        return Progress(progress.step, observed.suspended, progress.since)
    return _next(turn, placement.candidate)


def _next(turn: Turn, revision: Revision) -> Progress:
    if revision.record.state != "Releasing":
        turn.save(revision, revision.record.again(at=turn.observed.now))
        return Progress("Validate")
    for step in (_refused, _plan, _expand, _request_pods, _smoke, _hold, _still_proven, _scale):
        progress = step(turn, revision)
        if progress is not None:
            return progress
    return traffic.cut_over(turn, revision)


def _create(turn: Turn) -> Progress:
    """Write the credentials and then the revision, unless it exists already."""
    observed, placement = turn.observed, turn.placement
    digest = turn.staged.digest
    number = max((revision.number for revision in observed.revisions.values()), default=0) + 1
    replica = "DATABASE_REPLICA_URL" in turn.staged.values
    rendered = pods.manifests(
        observed.owner, observed.spec, revision=placement.desired, credentials=digest, replica=replica
    )
    revision = controller_revision(
        observed.owner,
        digest=placement.desired,
        number=number,
        content=placement.content or {},
        manifests=rendered,
        record=ReleaseRecord(started_at=stamp(observed.now)),
    )
    if ("Secret", names.credentials(observed.owner.name, digest)) not in observed.objects:
        turn.decision.actions.append(new_credentials(turn))
    turn.decision.actions.append(Create(revision))
    turn.decision.emit_event("ReleaseStarted", f"Revision {number}: {observed.spec.image}")
    turn.decision.look_again(0.05)
    return Progress("Validate", "", stamp(observed.now))


def new_credentials(turn: Turn) -> Create:
    """Make the Secret with the staged credentials, under the next version number."""
    versions = [
        int((item["metadata"].get("annotations") or {}).get(names.ANNOTATION_CREDENTIALS_VERSION, 0))
        for (kind, _), item in turn.observed.objects.items()
        if kind == "Secret"
    ]
    version = max(versions, default=0) + 1
    return Create(credentials.credentials_secret(turn.observed.owner, turn.staged, version=version))


def _refused(turn: Turn, revision: Revision) -> Progress | None:
    """Fail when the API server does not take the candidate's objects; for a quota only if it stays full too long."""
    begun = max((step.at for step in revision.record.steps.values() if step.state == "Running"), default="")
    patience = timedelta(seconds=turn.observed.spec.release.progress_deadline_seconds)
    early = bool(begun) and turn.observed.now < moment(begun) + patience
    for (kind, name), answer in turn.observed.refusals.items():
        if revision.digest in name and kind != names.REQUEST_KIND and not (early and FULL in answer):
            turn.fail(revision, "ManifestRefused", f"{kind} {name}: {answer}")
            return Progress("Deploy")
    return None


def _plan(turn: Turn, revision: Revision) -> Progress | None:
    if turn.observed.spec.migrations.mode == "Disabled":
        return None
    if revision.record.done(jobs.PLAN) and revision.record.migration is not None:
        return None
    return migrate(turn, revision, jobs.PLAN)


def _expand(turn: Turn, revision: Revision) -> Progress | None:
    planned = revision.record.migration
    if planned is None or not planned.expand or revision.record.done(jobs.EXPAND):
        return None
    return migrate(turn, revision, jobs.EXPAND)


def _request_pods(turn: Turn, revision: Revision) -> Progress | None:
    """The step `deploy`: write down that the candidate is to run (the next upkeep applies it), and await its pods."""
    record = revision.record.step("deploy")
    if record.state == "Succeeded":
        return None
    if record.state != "Running":
        return _make_room(turn, revision) or turn.begin(revision, "deploy")
    return _wait_for_pods(turn, revision, "deploy") or turn.finish(revision, "deploy")


def _make_room(turn: Turn, revision: Revision) -> Progress | None:
    """At most two revisions have pods: the one that serves and the candidate."""
    placement, observed = turn.placement, turn.observed
    if placement.previous is not None:
        retired = msgspec.structs.replace(placement.previous.record, retired_at=stamp(observed.now))
        turn.save(placement.previous, retired)
        return Progress("Deploy", f"the pods of revision {placement.previous.number} to end")
    kept = {revision.digest} | ({placement.active.digest} if placement.active else set())
    if others := observed.populated() - kept:
        return _await_ends(turn, revision, others)
    return None


def _await_ends(turn: Turn, revision: Revision, others: set[str]) -> Progress:
    """Wait until pods of other revisions are gone; on a node that is lost they never are."""
    observed = turn.observed
    left = [pod.name for pod in observed.pods if pod.revision in others and not pod.job and not pod.finished]
    retired = [observed.revisions[digest].record.retired_at for digest in others if digest in observed.revisions]
    begun = [turn.since(revision, jobs.PLAN), turn.since(revision, jobs.EXPAND), *retired]
    since = max(moment(at) for at in begun if at)
    limit = since + timedelta(
        seconds=observed.spec.release.progress_deadline_seconds + observed.spec.release.drain_seconds
    )
    waiting = f"{len(left)} pods of {', '.join(sorted(others))} to end ({', '.join(sorted(left)[:2])})"
    if observed.now >= limit:
        why = f"waited for {waiting}; pods of a lost node end once the node is removed (`kubectl delete node`)"
        turn.fail(revision, "ProgressDeadlineExceeded", why)
    turn.decision.look_again(1)
    return Progress("Deploy", waiting, stamp(since), limit)


def _wait_for_pods(turn: Turn, revision: Revision, step: str) -> Progress | None:
    """Wait for all pods; fail at the deadline."""
    observed = turn.observed
    missing = replicas.lacking(observed, turn.placement, revision)
    if not missing:
        return None
    limit = turn.deadline(revision, step, seconds=observed.spec.release.progress_deadline_seconds)
    if observed.now >= limit:
        own = [pod for pod in observed.pods if pod.revision == revision.digest and not pod.job]
        words = [pod.last_words for pod in own if pod.last_words]
        turn.fail(revision, "ProgressDeadlineExceeded", "; ".join([missing, *map(shortened, words[:1])]))
    turn.decision.look_again(min(5.0, turn.seconds_until(limit)))
    why = replicas.why(observed, turn.placement, revision)
    return Progress(step.capitalize(), missing, turn.since(revision, step), limit, why)


def _smoke(turn: Turn, revision: Revision) -> Progress | None:
    observed = turn.observed
    record = revision.record.step(jobs.SMOKE)
    if record.state == "Succeeded":
        return None
    proofs = tuple(sorted(pod.proof for pod in observed.ready(revision.digest)))
    if record.state != "Running":
        if not traffic.reached(observed, revision):
            return traffic.await_endpoints(turn, revision, "Smoke", after=jobs.SMOKE if record.at else "deploy")
        return turn.begin(revision, jobs.SMOKE, pods=proofs)
    return _run_smoke(turn, revision, proofs)


def _run_smoke(turn: Turn, revision: Revision, proofs: tuple[str, ...]) -> Progress:
    observed, record = turn.observed, revision.record.step(jobs.SMOKE)
    name = name_of(observed, revision, jobs.SMOKE)
    job = observed.objects.get(("Job", name))
    if job is None and gone(record):
        turn.fail(revision, "JobVanished", gone_words(name))
    elif job is None:
        make(turn, revision, jobs.SMOKE, _smoke_manifest(turn, revision))
    elif (passed := ended_in(observed, job)) is None:
        turn.decision.look_again(5)
        if why := not_started(turn, revision, jobs.SMOKE, name):
            turn.fail(revision, "JobNotStarted", f"{name}: {why}")
    elif passed and set(record.pods) <= set(proofs):
        return turn.finish(revision, jobs.SMOKE)
    else:
        _smoke_failed(turn, revision, name, passed=passed)
    return awaited(turn, revision, jobs.SMOKE, seconds=observed.spec.release.smoke.timeout_seconds)


def _smoke_manifest(turn: Turn, revision: Revision) -> dict[str, object]:
    record = revision.record.step(jobs.SMOKE)
    return jobs.smoke_job(
        turn.observed.owner,
        turn.observed.spec,
        revision=revision.digest,
        run=record.run,
        pod=revision.manifests.get(pods.SMOKE) or revision.manifests[pods.MIGRATE],  # an older record has one for all
        proves=record.pods,
    )


def _smoke_failed(turn: Turn, revision: Revision, name: str, *, passed: bool) -> None:
    if passed:
        _smoke_again(turn, revision, "the pods it proved are not the ready ones any more", moved=_moved(turn, revision))
        return
    pods = pods_of(turn.observed, name)
    words = [pod.last_words for pod in pods if pod.last_words]
    if any(pod.exit_code == jobs.TAKEN for pod in pods):
        turn.fail(revision, REASONS[jobs.TAKEN], shortened(words[-1]) if words else "another environment has it")
        return
    evicted = any(pod.disrupted for pod in pods) and not any(pod.exit_code and not pod.disrupted for pod in pods)
    _smoke_again(turn, revision, shortened(words[-1]) if words else "no answer in time", moved=evicted)


def _moved(turn: Turn, revision: Revision) -> bool:
    """Whether the pods that were proved and are not ready any more are gone; one that restarted is not."""
    proofs = {pod.proof for pod in turn.observed.ready(revision.digest)}
    here = {pod.uid for pod in turn.observed.of(revision.digest, names.API) if not (pod.terminating or pod.disrupted)}
    lost = set(revision.record.step(jobs.SMOKE).pods) - proofs
    return not any(proof.rpartition(":")[0] in here for proof in lost)


def _smoke_again(turn: Turn, revision: Revision, why: str, *, moved: bool) -> None:
    """Run smoke once more, or fail the release after the last attempt; pods that were moved count as nothing."""
    record = revision.record.step(jobs.SMOKE)
    if moved and record.moved < MOST_MOVES:
        again = StepRecord(
            run=record.run + 1, at=stamp(turn.observed.now), failures=record.failures, moved=record.moved + 1
        )
        turn.save(revision, revision.record.with_step(jobs.SMOKE, again))
        return
    if record.failures + 1 >= turn.observed.spec.release.smoke.attempts:
        turn.fail(revision, "SmokeFailed", why)
        return
    again = StepRecord(
        run=record.run + 1, at=stamp(turn.observed.now), failures=record.failures + 1, moved=record.moved
    )
    turn.save(revision, revision.record.with_step(jobs.SMOKE, again))


def _hold(turn: Turn, revision: Revision) -> Progress | None:
    observed, active = turn.observed, turn.placement.active
    held = observed.spec.release.promotion == "Manual" and active is not None
    if not held or revision.record.promoted or hurries(observed, active, revision):
        return None
    how = f"kubectl payments promote {observed.owner.name} --revision {revision.number}"
    if active is not None and replaces_leaked(observed, active, revision):
        how += f"; it replaces a leaked secret: for that alone put the spec back to what revision {active.number} has"
    return Progress("Hold", how, turn.since(revision, jobs.SMOKE))


def _still_proven(turn: Turn, revision: Revision) -> Progress | None:
    """A result that is old, or of pods that are gone, is not trusted at the switch."""
    record = revision.record.step(jobs.SMOKE)
    proofs = {pod.proof for pod in turn.observed.ready(revision.digest)}
    if not set(record.pods) <= proofs:
        why = "the pods it proved are not ready any more, or have restarted"
        _smoke_again(turn, revision, why, moved=_moved(turn, revision))
        return Progress("Smoke", "", record.at)
    valid = timedelta(seconds=turn.observed.spec.release.smoke.valid_seconds)
    if revision.record.step("scale").state or turn.observed.now <= moment(record.at) + valid:
        return None
    again = StepRecord(run=record.run + 1, at=stamp(turn.observed.now))
    turn.save(revision, revision.record.with_step(jobs.SMOKE, again))
    return Progress("Smoke", "a new result, the last one is too old", record.at)


def _scale(turn: Turn, revision: Revision) -> Progress | None:
    if turn.placement.active is None:
        return None
    if revision.record.step("scale").state != "Running":
        return turn.begin(revision, "scale")
    return _wait_for_pods(turn, revision, "scale")
