"""The status of an environment, from what was observed and decided.

It may be lost: no step of a release or a rotation depends on it. It is read for what was told before (an Event once,
since when a condition holds), for the number of a revision whose record somebody deleted, and so that a restart asks
Stripe no second time of a key that it knows (`observe/credentials.py`).
"""

from datetime import datetime, timedelta
from typing import Final

import msgspec

from payment_operator import names
from payment_operator.api.status import (
    CandidateStatus,
    EnvironmentStatus,
    FailedStatus,
    MigrationStatus,
    PreviousStatus,
    RevisionStatus,
)
from payment_operator.decide.release.jobs import number_of
from payment_operator.decide.release.override import serving
from payment_operator.decide.release.traffic import blockers
from payment_operator.decide.status.bake import bake_of
from payment_operator.decide.status.conditions import findings
from payment_operator.decide.status.rotation import rotation_of, version_of
from payment_operator.decide.turn import Progress, Turn
from payment_operator.model.conditions import stamped
from payment_operator.model.observed import Observed, Revision
from payment_operator.resources import jobs
from payment_operator.resources.metadata import Manifest
from payment_operator.resources.release_record import moment, stamp

MOST_FAILURES: Final = 10


def report(turn: Turn, progress: Progress | None) -> Manifest:
    """The whole status; equal to the former one when nothing has changed."""
    observed, placement = turn.observed, turn.placement
    former = read(observed.status)
    active = serving(turn)
    now = stamp(observed.now)
    found = EnvironmentStatus(
        observed_generation=observed.metadata.get("generation", 0),
        replicas=len([pod for pod in observed.of(active.digest, names.API) if not pod.finished]) if active else 0,
        ready_replicas=len(observed.ready(active.digest)) if active else 0,
        selector=_selector(observed, active),
        active=_active(observed, active),
        candidate=_candidate(turn, progress),
        stable=_stable(observed),
        previous=_previous(turn),
        failed=_failed(observed),
        bake=bake_of(turn, former.bake),
        migration=_migration(observed, placement.candidate, placement.active),
        rotation=rotation_of(turn, former.rotation),
        conditions=stamped(
            findings(turn, progress),
            former=observed.status.get("conditions") or [],
            generation=observed.metadata.get("generation", 0),
            now=now,
        ),
    )
    if found == former:
        return observed.status
    return dict(msgspec.to_builtins(found))


def read(status: Manifest) -> EnvironmentStatus:
    """The status as it was written; an unreadable one counts as none."""
    try:
        return msgspec.convert(status, EnvironmentStatus)
    except msgspec.ValidationError:
        return EnvironmentStatus()


def _selector(observed: Observed, active: Revision | None) -> str:
    if active is None:
        return ""
    selector = observed.owner.selector(names.API, active.digest)
    return ",".join(f"{key}={value}" for key, value in selector.items())


def _active(observed: Observed, active: Revision | None) -> RevisionStatus | None:
    if active is None:
        return None
    return RevisionStatus(
        revision=active.number,
        hash=active.digest,
        image=active.image,
        credentials_version=version_of(observed, active),
        since=active.record.active_at or None,
        ready_replicas=len(observed.ready(active.digest)),
    )


def _candidate(turn: Turn, progress: Progress | None) -> CandidateStatus | None:
    revision = None if turn.placement.fresh else turn.placement.candidate or turn.placement.active
    if revision is None or progress is None:
        return None
    return CandidateStatus(
        revision=revision.number,
        hash=revision.digest,
        image=revision.image,
        step=progress.step,
        step_since=progress.since or None,
        started_at=revision.record.started_at or None,
        deadline=stamp(progress.deadline) if progress.deadline else None,
        waiting_for=progress.waiting,
        cause=progress.cause,
        attempt=revision.record.attempt,
        ready_replicas=len(turn.observed.ready(revision.digest)),
    )


def _stable(observed: Observed) -> int | None:
    stable = [r for r in observed.revisions.values() if r.record.stable_at and r.record.state != "Failed"]
    return max(stable, key=lambda r: (r.record.switch, r.record.active_at)).number if stable else None


def _previous(turn: Turn) -> PreviousStatus | None:
    observed, running = turn.observed, turn.placement.previous
    left = [r for r in observed.revisions.values() if r.record.replaced_at and r.record.state == "Replaced"]
    revision = running or max(left, key=lambda r: r.record.replaced_at, default=None)
    if revision is None or revision is serving(turn):
        return None
    again = f"its pods have ended; a rollback to {revision.number} releases it again, with plan and smoke"
    blocked = "; ".join(blockers(turn)) if running else again
    until = _retained_until(observed, revision) if running else None
    return PreviousStatus(
        revision=revision.number,
        hash=revision.digest,
        image=revision.image,
        rollbackable=not blocked,
        blocked_reason=blocked or None,
        retain_until=stamp(until) if until else None,
        ready_replicas=len(observed.ready(revision.digest)),
    )


def _retained_until(observed: Observed, revision: Revision) -> datetime | None:
    if not revision.record.replaced_at:
        return None
    return moment(revision.record.replaced_at) + timedelta(seconds=observed.spec.release.retain_seconds)


def _failed(observed: Observed) -> list[FailedStatus]:
    found = [
        FailedStatus(
            revision=revision.number,
            hash=revision.digest,
            attempt=revision.record.attempt,
            reason=failure.reason,
            message=failure.message,
            at=failure.at,
        )
        for revision in observed.revisions.values()
        if (failure := revision.record.failure) is not None and revision.record.state != "Unknown"
    ]
    return sorted(found, key=lambda entry: (entry.at, entry.revision), reverse=True)[:MOST_FAILURES]


def _migration(observed: Observed, *revisions: Revision | None) -> MigrationStatus | None:
    """What the first of these that has a plan still has to run, and what the last Job of any has left."""
    planned = next((r.record.migration for r in revisions if r is not None and r.record.migration), None)
    if planned is None:
        return None
    current = _schema(observed)
    return MigrationStatus(
        current=current,
        target=planned.target,
        pending=[entry for entry in planned.pending if not current.isdigit() or number_of(entry) > int(current)],
        lint=list(planned.lint),
        sql=planned.sql,
        contract_pending=planned.contract,
    )


def _schema(observed: Observed) -> str:
    """The database's schema as the last Job that saw or changed it has told."""
    told = [
        (record.step(step).at, order, record.migration.current)
        for record in (revision.record for revision in observed.revisions.values())
        for order, step in enumerate((jobs.PLAN, jobs.EXPAND, jobs.CONTRACT))
        if record.migration is not None and record.done(step)
    ]
    return max(told)[2] if told else ""
