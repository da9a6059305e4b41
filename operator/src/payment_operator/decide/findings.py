"""What the conditions of an environment say."""

from payment_operator.conditions import UNKNOWN, Finding, true_or_false
from payment_operator.decide import contract, sizes
from payment_operator.decide.roles import baking
from payment_operator.decide.staging import checked
from payment_operator.decide.traffic import blockers
from payment_operator.decide.turn import Progress, Turn
from payment_operator.decide.upkeep import lost_credentials
from payment_operator.observed import Observed, Revision
from payment_operator.resources import jobs


def findings(turn: Turn, progress: Progress | None) -> list[Finding]:
    """Every condition, whether it is known or not."""
    stalled = _stalled(turn)
    reconciling = _reconciling(turn, progress)
    return [
        _ready(turn, stalled, reconciling),
        _available(turn),
        reconciling,
        stalled,
        _secrets(turn),
        _migrated(turn),
        _candidate(turn),
        _switched(turn),
        _baking(turn),
        _rollback(turn),
        Finding(
            "Suspended", true_or_false(turn.observed.spec.suspend), "Suspend" if turn.observed.spec.suspend else "No"
        ),
    ]


def _ready(turn: Turn, stalled: Finding, reconciling: Finding) -> Finding:
    active = turn.roles.active
    for other in (stalled, reconciling):
        if other.status == "True":
            return Finding("Ready", "False", other.reason, other.message)
    available = _available(turn)
    if active is None or available.status != "True":
        return Finding("Ready", "False", available.reason, available.message)
    return Finding("Ready", "True", "Serving", f"revision {active.number} serves what the spec asks for")


def _available(turn: Turn) -> Finding:
    active = turn.roles.active
    if active is None:
        return Finding("Available", "False", "NoActiveRevision", "no revision has had traffic yet")
    ready = len(turn.observed.ready(active.digest))
    wanted = turn.observed.spec.replicas
    if not ready and wanted:
        missing = sizes.lacking(turn.observed, turn.roles, active)
        return Finding("Available", "False", "NoReadyPods", f"revision {active.number}: {missing}")
    return Finding("Available", "True", "Serving", f"revision {active.number} serves")


def _reconciling(turn: Turn, progress: Progress | None) -> Finding:
    roles = turn.roles
    if progress is not None:
        revision = None if roles.fresh else roles.candidate or roles.active
        which = f"revision {revision.number}" if revision else "a new revision"
        waiting = f", waiting for {progress.waiting}" if progress.waiting else ""
        return Finding("Reconciling", "True", progress.step, f"{which}: {progress.step}{waiting}")
    return Finding("Reconciling", "False", "Settled", "nothing is under way")


def _stalled(turn: Turn) -> Finding:
    observed, roles = turn.observed, turn.roles
    if not observed.sources.usable:
        return Finding("Stalled", "True", "SecretsInvalid", "; ".join(observed.sources.problems))
    if lost := lost_credentials(turn):
        which = ", ".join(str(revision.number) for revision in lost)
        message = (
            f"the credentials of revision {which} were deleted and their source has changed; its pods run on, "
            f"but cannot be replaced; {_successor(turn)}"
        )
        return Finding("Stalled", "True", "CredentialsLost", message)
    active = roles.active
    if active is not None and active.record.state == "Failed" and (found := blockers(turn)):
        return Finding("Stalled", "True", "RollbackBlocked", "; ".join(found))
    limit = observed.spec.release.bake.failure_limit
    if baking(active) and observed.bake.breaches >= limit and (found := blockers(turn)):
        return Finding("Stalled", "True", "RollbackBlocked", f"{observed.bake.breach}; {'; '.join(found)}")
    return _contract_failed(active) or _key_refused(observed) or _release_failed(turn)


def _successor(turn: Turn) -> str:
    withheld = turn.roles.withheld
    return f"a new revision waits for {withheld}" if withheld else "a new revision takes over"


def _contract_failed(active: Revision | None) -> Finding | None:
    if active is None or active.record.step(jobs.CONTRACT).state != "Failed":
        return None
    return Finding("Stalled", "True", "ContractFailed", active.record.step(jobs.CONTRACT).message)


def _key_refused(observed: Observed) -> Finding | None:
    if not observed.sources.refused:
        return None
    message = f"{'; '.join(observed.sources.refused)}; the key in use goes on serving"
    return Finding("Stalled", "True", "KeyRefused", message)


def _release_failed(turn: Turn) -> Finding:
    wanted, active = turn.roles.failed, turn.roles.active
    if wanted is not None and wanted.record.failure is not None:
        failure = wanted.record.failure
        serving = f"; revision {active.number} serves" if active and active.digest != wanted.digest else ""
        other = f"; the new credentials wait for {turn.roles.withheld}" if wanted.digest != turn.roles.desired else ""
        message = f"revision {wanted.number}: {failure.reason}: {failure.message}{serving}{other}"
        return Finding("Stalled", "True", failure.reason, message)
    return Finding("Stalled", "False", "Progressing")


def _secrets(turn: Turn) -> Finding:
    check = checked(turn.observed)
    if turn.observed.sources.refused:
        return Finding(
            "SecretsValid", "False", check.reason if check else "Refused", "; ".join(turn.observed.sources.refused)
        )
    if turn.observed.sources.usable and check is not None and check.state == "Unknown":
        return Finding("SecretsValid", UNKNOWN, check.reason, check.message)
    if turn.observed.sources.usable:
        return Finding("SecretsValid", "True", "Valid")
    return Finding("SecretsValid", "False", "Invalid", "; ".join(turn.observed.sources.problems))


def _migrated(turn: Turn) -> Finding:
    revision = turn.roles.candidate or turn.roles.active
    if revision is None or revision.record.migration is None:
        return Finding("DatabaseMigrated", UNKNOWN, "NotPlanned")
    if revision.record.migration.expand and not revision.record.done(jobs.EXPAND):
        return Finding("DatabaseMigrated", "False", "ExpandPending", "; ".join(revision.record.migration.pending))
    if contract.waits(turn):
        return Finding(
            "DatabaseMigrated", "True", "ContractPending", "contract migrations run once older pods are gone"
        )
    return Finding("DatabaseMigrated", "True", "Migrated")


def _candidate(turn: Turn) -> Finding:
    candidate = turn.roles.candidate
    if candidate is None:
        return Finding("CandidateHealthy", UNKNOWN, "NoCandidate")
    proven = candidate.record.done(jobs.SMOKE)
    return Finding("CandidateHealthy", true_or_false(proven), "SmokePassed" if proven else "NotProven")


def _switched(turn: Turn) -> Finding:
    active = turn.roles.active
    if active is None:
        return Finding("TrafficSwitched", "False", "NoActiveRevision")
    if turn.observed.overlapping:
        return Finding("TrafficSwitched", "False", "Overlapping", f"revision {active.number} and the former one serve")
    wanted = turn.roles.desired in ("", active.digest)
    waiting = f"what the spec asks for waits for {turn.roles.withheld}" if turn.roles.withheld else ""
    return Finding("TrafficSwitched", true_or_false(wanted), "Switched" if wanted else "OtherRevision", waiting)


def _baking(turn: Turn) -> Finding:
    if not baking(turn.roles.active):
        return Finding("Baking", "False", "No")
    breach = turn.observed.bake.breach if turn.observed.bake.breaches else ""
    return Finding("Baking", "True", "Breach" if breach else "Watching", breach)


def _rollback(turn: Turn) -> Finding:
    if turn.roles.previous is None:
        return Finding("RollbackAvailable", "False", "NoEarlierRevision")
    found = blockers(turn)
    return Finding("RollbackAvailable", true_or_false(not found), "Blocked" if found else "Running", "; ".join(found))
