"""What the bake says: Failed, Passed or Inconclusive, and what follows the last."""

from datetime import datetime, timedelta
from typing import Literal

from payment_operator.decide.turn import Turn
from payment_operator.model.observed import Observed, Revision
from payment_operator.resources.release_record import moment
from payment_operator.resources.services import Cutover

Policy = Literal["Hold", "Extend", "Proceed"]


def ends(observed: Observed, cutover: Cutover) -> datetime:
    """When the bake is long enough."""
    return moment(cutover.at) + timedelta(seconds=observed.spec.release.bake.seconds)


def over(observed: Observed) -> bool:
    """Whether the bake is long enough."""
    return observed.cutover is not None and observed.now >= ends(observed, observed.cutover)


def failing(observed: Observed) -> str:
    """Why the revision has failed; empty when it has not: breaches in a row, or all answers at the end."""
    seen, limits = observed.bake, observed.spec.release.bake
    if seen.breaches >= limits.failure_limit:
        return seen.breach
    return seen.overall if limits.seconds and over(observed) else ""


def inconclusive(observed: Observed) -> str:
    """What is missing for a verdict although the bake is long enough; empty when nothing is."""
    seen = observed.bake
    if not over(observed) or seen.breaches or seen.overall or not observed.spec.release.bake.seconds:
        return ""
    return seen.lacking


def policy(observed: Observed) -> Policy:
    """What follows an inconclusive bake: Live mode waits for proof, Test mode seldom has any traffic."""
    chosen = observed.spec.release.on_inconclusive
    return chosen or ("Hold" if observed.spec.stripe.mode == "Live" else "Proceed")


def waits(observed: Observed) -> bool:
    """Whether an inconclusive bake goes on: what lacks proof may count as stable, what has some against it may not."""
    cutover, chosen = observed.cutover, policy(observed)
    if observed.bake.doubted:
        return True
    if chosen != "Extend" or cutover is None:
        return chosen == "Hold"
    return observed.now < moment(cutover.at) + timedelta(seconds=observed.spec.release.bake.max_seconds)


def message(turn: Turn, active: Revision, lacking: str) -> str:
    """What is missing, what serves, and what a person can do."""
    name, previous, number = turn.observed.owner.name, turn.placement.previous, active.number
    back = f", or `kubectl payments rollback {name}` goes back to {previous.number}, which runs on" if previous else ""
    how = f'`kubectl payments promote {name} --revision {number} --reason "..."` takes it as proven{back}'
    return f"{lacking}; revision {number} serves; it is watched until there is enough; {how}"
