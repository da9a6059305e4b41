"""The steps of the running release, with the time each took as its own objects tell it."""

from datetime import datetime
from typing import Any, Final

from payment_operator import names
from payment_operator.plugin import clock
from payment_operator.plugin.kubectl import Object
from payment_operator.plugin.model import Progress, Step
from payment_operator.plugin.snapshot import Observed

STEPS: Final = (
    "Validate",
    "Plan",
    "Expand",
    "Deploy",
    "Smoke",
    "Hold",
    "Scale",
    "CutOver",
    "Bake",
    "Retire",
    "Contract",
)
ROLLBACK: Final = "Rollback"
"""Not one of the steps: it takes their place when traffic goes back."""

BEFORE_TRAFFIC: Final = frozenset(STEPS[: STEPS.index("CutOver")])
AFTER_BAKE: Final = frozenset(STEPS[STEPS.index("Retire") :])
_JOBS: Final = {"Plan": "plan", "Expand": "expand", "Smoke": "smoke", "Contract": "contract"}


def release_steps(observed: Observed) -> list[Step]:
    """Return every step of the candidate's release in order; nothing when nothing is being released."""
    candidate = observed.environment.get("status", {}).get("candidate")
    if not candidate:
        return []
    if candidate["step"] == ROLLBACK:
        return _going_back(observed, candidate)
    shown = [name for name in STEPS if not _left_out(name, observed.environment["spec"], candidate["step"])]
    present = shown.index(candidate["step"]) if candidate["step"] in shown else len(shown)
    return [_step(name, index - present, observed, candidate) for index, name in enumerate(shown)]


def _going_back(observed: Observed, candidate: dict[str, Any]) -> list[Step]:
    """The steps until traffic turned: the watch of the new revision ended it, or a person did."""
    done = [name for name in STEPS[: STEPS.index("Bake")] if not _left_out(name, observed.environment["spec"], "")]
    steps = [_step(name, -1, observed, candidate) for name in done]
    return [*steps, Step(name="Bake", progress="failed"), _step(ROLLBACK, 0, observed, candidate)]


def _left_out(name: str, spec: Object, present: str) -> bool:
    if name == present:
        return False
    release, migrations = spec.get("release", {}), spec.get("migrations", {})
    if name == "Hold":
        return bool(release.get("promotion") != "Manual")
    if migrations.get("mode") == "Disabled":
        return name in {"Plan", "Expand", "Contract"}
    return name == "Contract" and migrations.get("contractPolicy") == "Never"


def _step(name: str, distance: int, observed: Observed, candidate: dict[str, Any]) -> Step:
    progress: Progress = "done" if distance < 0 else "running" if distance == 0 else "ahead"
    job = newest_job(observed, _JOBS.get(name, ""), candidate["hash"])
    if progress == "running":
        seconds = clock.seconds_since(candidate.get("stepSince"), observed.at)
        return Step(name=name, progress=progress, seconds=seconds, note=_waits(candidate, job, observed.at))
    if progress == "ahead":
        return Step(name=name, progress=progress, note=_promise(name, observed.environment["spec"]))
    seconds = _deploy_seconds(observed, candidate["hash"]) if name == "Deploy" else job_seconds(job)
    return Step(name=name, progress=progress, seconds=seconds)


def _waits(candidate: dict[str, Any], job: Object | None, at: datetime) -> str:
    parts = []
    if waiting := candidate.get("waitingFor"):
        parts.append(f"waiting: {waiting}")
    if job and (failed := job.get("status", {}).get("failed")):
        parts.append(f"{failed} failed {'run' if failed == 1 else 'runs'} so far")
    left = clock.seconds_until(candidate.get("deadline"), at)
    if left is not None:
        parts.append(f"{clock.duration(left)} left" if left else "its time is over")
    return ", ".join(parts)


def _promise(name: str, spec: Object) -> str:
    """Return how long a step to come takes by the resource's own settings."""
    release = spec.get("release", {})
    cutover = release.get("cutover", {})
    match name:
        case "Hold":
            return "until somebody promotes"
        case "CutOver" if cutover.get("mode") == "Overlap":
            return f"both take traffic for {clock.duration(cutover.get('overlapSeconds'))}"
        case "Bake" if "bake" in release:
            return f"watched for {clock.duration(release['bake'].get('seconds'))}"
        case "Retire" if "retainSeconds" in release:
            return f"blue is kept for {clock.duration(release['retainSeconds'])}"
        case _:
            return ""


def newest_job(observed: Observed, step: str, digest: str) -> Object | None:
    """Return the newest Job of a step of a revision."""
    wanted = {names.LABEL_STEP: step, names.LABEL_REVISION: digest}
    jobs = [job for job in observed.of_kind("Job") if wanted.items() <= job["metadata"].get("labels", {}).items()]
    return jobs[-1] if jobs else None


def job_seconds(job: Object | None) -> int | None:
    """Return how long a Job ran until it was complete."""
    status = (job or {}).get("status", {})
    end = clock.parse(status.get("completionTime"))
    return clock.seconds_since(status.get("startTime"), end) if end else None


def _deploy_seconds(observed: Observed, digest: str) -> int | None:
    for deployment in observed.of_kind("Deployment"):
        labels = deployment["metadata"].get("labels", {})
        if labels.get(names.LABEL_REVISION) != digest or labels.get(names.LABEL_COMPONENT) != names.API:
            continue
        available = [
            condition["lastTransitionTime"]
            for condition in deployment.get("status", {}).get("conditions", [])
            if condition["type"] == "Available" and condition["status"] == "True"
        ]
        if available and (end := clock.parse(available[0])):
            return clock.seconds_since(deployment["metadata"]["creationTimestamp"], end)
    return None
