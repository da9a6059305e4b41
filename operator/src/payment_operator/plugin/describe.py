"""Makes the models of the screens from what was observed. Pure."""

import json
from typing import Any

from payment_operator import names
from payment_operator.plugin import clock
from payment_operator.plugin.advice import advice
from payment_operator.plugin.facts import facts
from payment_operator.plugin.kubectl import Object
from payment_operator.plugin.model import Revision, Status
from payment_operator.plugin.progress import release_steps
from payment_operator.plugin.rotation import secrets
from payment_operator.plugin.sides import sides
from payment_operator.plugin.snapshot import Observed
from payment_operator.plugin.verdict import verdict


def status_of(observed: Observed, *, suffix: str = "") -> Status:
    """Return what the status screen shows; ``suffix`` ends the commands that it proposes."""
    environment = observed.environment
    candidate = environment.get("status", {}).get("candidate") or {}
    judged = verdict(environment, observed.at)
    rotated = secrets(environment, observed.at, suffix=suffix)
    return Status(
        environment=environment["metadata"]["name"],
        namespace=environment["metadata"]["namespace"],
        mode=environment["spec"]["stripe"].get("mode", "Live"),
        state=judged.state,
        headline=judged.headline,
        detail=judged.detail,
        revision=candidate.get("revision"),
        step=candidate.get("step", ""),
        seconds=clock.seconds_since(candidate.get("startedAt"), observed.at),
        sides=sides(observed),
        steps=release_steps(observed),
        facts=facts(observed),
        secrets=rotated,
        next=advice(environment, judged.state, suffix=suffix) + [line for secret in rotated for line in secret.next],
        hidden=[f"{error}; {error.fix}" for error in observed.hidden],
    )


def history_of(observed: Observed) -> list[Revision]:
    """Return the revisions that are remembered, newest first."""
    status = observed.environment.get("status", {})
    found = [_revision(entry, status, observed) for entry in observed.of_kind("ControllerRevision")]
    return sorted(found, key=lambda entry: entry.revision, reverse=True)


def _revision(entry: Object, status: dict[str, Any], observed: Observed) -> Revision:
    metadata = entry["metadata"]
    state, note = _state(entry, status)
    return Revision(
        revision=entry["revision"],
        hash=metadata["labels"][names.LABEL_REVISION],
        image=image_of(entry),
        created=metadata["creationTimestamp"],
        age_seconds=clock.seconds_since(metadata["creationTimestamp"], observed.at),
        state=state,
        note=note,
    )


def image_of(revision: Object) -> str:
    """Return the image of a ControllerRevision."""
    return str((revision.get("data") or {}).get("input", {}).get("image", ""))


def _state(entry: Object, status: dict[str, Any]) -> tuple[str, str]:
    number, record = entry["revision"], release_record(entry)
    candidate, previous = status.get("candidate") or {}, status.get("previous") or {}
    if candidate.get("revision") == number:
        return "releasing", f"step {candidate['step']}"
    if (status.get("active") or {}).get("revision") == number:
        return "serving", "stable" if status.get("stable") == number else "not stable yet"
    if failure := record.get("failure"):
        return "failed", f"{failure['reason']}, attempt {record.get('attempt', 1)}"
    state = str(record.get("state", "")).lower() or "past"
    if previous.get("revision") == number:
        possible = previous.get("rollbackable")
        return state, "rollback possible" if possible else f"no rollback: {previous.get('blockedReason') or ''}"
    return state, ""


def release_record(revision: Object) -> dict[str, Any]:
    """Return what the operator noted about the release of a revision; empty when there is nothing to read."""
    text = revision["metadata"].get("annotations", {}).get(names.ANNOTATION_RELEASE, "{}")
    try:
        record = json.loads(text)
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}
