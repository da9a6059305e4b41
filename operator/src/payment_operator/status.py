"""The status of an environment, from what was observed and decided. Nothing is decided from it."""

from datetime import datetime, timedelta
from typing import Final

import msgspec

from payment_operator import names
from payment_operator.api.status import (
    CandidateStatus,
    EnvironmentStatus,
    FailedStatus,
    MigrationStatus,
    OperationStatus,
    PreviousStatus,
    RevisionStatus,
)
from payment_operator.conditions import stamped
from payment_operator.decide.findings import findings
from payment_operator.decide.traffic import blockers
from payment_operator.decide.turn import Progress, Turn
from payment_operator.observed import Observed, Revision
from payment_operator.record import moment, stamp
from payment_operator.resources.metadata import Manifest
from payment_operator.rotation_status import rotation_of, version_of

MOST_FAILURES: Final = 10


def report(turn: Turn, progress: Progress | None, operation: dict[str, str] | None) -> Manifest:
    """The whole status; equal to the former one when nothing has changed."""
    observed, roles = turn.observed, turn.roles
    former = read(observed.status)
    active = roles.active
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
        migration=_migration(roles.candidate or active),
        rotation=rotation_of(turn, former.rotation),
        last_operation=OperationStatus(**operation) if operation else former.last_operation,  # type: ignore[arg-type]
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
    revision = None if turn.roles.fresh else turn.roles.candidate or turn.roles.active
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
        attempt=revision.record.attempt,
        ready_replicas=len(turn.observed.ready(revision.digest)),
    )


def _stable(observed: Observed) -> int | None:
    stable = [r for r in observed.revisions.values() if r.record.stable_at and r.record.state != "Failed"]
    return max(stable, key=lambda revision: revision.record.active_at).number if stable else None


def _previous(turn: Turn) -> PreviousStatus | None:
    observed, running = turn.observed, turn.roles.previous
    left = [r for r in observed.revisions.values() if r.record.replaced_at and r.record.state == "Replaced"]
    revision = running or max(left, key=lambda r: r.record.replaced_at, default=None)
    if revision is None:
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
        if (failure := revision.record.failure) is not None
    ]
    return sorted(found, key=lambda entry: (entry.at, entry.revision), reverse=True)[:MOST_FAILURES]


def _migration(revision: Revision | None) -> MigrationStatus | None:
    planned = revision.record.migration if revision else None
    if planned is None:
        return None
    return MigrationStatus(
        current=planned.current,
        target=planned.target,
        pending=list(planned.pending),
        lint=list(planned.lint),
        sql=planned.sql,
        contract_pending=planned.contract,
    )
