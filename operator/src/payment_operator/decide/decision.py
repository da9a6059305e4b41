"""From what was observed to what to do: a pure function, safe to call at any moment and any number of times.

One turn makes at most one step of a release, and each step rests on what the last one wrote, so a lost event, a
restart or an old view costs time and nothing else. The upkeep of what serves comes first in every turn, whatever a
release does; a concern that fails keeps none of the others back.
"""

from collections.abc import Callable
from typing import Any, Final, TypeVar

from payment_operator.decide import objects, requests
from payment_operator.decide.placement import assign
from payment_operator.decide.release import contract, override, revisions, steps, traffic
from payment_operator.decide.rotation import api_key, database, secret_keys
from payment_operator.decide.rotation.staged_credentials import staged_of
from payment_operator.decide.rotation.webhook import steps as webhook_rotation
from payment_operator.decide.status import faults
from payment_operator.decide.status.report import report
from payment_operator.decide.turn import Progress, Turn
from payment_operator.model.actions import Decision, Part
from payment_operator.model.observed import Observed

STAGES = (
    revisions.recover,
    traffic.settle,
    traffic.complete,
    traffic.go_back,
    traffic.bake,
    traffic.retire,
    revisions.supersede,
    steps.advance,
    contract.contract,
)
REQUESTS: Final = "requests"
UPKEEP: Final = "upkeep"
RELEASE: Final = "release"
CONCERNS: Final[dict[str, Callable[[Turn], Any]]] = {
    UPKEEP: objects.upkeep,
    "webhook": webhook_rotation.advance,
    "secret keys": secret_keys.advance,
    "database": database.advance,
    "API key": api_key.report_refusal,
}
T = TypeVar("T")
OTHERS: Final = tuple(name for name in CONCERNS if name != UPKEEP)


def decide(observed: Observed) -> Decision:
    """Say what to do now, in parts; where one cannot be decided, the others are."""
    staged = staged_of(observed)
    placement = assign(observed, staged)
    parts = tuple(Part(name, independent=name == UPKEEP) for name in (REQUESTS, *CONCERNS, RELEASE))
    turns = {part.name: Turn(observed, staged, placement, part, parts) for part in parts}
    answers = _contained(turns[REQUESTS], requests.handle) or []
    release = turns[RELEASE]
    if turns[REQUESTS].decision.actions:  # what they change is seen in the next pass; the step shown stays as it is
        progress = _contained(Turn(observed, staged, placement, Part()), _work)
    else:
        progress = _contained(release, _work)
    for name, concern in CONCERNS.items():
        _contained(turns[name], concern)
    status = report(release, progress)
    events = [*faults.failure_events(observed, status), *faults.waiting_events(observed, status)]
    others = [turns[name].decision for name in OTHERS]
    asked = [turns[REQUESTS].decision, *answers]
    faulty = Part("faults", events=events)
    return Decision([turns[UPKEEP].decision, *asked, release.decision, *others, faulty], status, staged)


def _contained(turn: Turn, decide_part: Callable[[Turn], T | None]) -> T | None:
    """Decide a part; one that fails asks for nothing, and the fault is told."""
    if turn.decision.fault is not None:
        return None
    try:
        return decide_part(turn)
    except Exception as error:  # noqa: BLE001 - a fault stays where it is, whatever it is
        turn.decision.actions.clear()
        turn.decision.events.clear()
        turn.decision.fault = error
        return None


def _work(turn: Turn) -> Progress | None:
    """Let the first stage act that has something to do; none while traffic or a record is not what it is taken for."""
    if revisions.unknown(turn) or override.honour(turn):
        return None
    for stage in STAGES:
        progress = stage(turn)
        if progress is not None:
            return progress
    return None
