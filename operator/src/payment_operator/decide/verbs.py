"""What each verb of a request does: at most one write of a record, which carries the request's uid.

When the operator dies before it has answered, it finds the uid there and answers the same.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec

from payment_operator.api.request import RequestSpec, Verb
from payment_operator.decide.placement import baking
from payment_operator.decide.release import override, revisions, traffic
from payment_operator.decide.rotation import api_key, database
from payment_operator.decide.rotation.webhook import steps
from payment_operator.decide.turn import Turn
from payment_operator.model.observed import Observed, Revision
from payment_operator.resources import jobs
from payment_operator.resources.release_record import ReleaseRecord, StepRecord, stamp


class Answer(NamedTuple):
    """What became of a request."""

    accepted: bool
    message: str
    target: Revision | None = None
    record: ReleaseRecord | None = None
    """The record of the target that makes it so; None when it is so."""


def answer(turn: Turn, spec: RequestSpec, *, operation: str) -> Answer:
    """Decide what a request does now; the writes that a rotation needs are asked for."""
    if spec.verb == "rotate":
        return _rotate(turn, spec, operation)
    if spec.verb not in FREEZE and (left := revisions.unknown(turn)):
        return _no(f"the release record of revision {left[0].number} cannot be read; see the condition Stalled")
    return _VERBS[spec.verb](turn, spec)


def done(observed: Observed, operation: str) -> bool:
    """Whether what was asked under this id is written down."""
    role = observed.role_rotation
    acted = {revision.record.operation for revision in observed.revisions.values()}
    return operation in {*acted, observed.webhook_record.operation, role.operation if role else ""}


def busy(turn: Turn) -> bool:
    """Whether a switch is being written down: a moment later there is a right answer."""
    active = turn.placement.active
    return active is not None and active.record.state not in {"Active", "Failed", "Unknown"}


def _rotate(turn: Turn, spec: RequestSpec, operation: str) -> Answer:
    if spec.secret == "secret-key":  # noqa: S105 - its name
        where = f"the Secret {turn.observed.spec.secret_key_ref.name}"
        return _no(f"the values of SECRET_KEY are yours; put a new one before the others into {where}")
    if spec.secret not in _ROTATIONS:
        return _replace_key(turn, spec)
    request_rotation = _ROTATIONS[spec.secret]
    accepted, message = request_rotation(turn, operation=operation, compromised=spec.compromised)
    return Answer(accepted=accepted, message=message)


def _replace_key(turn: Turn, spec: RequestSpec) -> Answer:
    """Only a person can make an API key; one that has leaked is marked, so that its replacement waits for nothing."""
    if not spec.compromised:
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


def _other(spec: RequestSpec, revision: Revision) -> bool:
    return spec.revision is not None and spec.revision != revision.number


def _promote(turn: Turn, spec: RequestSpec) -> Answer:
    candidate, active = turn.placement.candidate, turn.placement.active
    if candidate is not None:
        if _other(spec, candidate):
            return _no(f"the revision being released is {candidate.number}; promote that one")
        return _let_through(turn, candidate, "promoted")
    if active is None or not baking(active):
        return _no("no release waits for a promotion")
    if _other(spec, active):
        return _no(f"the revision in its bake is {active.number}")
    if not spec.reason:
        return _no(f"promoting revision {active.number} now ends its bake early; give a reason")
    record = msgspec.structs.replace(active.record, stable_at=stamp(turn.observed.now))
    return _yes(f"the bake of revision {active.number} is over", active, record)


def _approve(turn: Turn, spec: RequestSpec) -> Answer:
    """As promote, but of a candidate alone: an approval never ends a bake."""
    candidate = turn.placement.candidate
    if candidate is None:
        return _no("no release waits for an approval")
    if _other(spec, candidate):
        return _no(f"the revision being released is {candidate.number}; approve that one")
    if turn.observed.spec.release.promotion != "Manual":
        return _no("spec.release.promotion is not Manual: releases wait for no approval")
    return _let_through(turn, candidate, "approved")


def _let_through(turn: Turn, candidate: Revision, word: str) -> Answer:
    waits = f"; it waits for {turn.observed.suspended}" if turn.observed.suspended else ""
    if candidate.record.promoted:
        return Answer(accepted=True, message=f"revision {candidate.number} is {word} already{waits}", target=candidate)
    record = msgspec.structs.replace(candidate.record, promoted=True)
    return _yes(f"revision {candidate.number} is {word}{waits}", candidate, record)


def _freeze(turn: Turn, _: RequestSpec) -> Answer:
    """Nothing is written but the answer: the request itself is the freeze, as long as it is the last of its kind."""
    if turn.observed.requests.frozen is not None:
        return Answer(accepted=True, message="releases are frozen already; this request keeps them so")
    return Answer(accepted=True, message="no release takes a step; repairs, ways back and leaks go on")


def _unfreeze(turn: Turn, _: RequestSpec) -> Answer:
    if turn.observed.requests.frozen is None:
        return _no("releases are not frozen")
    paused = "; spec.suspend still holds them" if turn.observed.spec.suspend else ""
    return Answer(accepted=True, message=f"releases go on{paused}")


def _abort(turn: Turn, spec: RequestSpec) -> Answer:
    candidate = turn.placement.candidate
    if candidate is None:
        return _no("no release can be aborted; to leave the active revision use rollback")
    if _other(spec, candidate):
        return _no(f"the revision being released is {candidate.number}")
    why = spec.reason or "a person asked for it"
    record = candidate.record.failed("Aborted", why, at=turn.observed.now)
    turn.decision.outcomes.append("failed")
    return _yes(f"revision {candidate.number} is given up", candidate, record)


def _retry(turn: Turn, spec: RequestSpec) -> Answer:
    """Whatever is answered, what was refused or failed before is tried again at once."""
    observed, active = turn.observed, turn.placement.active
    turn.decision.afresh = True
    if active is not None and active.record.step(jobs.CONTRACT).state == "Failed" and not _other(spec, active):
        again = StepRecord(run=active.record.step(jobs.CONTRACT).run + 1)
        record = active.record.with_step(jobs.CONTRACT, again)
        return _yes("contract migrations run again", active, record)
    wanted = turn.placement.failed
    if wanted is None:
        return _retry_writes(observed, spec)
    if _other(spec, wanted):
        return _no(f"the revision that the spec asks for is {wanted.number}; change the spec to get another")
    if active is not None and active.digest == wanted.digest:
        return _no(f"revision {wanted.number} still has the traffic; it can be tried again once that went back")
    if wanted.digest != turn.placement.desired:
        record = msgspec.structs.replace(wanted.record, state="Superseded", rollback_from="")
        return _yes(f"what failed as revision {wanted.number} is released with the new credentials", wanted, record)
    record = wanted.record.again(at=observed.now, rollback_from="")
    message = f"revision {wanted.number}: attempt {record.attempt}"
    return _yes(message, wanted, record)


def _retry_writes(observed: Observed, spec: RequestSpec) -> Answer:
    """No revision has failed, but the API server may refuse what would begin one."""
    failed = sorted({*map(" ".join, observed.refusals), *observed.faults})
    if not failed or spec.revision is not None:
        return _no("the revision that the spec asks for has not failed")
    return Answer(accepted=True, message=f"what was refused or has failed is tried again at once: {', '.join(failed)}")


def _rollback(turn: Turn, spec: RequestSpec) -> Answer:
    observed, active, previous = turn.observed, turn.placement.active, turn.placement.previous
    if active is None or active.record.state != "Active":
        return _no("no revision is active, or its way back has begun")
    if (moved := override.override_of(observed)) is not None:
        return _no(f"traffic is not where the record says: {override.message(turn, moved)}")
    if previous is not None and not _other(spec, previous):
        if found := traffic.blockers(turn):
            return _no("; ".join(found))
        why = spec.reason or "a person asked for it"
        record = active.record.failed("RolledBack", why, at=observed.now)
        return _yes(f"traffic goes back to revision {previous.number}", active, record)
    if spec.revision is None:
        return _no("no earlier revision is running; name the revision to go back to")
    return _release_again(turn, spec.revision, active)


def _cannot_log_in(observed: Observed, target: Revision) -> str:
    if observed.credentials_secret(target) is None:
        return "its credentials are gone"
    return database.blocker(observed, target)


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
    if not turn.placement.desired:
        return _no("the credentials that the spec names cannot be read; mend them first")
    if turn.placement.candidate is not None or baking(active):
        return _no("a release is under way; abort it, or wait until its bake is over")
    record = target.record.again(at=observed.now, rollback_from=turn.placement.pin(target))
    return _yes(f"revision {number} is released again", target, record)


_ROTATIONS: Final = {"webhook": steps.request_rotation, "database": database.request_rotation}
FREEZE: Final = frozenset({"freeze", "unfreeze"})
_VERBS: Final[dict[Verb, Callable[[Turn, RequestSpec], Answer]]] = {
    "promote": _promote,
    "approve": _approve,
    "abort": _abort,
    "retry": _retry,
    "rollback": _rollback,
    "freeze": _freeze,
    "unfreeze": _unfreeze,
}
