"""From what was observed to what to do: a pure function, safe to call at any moment and any number of times.

One turn makes at most one step of a release, and each step rests on what the last one wrote, so a lost event, a
restart or an old view costs time and nothing else. Repairs are made in every turn.
"""

from payment_operator.actions import Decision
from payment_operator.decide import (
    api_key,
    contract,
    database_rotation,
    ledger,
    operations,
    steps,
    traffic,
    upkeep,
    webhook_rotation,
)
from payment_operator.decide.roles import assign
from payment_operator.decide.turn import Progress, Turn
from payment_operator.observed import Observed
from payment_operator.status import report

STAGES = (
    ledger.recover,
    traffic.settle,
    traffic.complete,
    traffic.go_back,
    traffic.bake,
    traffic.retire,
    ledger.supersede,
    steps.advance,
    contract.contract,
)


def decide(observed: Observed) -> Decision:
    """Say what to do now."""
    if (taken := operations.take(observed)) is not None:
        return Decision(actions=[taken], status=observed.status, again_after=0.05)
    turn = Turn(observed, assign(observed))
    operation = operations.answer(turn)
    progress = _work(turn) if operation is None else None
    upkeep.upkeep(turn)
    webhook_rotation.advance(turn)
    database_rotation.advance(turn)
    api_key.tell_of_refusal(turn)
    turn.decision.status = report(turn, progress, operation)
    return turn.decision


def _work(turn: Turn) -> Progress | None:
    """Let the first stage act that has something to do."""
    for stage in STAGES:
        progress = stage(turn)
        if progress is not None:
            return progress
    return None
