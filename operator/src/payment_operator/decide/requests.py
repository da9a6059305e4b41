"""Requests from people, answered one by one: leaks first, then in the order in which they were made.

A request is made the environment's own, written down as `Accepted` with what was decided, carried out, and `Done`: one
write each, in this order. The first of a pass tests the version that was read, so that an operator with an old view
does nothing; what is carried out has the request's uid in it, so that one that died in between does nothing twice.
"""

from datetime import timedelta
from typing import Final

import msgspec

from payment_operator.api.request import RequestStatus
from payment_operator.decide import verbs
from payment_operator.decide.turn import AT_ONCE, Turn
from payment_operator.decide.verbs import Answer
from payment_operator.model.actions import Action, Delete, Part, Patch
from payment_operator.model.observed import Observed
from payment_operator.model.requests import Asked, adopted, age, answered
from payment_operator.resources.metadata import Manifest
from payment_operator.resources.release_record import moment, readable, stamp

MOST_AT_ONCE: Final = 20
"""Answers in one pass that change nothing else."""
KEPT: Final = 100
"""Answered requests of an environment; older ones are removed."""
KEPT_SECONDS: Final = 90 * 86_400.0
LONGEST: Final = timedelta(seconds=120)
"""A request that was accepted and cannot be carried out is given up then, for others wait behind it."""
LONGEST_SWITCH: Final = timedelta(seconds=60)
"""So long a request waits for a switch to be written down."""


def handle(turn: Turn) -> list[Part]:
    """Answer what is asked: in this turn the one that changes something, in parts of their own those that do not."""
    parts: list[Part] = []
    number = max((item.status.number for item in turn.observed.requests.items), default=0)
    waiting = sorted((item for item in turn.observed.requests.items if item.open), key=lambda item: _rank(turn, item))
    for item in waiting[:MOST_AT_ONCE]:
        if verbs.busy(turn) and not _late(turn.observed, item):
            turn.decision.look_again(1)
            break
        number += 1
        found = _decided(turn, item)
        if turn.decision.actions or _freezes(item, found):
            _carry_out(turn, item, found, number=item.status.number or number)
            break
        parts.append(_answered(turn, item, found, number=item.status.number or number))
    if len(waiting) > MOST_AT_ONCE:
        turn.decision.look_again(1)
    return [*parts, _history(turn.observed)]


def _freezes(item: Asked, found: Answer) -> bool:
    """Whether the answer itself changes what is done next."""
    return found.accepted and item.spec is not None and item.spec.verb in verbs.FREEZE


def _rank(turn: Turn, item: Asked) -> tuple[bool, int, tuple[str, int, str]]:
    """What comes first: answers that are due, leaks, what was accepted, then all in order; last what is not taken."""
    observed = turn.observed
    due = item.accepted and verbs.done(observed, item.uid)
    kind = 0 if due else 1 if item.leak else 2 if item.accepted else 3
    return item.key in observed.refusals, kind, item.order


def _late(observed: Observed, item: Asked) -> bool:
    return readable(item.created) and observed.now - moment(item.created) > LONGEST_SWITCH


def _decided(turn: Turn, item: Asked) -> Answer:
    """What becomes of it; one that cannot be handled is refused, and keeps no other waiting."""
    observed = turn.observed
    if item.spec is None:
        return Answer(accepted=False, message=item.unreadable)
    if verbs.done(observed, item.uid):
        return Answer(accepted=True, message=item.status.message or "done")
    if item.accepted and item.status.at and observed.now - moment(item.status.at) > LONGEST:
        why = "; ".join([*observed.refusals.values(), *observed.faults.values()]) or "the operator was interrupted"
        return Answer(accepted=False, message=f"accepted, but it could not be carried out: {why}")
    try:
        found = verbs.answer(turn, item.spec, operation=item.uid)
    except Exception as error:  # noqa: BLE001 - a fault stays where it is, whatever it is
        turn.decision.actions.clear()
        return Answer(accepted=False, message=f"it cannot be handled: {type(error).__name__}: {error}")
    if not found.accepted:
        turn.decision.actions.clear()
    elif found.target is not None and found.record is not None:
        turn.save(found.target, msgspec.structs.replace(found.record, operation=item.uid))
    return found


def _status(turn: Turn, item: Asked, found: Answer, *, number: int) -> RequestStatus:
    asked = item.spec.revision if item.spec is not None else None
    return RequestStatus(
        state="Done" if found.accepted else "Refused",
        message=turn.clean(found.message),
        by=item.by,
        revision=found.target.number if found.target is not None else item.status.revision or asked,
        number=number,
        at=stamp(turn.observed.now),
    )


def _carry_out(turn: Turn, item: Asked, found: Answer, *, number: int) -> None:
    """Write what was decided, do it, write that it is done; whoever dies in between begins again."""
    part, status, effects = turn.decision, _status(turn, item, found, number=number), list(turn.decision.actions)
    part.actions[:] = _own(turn, item)
    tests = [] if part.actions else [_version(item)]
    if effects:
        since = item.status.at if item.accepted else status.at
        accepted = msgspec.structs.replace(status, state="Accepted", at=since)
        part.actions += [_patch(item, accepted, tests=tests), *effects]
        tests = [{"op": "test", "path": "/status/state", "value": "Accepted"}]
    part.actions.append(_patch(item, status, tests=tests))
    part.look_again(AT_ONCE)
    _emit_event(part, item, found)


def _answered(turn: Turn, item: Asked, found: Answer, *, number: int) -> Part:
    """An answer to which nothing else is to be done."""
    part, status = Part(f"request {item.name}"), _status(turn, item, found, number=number)
    part.actions += _own(turn, item)
    part.actions.append(_patch(item, status, tests=[] if part.actions else [_version(item)]))
    _emit_event(part, item, found)
    return part


def _emit_event(part: Part, item: Asked, found: Answer) -> None:
    verb = item.spec.verb if item.spec is not None else "?"
    word = "Accepted" if found.accepted else "Refused"
    part.emit_event(f"Request{word}", f"{verb} ({item.name}): {found.message}", warning=not found.accepted)


def _own(turn: Turn, item: Asked) -> list[Action]:
    operations_ = adopted(item, turn.observed.owner)
    return [Patch(*item.key, tuple(operations_))] if operations_ else []


def _version(item: Asked) -> Manifest:
    return {"op": "test", "path": "/metadata/resourceVersion", "value": item.version}


def _patch(item: Asked, status: RequestStatus, *, tests: list[Manifest]) -> Patch:
    return Patch(*item.key, tuple(answered(item, status, tests=tests)), "status")


def _history(observed: Observed) -> Part:
    """Remove what was answered long ago, and what is too much; the freeze that holds stays."""
    now, frozen = observed.now.timestamp(), observed.requests.frozen
    items = [
        item
        for item in observed.requests.items
        if not item.open and item is not frozen and observed.owner.owns({"metadata": item.metadata})
    ]
    newest = sorted(items, key=lambda item: (item.status.number, item.order), reverse=True)
    left = [item for place, item in enumerate(newest) if place >= KEPT or age(item, now) > KEPT_SECONDS]
    removed: list[Action] = [Delete(*item.key, item.uid) for item in left[-MOST_AT_ONCE:]]
    return Part("history", removed, independent=True)
