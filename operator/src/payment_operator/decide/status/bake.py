"""What the status says of a bake: every measure, and the verdict, which stays until the next bake."""

from typing import Literal

import msgspec

from payment_operator.api.status import BakeStatus, MeasureStatus
from payment_operator.decide.placement import baking
from payment_operator.decide.release import analysis
from payment_operator.decide.turn import Turn
from payment_operator.model.observed import Revision

Verdict = Literal["Watching", "Passed", "Failed", "Inconclusive"]


def bake_of(turn: Turn, former: BakeStatus | None) -> BakeStatus | None:
    """The bake of what serves, as it was seen in this pass; or the last one, with how it ended."""
    active, seen = turn.placement.active, turn.observed.bake
    if active is not None and baking(active) and seen.measures:
        measures = [
            MeasureStatus(
                name=entry.name,
                verdict=entry.verdict,
                value=entry.value,
                limit=entry.limit,
                evidence=turn.clean(entry.evidence),
            )
            for entry in seen.measures
        ]
        verdict: Verdict = "Inconclusive" if analysis.inconclusive(turn.observed) else "Watching"
        looks = former.looks if former is not None and _same(former, active, verdict, measures) else seen.looks
        return BakeStatus(revision=active.number, verdict=verdict, looks=looks, measures=measures)
    judged = next((r for r in turn.observed.revisions.values() if former and r.number == former.revision), None)
    if former is None or judged is None:
        return None
    return msgspec.structs.replace(former, verdict=_ended(judged))


def _same(former: BakeStatus, active: Revision, verdict: Verdict, measures: list[MeasureStatus]) -> bool:
    """Whether nothing but the number of looks is new: that alone is not written."""
    return (former.revision, former.verdict, former.measures) == (active.number, verdict, measures)


def _ended(revision: Revision) -> Verdict:
    if revision.record.state == "Failed":
        return "Failed"
    if not revision.record.stable_at:
        return "Watching"
    return "Inconclusive" if revision.record.unproven else "Passed"
