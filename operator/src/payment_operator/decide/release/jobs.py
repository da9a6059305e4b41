"""Runs the Jobs of a release: written down before they are made, their results written down before they are used."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from payment_operator import names
from payment_operator.decide.release.termination_messages import decoded, shortened
from payment_operator.decide.rotation.staged_credentials import group_of
from payment_operator.decide.turn import Progress, Turn
from payment_operator.model.actions import Create
from payment_operator.model.observed import Observed, Revision
from payment_operator.model.pod import Pod
from payment_operator.resources import jobs
from payment_operator.resources.credentials import MIGRATION
from payment_operator.resources.metadata import Manifest
from payment_operator.resources.pods import MIGRATE
from payment_operator.resources.release_record import MigrationRecord, StepRecord, moment, stamp

REASONS: Final = {
    2: "SettingsRefused",
    3: "MigrationLockBusy",
    4: "DestructiveMigration",
    5: "SchemaUnsupported",
    6: "ContractPending",
    jobs.TAKEN: "DatabaseTaken",
}
MOST_JOBS: Final = 5
SIDECARS_END: Final = timedelta(seconds=30)
SQL_LIMIT: Final = 1500
LONGEST_NUMBER: Final = 10
"""Digits of a migration's number."""


def name_of(observed: Observed, revision: Revision, step: str) -> str:
    """The Job that a step runs now."""
    return names.job(observed.owner.name, step, revision.digest, revision.record.step(step).run)


def ended(job: Manifest, pods: Iterable[Pod], *, now: datetime) -> bool | None:
    """Whether a Job has succeeded; None while it runs.

    A plain sidecar that never ends keeps a Job from its end: our container's own counts then. Its failure does after
    a moment only, in which a sidecar that ends with it lets the Job try again.
    """
    conditions = {entry["type"]: entry["status"] for entry in (job.get("status") or {}).get("conditions") or []}
    if conditions.get("Complete") == "True":
        return True
    if conditions.get("Failed") == "True":
        return False
    left = [pod for pod in pods if pod.job == job["metadata"]["name"] and pod.ended_at]
    if any(pod.exit_code == 0 for pod in left):
        return True
    return False if any(now - moment(pod.ended_at) > SIDECARS_END for pod in left) else None


def ended_in(observed: Observed, job: Manifest) -> bool | None:
    """Whether a Job has succeeded, as far as it was observed; None while it runs."""
    return ended(job, observed.pods, now=observed.now)


def busy(observed: Observed, *, but: str) -> str:
    """The name of another migration Job that runs."""
    for (kind, name), job in observed.objects.items():
        step = kind == "Job" and job["metadata"]["labels"].get(names.LABEL_STEP)
        if step in jobs.MIGRATIONS and name != but and ended_in(observed, job) is None:
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
    if job is None and gone(record):
        give_up(turn, revision, step, reason="JobVanished", message=gone_words(name))
    elif job is None:
        make(turn, revision, step, _manifest(turn.observed, revision, step))
    elif ended_in(turn.observed, job) is None:
        _await(turn, revision, step, name)
    elif ended_in(turn.observed, job):
        _succeeded(turn, revision, step, name)
    else:
        _failed(turn, revision, step, job)
    return awaited(turn, revision, step, seconds=turn.observed.spec.migrations.active_deadline_seconds)


def make(turn: Turn, revision: Revision, step: str, manifest: Manifest) -> None:
    """Make a step's Job, then count it: one that the API server refuses is not counted."""
    record = revision.record.step(step)
    counted = msgspec.structs.replace(record, made=record.made + 1)
    turn.decision.actions.append(Create(manifest))
    turn.save(revision, revision.record.with_step(step, counted))


def make_again(turn: Turn, revision: Revision, step: str, *, refused: str) -> None:
    """Try once more what the API server has refused, counted; after a few times give the step up, in its words."""
    name, record = name_of(turn.observed, revision, step), revision.record.step(step)
    early = ("Job", name) in turn.observed.held
    if gone(record) and not early:
        give_up(turn, revision, step, reason="ManifestRefused", message=f"Job {name}: {refused}")
        return
    counted = msgspec.structs.replace(record, made=record.made + 1)
    if not early:
        turn.save(revision, revision.record.with_step(step, counted))
    turn.decision.actions.append(Create(_manifest(turn.observed, revision, step)))


def gone(record: StepRecord) -> bool:
    """Whether a step's Job has been made as often as is tried."""
    return record.made >= MOST_JOBS


def gone_words(name: str) -> str:
    """What a person would find: nothing."""
    return (
        f"the Job {name} was made {MOST_JOBS} times and was gone before its end was seen: somebody deletes it, or a "
        "policy sets ttlSecondsAfterFinished"
    )


def _manifest(observed: Observed, revision: Revision, step: str) -> Manifest:
    return jobs.migration_job(
        observed.owner,
        observed.spec,
        step=step,
        revision=revision.digest,
        run=revision.record.step(step).run,
        pod=revision.manifests[MIGRATE],
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
    return cause(turn.observed, name) or "no pod of it has started"


def cause(observed: Observed, name: str) -> str:
    """Why no pod of a Job runs, as a person would find it; empty while nothing is known to be wrong."""
    if refused := observed.refusals.get(("Job", name)):
        return refused
    return next((pod.waiting for pod in pods_of(observed, name) if pod.waiting), observed.unstarted.get(name, ""))


def awaited(turn: Turn, revision: Revision, step: str, *, seconds: float) -> Progress:
    """The wait for a step's Job: which one, how often it was made, what keeps it, until when."""
    observed, record = turn.observed, revision.record.step(step)
    name = name_of(observed, revision, step)
    why, pods = cause(observed, name), pods_of(observed, name)
    made = f", made {record.made} times of {MOST_JOBS}" if record.made > 1 else ""
    if not any(pod.running or pod.finished for pod in pods):
        seconds = min(seconds, observed.spec.release.progress_deadline_seconds)
    waiting = f"the Job {name}{made}" + (f" ({why})" if why else "")
    return Progress(step.capitalize(), waiting, record.at, turn.deadline(revision, step, seconds=seconds), why)


def _await(turn: Turn, revision: Revision, step: str, name: str) -> None:
    turn.decision.look_again(5)
    if why := not_started(turn, revision, step, name):
        give_up(turn, revision, step, reason="JobNotStarted", message=f"{name}: {why}")


def _succeeded(turn: Turn, revision: Revision, step: str, name: str) -> None:
    record = revision.record
    words = [pod.last_words for pod in pods_of(turn.observed, name) if pod.exit_code == 0 and pod.last_words]
    if step == jobs.PLAN and not words:
        _plan_again(turn, revision, name)
        return
    if step == jobs.PLAN:
        record = msgspec.structs.replace(record, migration=_plan(words[-1], turn.observed.logs.get(name, "")))
    elif record.migration is not None:
        ran = _ran(record.migration, words[-1] if words else "", contract=step == jobs.CONTRACT)
        record = msgspec.structs.replace(record, migration=ran)
    turn.finish(revision, step, record)


def _plan_again(turn: Turn, revision: Revision, name: str) -> None:
    """Run it once more: its pod is gone, and with it what it said."""
    former = revision.record.step(jobs.PLAN)
    if gone(former):
        why = f"{MOST_JOBS} Jobs, {name} the last, have ended without an answer in their pod's termination message"
        give_up(turn, revision, jobs.PLAN, reason="PlanUnread", message=why)
        return
    again = StepRecord(run=former.run + 1, made=former.made)
    turn.save(revision, revision.record.with_step(jobs.PLAN, again))


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


def _ran(plan: MigrationRecord, words: str, *, contract: bool) -> MigrationRecord:
    """What is after a Job that migrated: by its own answer, or else by the plan that it carried out.

    The answer is of `payments migrate`; where grants follow, theirs stands in its place.
    """
    answer = decoded(words)
    numbers = [number_of(entry) for entry in plan.pending]
    planned = max(numbers, default=0) if contract else _number(plan.target)
    reached = max(_number(answer.get("target")), planned) or plan.current
    left = tuple(entry for entry in plan.pending if number_of(entry) > _number(reached))
    return msgspec.structs.replace(
        plan, current=str(reached), pending=left, sql="", contract=plan.contract and not contract
    )


def number_of(pending: str) -> int:
    """The number of a migration as the record writes it: `3 expand: adds a column`."""
    return _number(pending.partition(" ")[0])


def _number(value: object) -> int:
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() and len(text) < LONGEST_NUMBER else 0


def _failed(turn: Turn, revision: Revision, step: str, job: Manifest) -> None:
    pods = pods_of(turn.observed, job["metadata"]["name"])
    codes = [pod.exit_code for pod in pods if pod.exit_code]
    words = [pod.last_words for pod in pods if pod.exit_code and pod.last_words]
    conditions = (job.get("status") or {}).get("conditions") or []
    why = next((entry.get("message", "") for entry in conditions if entry["type"] == "Failed"), "")
    default = "PlanFailed" if step == jobs.PLAN else "MigrationFailed"
    reason = REASONS.get(codes[-1], default) if codes else default
    give_up(turn, revision, step, reason=reason, message=(words and shortened(words[-1])) or why)


def give_up(turn: Turn, revision: Revision, step: str, *, reason: str, message: str) -> None:
    """End a step: the release with it, but not for what only remains to be done after it."""
    if step != jobs.CONTRACT:
        turn.fail(revision, reason, message)
        return
    message = turn.clean(message)
    failed = StepRecord(
        run=revision.record.step(step).run, state="Failed", at=stamp(turn.observed.now), message=message
    )
    turn.save(revision, revision.record.with_step(step, failed))
    turn.decision.emit_event("ContractFailed", f"Revision {revision.number}: {reason}: {message}", warning=True)
