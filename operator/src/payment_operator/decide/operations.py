"""Requests from people: taken from the annotation in one patch, then acted on and answered.

A request is acted on by at most one write of a release record, which carries the request's id; when the operator dies
before it has answered, it finds the id there and answers the same.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec

from payment_operator import names, requests
from payment_operator.actions import Patch, pointer
from payment_operator.decide import api_key, database_rotation, ledger, override, traffic, webhook_rotation
from payment_operator.decide.roles import baking
from payment_operator.decide.turn import Turn
from payment_operator.observed import Observed, Revision
from payment_operator.record import ReleaseRecord, StepRecord, stamp
from payment_operator.requests import Operation, RequestRefused
from payment_operator.resources import jobs


class Answer(NamedTuple):
    """What became of a request."""

    accepted: bool
    message: str
    target: Revision | None = None
    record: ReleaseRecord | None = None
    """The record of the target that makes it so."""


def take(observed: Observed) -> Patch | None:
    """Move a request into the operator's own annotation; None when there is none, or it is being acted on.

    An id that was used before is refused: what it did is written under it, so it would do nothing and be told it had.
    """
    found = requests.find(observed.metadata)
    if found is None:
        return None
    key, value = found
    version = observed.metadata["resourceVersion"]
    try:
        request = requests.parse(key, value, resource_version=version)
        operation = msgspec.convert(msgspec.to_builtins(request), Operation)
    except RequestRefused as error:
        operation = Operation(id=f"refused-{version}", verb="abort", refused=str(error))
    if _pending(observed) == operation.id:
        return None
    if operation.id in _used(observed):
        why = f"the id {operation.id} was used by an earlier request; choose another"
        operation = Operation(id=f"refused-{version}", verb=operation.verb, refused=why)
    text = msgspec.json.encode(operation).decode()
    operations = (
        {"op": "test", "path": "/metadata/resourceVersion", "value": version},
        {"op": "remove", "path": pointer(key)},
        {"op": "add", "path": pointer(names.ANNOTATION_OPERATION), "value": text},
    )
    return Patch(names.KIND, observed.owner.name, operations)


def pending_or_last(observed: Observed) -> Operation | None:
    """The last request that was taken."""
    text = (observed.metadata.get("annotations") or {}).get(names.ANNOTATION_OPERATION)
    try:
        return msgspec.json.decode(text, type=Operation) if text else None
    except msgspec.DecodeError:
        return None


def _pending(observed: Observed) -> str:
    """The id of the request that was taken and not answered yet; empty when there is none."""
    last = pending_or_last(observed)
    answered = (observed.status.get("lastOperation") or {}).get("id")
    return last.id if last is not None and last.id != answered else ""


def _used(observed: Observed) -> set[str]:
    """The ids of earlier requests that are still known."""
    last, role = pending_or_last(observed), observed.role_rotation
    acted = {revision.record.operation for revision in observed.revisions.values()}
    return {*acted, last.id if last else "", observed.webhook_record.operation, role.operation if role else ""}


def answer(turn: Turn) -> dict[str, str] | None:
    """Act on the request that was taken last, and return what to answer; None when it has been answered."""
    operation, active = pending_or_last(turn.observed), turn.roles.active
    if active is not None and active.record.state not in {"Active", "Failed"}:
        return None  # a switch is being written down; a moment later there is a right answer
    if operation is None or not _pending(turn.observed):
        return None
    result = _result(turn, operation)
    if result.target is not None and result.record is not None:
        turn.save(result.target, msgspec.structs.replace(result.record, operation=operation.id))
    number = operation.revision or (result.target.number if result.target else None)
    accepted = "Accepted" if result.accepted else "Refused"
    verb = "?" if operation.refused else operation.verb
    turn.decision.tell(f"Request{accepted}", f"{verb}: {result.message}", warning=not result.accepted)
    return {
        "id": operation.id,
        "verb": verb,
        "target": str(number or ""),
        "result": accepted,
        "message": result.message,
        "at": stamp(turn.observed.now),
    }


def _result(turn: Turn, operation: Operation) -> Answer:
    if operation.refused:
        return Answer(accepted=False, message=operation.refused)
    if operation.verb != "rotate" and (left := ledger.unknown(turn)):
        return _no(f"the release record of revision {left[0].number} cannot be read; see the condition Stalled")
    done = next((r for r in turn.observed.revisions.values() if r.record.operation == operation.id), None)
    if done is not None:
        return Answer(accepted=True, message=f"revision {done.number}: done", target=done)
    return _VERBS[operation.verb](turn, operation)


def _rotate(turn: Turn, operation: Operation) -> Answer:
    if operation.what == "secret-key":
        where = f"the Secret {turn.observed.spec.secret_key_ref.name}"
        return _no(f"the values of SECRET_KEY are yours; put a new one before the others into {where}")
    if operation.what not in _ROTATIONS:
        return _replace_key(turn, operation)
    ask = _ROTATIONS[operation.what]
    accepted, message = ask(turn, operation=operation.id, compromised=operation.compromised)
    return Answer(accepted=accepted, message=message)


def _replace_key(turn: Turn, operation: Operation) -> Answer:
    """Only a person can make an API key; one that has leaked is marked, so that its replacement waits for nothing."""
    if not operation.compromised:
        return _no(
            "Stripe has no call that makes an API key; put a new one into the Secret that apiKey.secretRef names"
        )
    marked, message = api_key.leaked(turn)
    if marked is None:
        return _no(message)
    return _yes(message, marked, msgspec.structs.replace(marked.record, key_leaked=True))


def _no(message: str) -> Answer:
    return Answer(accepted=False, message=message)


def _yes(message: str, target: Revision, record: ReleaseRecord) -> Answer:
    return Answer(accepted=True, message=message, target=target, record=record)


def _other(operation: Operation, revision: Revision) -> bool:
    return operation.revision is not None and operation.revision != revision.number


def _promote(turn: Turn, operation: Operation) -> Answer:
    candidate, active = turn.roles.candidate, turn.roles.active
    if candidate is not None:
        if _other(operation, candidate):
            return _no(f"the revision being released is {candidate.number}; promote that one")
        record = msgspec.structs.replace(candidate.record, promoted=True)
        return Answer(
            accepted=True, message=f"revision {candidate.number} is promoted", target=candidate, record=record
        )
    if active is None or not baking(active):
        return _no("no release waits for a promotion")
    if _other(operation, active):
        return _no(f"the revision in its bake is {active.number}")
    if not operation.reason:
        return _no(f"promoting revision {active.number} now ends its bake early; give a reason")
    record = msgspec.structs.replace(active.record, stable_at=stamp(turn.observed.now))
    return _yes(f"the bake of revision {active.number} is over", active, record)


def _abort(turn: Turn, operation: Operation) -> Answer:
    candidate = turn.roles.candidate
    if candidate is None:
        return _no("no release can be aborted; to leave the active revision use rollback")
    if _other(operation, candidate):
        return _no(f"the revision being released is {candidate.number}")
    why = operation.reason or "a person asked for it"
    record = candidate.record.failed("Aborted", why, at=turn.observed.now)
    turn.decision.outcomes.append("failed")
    return _yes(f"revision {candidate.number} is given up", candidate, record)


def _retry(turn: Turn, operation: Operation) -> Answer:
    observed, active = turn.observed, turn.roles.active
    if active is not None and active.record.step(jobs.CONTRACT).state == "Failed" and not _other(operation, active):
        again = StepRecord(run=active.record.step(jobs.CONTRACT).run + 1)
        record = active.record.with_step(jobs.CONTRACT, again)
        return _yes("contract migrations run again", active, record)
    wanted = turn.roles.failed
    if wanted is None:
        return _no("the revision that the spec asks for has not failed")
    if _other(operation, wanted):
        return _no(f"the revision that the spec asks for is {wanted.number}; change the spec to get another")
    if active is not None and active.digest == wanted.digest:
        return _no(f"revision {wanted.number} still has the traffic; it can be tried again once that went back")
    if wanted.digest != turn.roles.desired:
        record = msgspec.structs.replace(wanted.record, state="Superseded", rollback_from="")
        return _yes(f"what failed as revision {wanted.number} is released with the new credentials", wanted, record)
    record = wanted.record.again(at=observed.now, rollback_from="")
    message = f"revision {wanted.number}: attempt {record.attempt}"
    return _yes(message, wanted, record)


def _rollback(turn: Turn, operation: Operation) -> Answer:
    observed, active, previous = turn.observed, turn.roles.active, turn.roles.previous
    if active is None or active.record.state != "Active":
        return _no("no revision is active, or its way back has begun")
    if (moved := override.override_of(observed)) is not None:
        return _no(f"traffic is not where the record says: {override.message(turn, moved)}")
    if previous is not None and not _other(operation, previous):
        if found := traffic.blockers(turn):
            return _no("; ".join(found))
        why = operation.reason or "a person asked for it"
        record = active.record.failed("RolledBack", why, at=observed.now)
        return _yes(f"traffic goes back to revision {previous.number}", active, record)
    if operation.revision is None:
        return _no("no earlier revision is running; name the revision to go back to")
    return _release_again(turn, operation.revision, active)


def _cannot_log_in(observed: Observed, target: Revision) -> str:
    if observed.credentials_secret(target) is None:
        return "its credentials are gone"
    return database_rotation.blocker(observed, target)


def _release_again(turn: Turn, number: int, active: Revision) -> Answer:
    """Go back to a revision whose pods have ended: release it once more, with plan and smoke."""
    observed = turn.observed
    target = next((r for r in observed.revisions.values() if r.number == number), None)
    if target is None:
        known = ", ".join(str(n) for n in sorted(r.number for r in observed.revisions.values()))
        return _no(f"revision {number} is not known; these are: {known}")
    if target.digest == active.digest:
        return _no(f"revision {number} has the traffic already")
    if why := _cannot_log_in(observed, target):
        return _no(f"revision {number}: {why}")
    if not turn.roles.desired:
        return _no("the credentials that the spec names cannot be read; mend them first")
    if turn.roles.candidate is not None or baking(active):
        return _no("a release is under way; abort it, or wait until its bake is over")
    record = target.record.again(at=observed.now, rollback_from=turn.roles.pin(target))
    return _yes(f"revision {number} is released again", target, record)


_ROTATIONS: Final = {"webhook": webhook_rotation.ask, "database": database_rotation.ask}
_VERBS: Final[dict[requests.Verb, Callable[[Turn, Operation], Answer]]] = {
    "promote": _promote,
    "abort": _abort,
    "retry": _retry,
    "rollback": _rollback,
    "rotate": _rotate,
}
