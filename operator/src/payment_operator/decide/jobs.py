"""Runs the Jobs of a release: written down before they are made, their results written down before they are used."""

from typing import Any, Final

import msgspec

from payment_operator import names
from payment_operator.actions import Create
from payment_operator.decide.staging import group_of
from payment_operator.decide.turn import Progress, Turn
from payment_operator.decide.words import shortened
from payment_operator.observed import Observed, Pod, Revision
from payment_operator.record import MigrationRecord, StepRecord, stamp
from payment_operator.resources import jobs
from payment_operator.resources.credentials import MIGRATION
from payment_operator.resources.metadata import Manifest

REASONS: Final = {
    2: "SettingsRefused",
    3: "MigrationLockBusy",
    4: "DestructiveMigration",
    5: "SchemaUnsupported",
    6: "ContractPending",
}
SQL_LIMIT: Final = 1500


def name_of(observed: Observed, revision: Revision, step: str) -> str:
    """The Job that a step runs now."""
    return names.job(observed.owner.name, step, revision.digest, revision.record.step(step).run)


def ended(job: Manifest) -> bool | None:
    """Whether a Job has succeeded; None while it runs."""
    conditions = {entry["type"]: entry["status"] for entry in (job.get("status") or {}).get("conditions") or []}
    if conditions.get("Complete") == "True":
        return True
    return False if conditions.get("Failed") == "True" else None


def busy(observed: Observed, *, but: str) -> str:
    """The name of another migration Job that runs."""
    for (kind, name), job in observed.objects.items():
        step = kind == "Job" and job["metadata"]["labels"].get(names.LABEL_STEP)
        if step in jobs.MIGRATIONS and name != but and ended(job) is None:
            return name
    return ""


def migrate(turn: Turn, revision: Revision, step: str) -> Progress:
    """Run plan, expand or contract to its end; the caller stops calling once the record says it succeeded."""
    name = name_of(turn.observed, revision, step)
    title = step.capitalize()
    record = revision.record.step(step)
    if other := busy(turn.observed, but=name):
        turn.decision.look_again(2)
        return Progress(title, f"the Job {other} to end", turn.since(revision, step))
    if record.state != "Running":
        turn.begin(revision, step)
        return Progress(title, "", stamp(turn.observed.now))
    job = turn.observed.objects.get(("Job", name))
    if job is None:
        turn.decision.actions.append(Create(_manifest(turn.observed, revision, step)))
    elif ended(job) is None:
        _await(turn, revision, step, name)
    elif ended(job):
        _succeeded(turn, revision, step, name)
    else:
        _failed(turn, revision, step, job)
    limit = turn.deadline(revision, step, seconds=turn.observed.spec.migrations.active_deadline_seconds)
    return Progress(title, f"the Job {name}", record.at, limit)


def _manifest(observed: Observed, revision: Revision, step: str) -> Manifest:
    return jobs.migration_job(
        observed.owner,
        observed.spec,
        step=step,
        revision=revision.digest,
        run=revision.record.step(step).run,
        pod=revision.manifests["job"],
        owner_role=MIGRATION in observed.sources.values,
        group=group_of(observed),
    )


def pods_of(observed: Observed, job: str) -> list[Pod]:
    """The pods of a Job."""
    return [pod for pod in observed.pods if pod.job == job]


def not_started(turn: Turn, revision: Revision, step: str, name: str) -> str:
    """Why no pod of the Job has run within the progress deadline; empty when one has or time is left."""
    pods = pods_of(turn.observed, name)
    if any(pod.running or pod.finished for pod in pods):
        return ""
    seconds = turn.observed.spec.release.progress_deadline_seconds
    if turn.observed.now < turn.deadline(revision, step, seconds=seconds):
        return ""
    return next((pod.waiting for pod in pods if pod.waiting), "no pod of it has started")


def _await(turn: Turn, revision: Revision, step: str, name: str) -> None:
    turn.decision.look_again(5)
    if why := not_started(turn, revision, step, name):
        _give_up(turn, revision, step, reason="JobNotStarted", message=f"{name}: {why}")


def _succeeded(turn: Turn, revision: Revision, step: str, name: str) -> None:
    record = revision.record
    words = [pod.last_words for pod in pods_of(turn.observed, name) if pod.exit_code == 0 and pod.last_words]
    if step == jobs.PLAN and not words:
        again = StepRecord(run=record.step(step).run + 1)  # its pod is gone, and with it what it said
        turn.save(revision, record.with_step(step, again))
        return
    if step == jobs.PLAN:
        record = msgspec.structs.replace(record, migration=_plan(words[-1], turn.observed.logs.get(name, "")))
    elif step == jobs.CONTRACT and record.migration is not None:
        migration = msgspec.structs.replace(record.migration, contract=False, pending=())
        record = msgspec.structs.replace(record, migration=migration)
    turn.finish(revision, step, record)


def _plan(words: str, log: str) -> MigrationRecord:
    try:
        plan: dict[str, Any] = msgspec.json.decode(words)
    except msgspec.DecodeError:
        return MigrationRecord(lint=("the plan's result could not be read",), expand=True)
    pending, runnable = plan.get("pending") or [], plan.get("runnable") or []
    return MigrationRecord(
        current=str(plan.get("current", "")),
        target=str(plan.get("target", "")),
        pending=tuple(f"{item['number']} {item['phase']}: {item['summary']}" for item in pending)[:20],
        lint=tuple(str(finding) for finding in plan.get("findings") or [])[:20],
        sql=log[:SQL_LIMIT],
        expand=bool(runnable),
        contract=len(pending) > len(runnable),
    )


def _failed(turn: Turn, revision: Revision, step: str, job: Manifest) -> None:
    pods = pods_of(turn.observed, job["metadata"]["name"])
    codes = [pod.exit_code for pod in pods if pod.exit_code]
    words = [pod.last_words for pod in pods if pod.exit_code and pod.last_words]
    conditions = (job.get("status") or {}).get("conditions") or []
    why = next((entry.get("message", "") for entry in conditions if entry["type"] == "Failed"), "")
    default = "PlanFailed" if step == jobs.PLAN else "MigrationFailed"
    reason = REASONS.get(codes[-1], default) if codes else default
    _give_up(turn, revision, step, reason=reason, message=(words and shortened(words[-1])) or why)


def _give_up(turn: Turn, revision: Revision, step: str, *, reason: str, message: str) -> None:
    if step != jobs.CONTRACT:
        turn.fail(revision, reason, message)
        return
    message = turn.clean(message)
    failed = StepRecord(
        run=revision.record.step(step).run, state="Failed", at=stamp(turn.observed.now), message=message
    )
    turn.save(revision, revision.record.with_step(step, failed))
    turn.decision.tell("ContractFailed", f"Revision {revision.number}: {reason}: {message}", warning=True)
