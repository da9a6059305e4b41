"""What the conditions of an environment say."""

from payment_operator import names
from payment_operator.decide import unsafe_pods
from payment_operator.decide.objects import lost_credentials
from payment_operator.decide.placement import baking
from payment_operator.decide.release import analysis, contract, override, replicas, revisions
from payment_operator.decide.release.traffic import blockers
from payment_operator.decide.rotation import secret_key_messages, secret_keys
from payment_operator.decide.rotation.staged_credentials import checked
from payment_operator.decide.status import faults, worker_claims
from payment_operator.decide.turn import Progress, Turn
from payment_operator.model.conditions import UNKNOWN, Finding, true_or_false
from payment_operator.model.observed import Observed, Revision
from payment_operator.resources import jobs
from payment_operator.resources.credentials import StagedCredentials


def findings(turn: Turn, progress: Progress | None) -> list[Finding]:
    """Every condition, whether it is known or not."""
    stalled, failing = _stalled(turn), faults.failing(turn.observed)
    reconciling, overridden = _reconciling(turn, progress), _overridden(turn)
    return [
        _ready(turn, stalled, failing, reconciling, overridden),
        _available(turn),
        reconciling,
        stalled,
        failing,
        _secrets(turn),
        _migrated(turn),
        _candidate(turn),
        _switched(turn),
        overridden,
        worker_claims.workers(turn),
        worker_claims.commands(turn),
        _baking(turn),
        _rollback(turn),
        _suspended(turn.observed),
    ]


def _ready(turn: Turn, *others: Finding) -> Finding:
    active = turn.placement.active
    for other in others:
        if other.status == "True":
            return Finding("Ready", "False", other.reason, other.message)
    available = _available(turn)
    if active is None or available.status != "True":
        return Finding("Ready", "False", available.reason, available.message)
    workers = worker_claims.workers(turn)
    if workers.status == "False":
        return Finding("Ready", "False", workers.reason, workers.message)
    return Finding("Ready", "True", "Serving", f"revision {active.number} serves what the spec asks for")


def _available(turn: Turn) -> Finding:
    active = turn.placement.active
    if active is None:
        return Finding("Available", "False", "NoActiveRevision", "no revision has had traffic yet")
    observed = turn.observed
    found = override.override_of(observed)
    which = override.shown(found) if found is not None else f"revision {active.number}"
    if observed.behind or (not observed.spec.replicas and found is None):
        workers = worker_claims.workers(turn)
        idle = f"; {workers.message}" if workers.status == "False" else ""
        return Finding("Available", "True", "Serving", f"{which} serves{idle}")
    if found is None and not observed.ready(active.digest):
        missing = replicas.lacking(observed, turn.placement, active)
        return Finding("Available", "False", "NoReadyPods", f"{which}: {missing}")
    service = names.api_service(observed.owner.name)
    message = f"no ready endpoint is behind the Service {service}, which is to reach {which}"
    return Finding("Available", "False", "NoReadyEndpoints", message)


def _overridden(turn: Turn) -> Finding:
    """Whether the Service's selector is what the commit record says."""
    found = override.override_of(turn.observed)
    if found is None:
        return Finding("TrafficOverridden", "False", "AsRecorded")
    return Finding("TrafficOverridden", "True", "TrafficOverridden", override.message(turn, found))


def _reconciling(turn: Turn, progress: Progress | None) -> Finding:
    placement = turn.placement
    if progress is not None:
        revision = None if placement.fresh else placement.candidate or placement.active
        which = f"revision {revision.number}" if revision else "a new revision"
        waiting = f", waiting for {progress.waiting}" if progress.waiting else ""
        return Finding("Reconciling", "True", progress.step, f"{which}: {progress.step}{waiting}")
    return Finding("Reconciling", "False", "Settled", "nothing is under way")


def _stalled(turn: Turn) -> Finding:
    observed, placement = turn.observed, turn.placement
    if left := revisions.unknown(turn):
        return _record_unknown(turn, left[0])
    if observed.unsafe or not turn.staged.usable:
        return _unusable(turn)
    if lost := lost_credentials(turn):
        which = ", ".join(str(revision.number) for revision in lost)
        message = (
            f"the credentials of revision {which} were deleted and their source has changed; its pods run on, "
            f"but cannot be replaced; {_successor(turn)}"
        )
        return Finding("Stalled", "True", "CredentialsLost", message)
    active = placement.active
    if active is not None and active.record.state == "Failed" and (found := blockers(turn)):
        return Finding("Stalled", "True", "RollbackBlocked", "; ".join(found))
    if baking(active) and (wrong := analysis.failing(observed)) and (found := blockers(turn)):
        return Finding("Stalled", "True", "RollbackBlocked", f"{wrong}; {'; '.join(found)}")
    return _contract_failed(active) or _key_refused(turn.staged) or _release_failed(turn)


def _unusable(turn: Turn) -> Finding:
    if turn.observed.unsafe:
        return Finding("Stalled", "True", "SpecInvalid", unsafe_pods.message(turn.observed.unsafe))
    return Finding("Stalled", "True", "SecretsInvalid", "; ".join(turn.staged.problems))


def _record_unknown(turn: Turn, revision: Revision) -> Finding:
    name = names.revision(turn.observed.owner.name, revision.digest)
    why = revision.record.failure.message if revision.record.failure else ""
    message = (
        f"the release record of revision {revision.number} cannot be read: {why}; nothing is released and no traffic "
        f"moves: run the operator that wrote it, or `kubectl delete controllerrevision {name}`: it is made again from "
        "its running pods"
    )
    return Finding("Stalled", "True", "RecordUnknown", message)


def _successor(turn: Turn) -> str:
    withheld = turn.placement.withheld
    return f"a new revision waits for {withheld}" if withheld else "a new revision takes over"


def _contract_failed(active: Revision | None) -> Finding | None:
    if active is None or active.record.step(jobs.CONTRACT).state != "Failed":
        return None
    return Finding("Stalled", "True", "ContractFailed", active.record.step(jobs.CONTRACT).message)


def _key_refused(staged: StagedCredentials) -> Finding | None:
    if not staged.refused:
        return None
    message = f"{'; '.join(staged.refused)}; the key in use goes on serving"
    return Finding("Stalled", "True", "KeyRefused", message)


def _release_failed(turn: Turn) -> Finding:
    wanted, active = turn.placement.failed, turn.placement.active
    if wanted is not None and wanted.record.failure is not None:
        failure = wanted.record.failure
        serving = f"; revision {active.number} serves" if active and active.digest != wanted.digest else ""
        other = (
            f"; the new credentials wait for {turn.placement.withheld}"
            if wanted.digest != turn.placement.desired
            else ""
        )
        message = f"revision {wanted.number}: {failure.reason}: {failure.message}{serving}{other}"
        return Finding("Stalled", "True", failure.reason, message)
    return Finding("Stalled", "False", "Progressing")


def _secrets(turn: Turn) -> Finding:
    check, staged = checked(turn.observed), turn.staged
    if staged.refused:
        return Finding("SecretsValid", "False", check.reason if check else "Refused", "; ".join(staged.refused))
    if staged.usable and check is not None and check.state == "Unknown":
        return Finding("SecretsValid", UNKNOWN, check.reason, check.message)
    if staged.usable:
        return _secret_keys(turn.observed)
    return Finding("SecretsValid", "False", "Invalid", "; ".join(staged.problems))


def _secret_keys(observed: Observed) -> Finding:
    """Whether each API key has its value of SECRET_KEY, and the user's Secret has every value that they need."""
    if lost := secret_keys.missing(observed):
        return Finding("SecretsValid", "False", "SecretKeyMissing", secret_key_messages.missing(lost))
    if kept := secret_keys.retained(observed):
        return Finding("SecretsValid", "False", "SecretKeyStillNeeded", secret_key_messages.kept(observed, kept))
    return Finding("SecretsValid", "True", "Valid")


def _migrated(turn: Turn) -> Finding:
    revision = turn.placement.candidate or turn.placement.active
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
    candidate = turn.placement.candidate
    if candidate is None:
        return Finding("CandidateHealthy", UNKNOWN, "NoCandidate")
    proven = candidate.record.done(jobs.SMOKE)
    return Finding("CandidateHealthy", true_or_false(proven), "SmokePassed" if proven else "NotProven")


def _switched(turn: Turn) -> Finding:
    active = turn.placement.active
    if active is None:
        return Finding("TrafficSwitched", "False", "NoActiveRevision")
    if turn.observed.overlapping:
        return Finding("TrafficSwitched", "False", "Overlapping", f"revision {active.number} and the former one serve")
    wanted = turn.placement.desired in ("", active.digest)
    waiting = f"what the spec asks for waits for {turn.placement.withheld}" if turn.placement.withheld else ""
    return Finding("TrafficSwitched", true_or_false(wanted), "Switched" if wanted else "OtherRevision", waiting)


def _baking(turn: Turn) -> Finding:
    active, observed = turn.placement.active, turn.observed
    if active is None or not baking(active):
        unproven = active.record.unproven if active is not None else ""
        return Finding("Baking", "False", "Unproven" if unproven else "No", unproven)
    if observed.bake.breaches:
        return Finding("Baking", "True", "Breach", observed.bake.breach)
    if lacking := analysis.inconclusive(observed):
        return Finding("Baking", "True", "Inconclusive", analysis.message(turn, active, lacking))
    return Finding("Baking", "True", "Unreadable" if observed.bake.unread else "Watching", observed.bake.unread)


def _rollback(turn: Turn) -> Finding:
    if turn.placement.previous is None:
        return Finding("RollbackAvailable", "False", "NoEarlierRevision")
    found = blockers(turn)
    return Finding("RollbackAvailable", true_or_false(not found), "Blocked" if found else "Running", "; ".join(found))


def _suspended(observed: Observed) -> Finding:
    frozen, waits = observed.requests.frozen, observed.suspended
    if observed.spec.suspend or not waits:
        return Finding("Suspended", true_or_false(waits), "Suspend" if waits else "No")
    if frozen is None:
        return Finding("Suspended", "True", "RequestsUnread", f"releases wait for {waits}")
    reason = f": {frozen.spec.reason}" if frozen.spec is not None and frozen.spec.reason else ""
    return Finding("Suspended", "True", "Frozen", f"request {frozen.name} of {frozen.created}{reason}; {waits}")
