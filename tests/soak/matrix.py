"""Every trial of the crash matrix, and how a batch of them is run."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.soak.crash import Crashes, Trial
from tests.soak.points import MOMENTS
from tests.soak.scenarios import SCENARIOS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.soak.points import Moment

AT_ONCE = 6
CASES = list(itertools.product(SCENARIOS, MOMENTS))
MARGIN = 5
"""Trials beyond the counted end: a busy machine adds an await here and there."""


async def every_trial(crashes: Crashes, cases: Iterable[tuple[str, Moment]] = CASES) -> list[Trial]:
    """Count the moments of each case and return a trial for each, with and without the client's retry."""
    cases = list(cases)
    counted = await asyncio.gather(*(crashes.points(*case) for case in cases))
    return [
        Trial(scenario=scenario, moment=moment, kill_at=number, retries=retries)
        for (scenario, moment), last in zip(cases, counted, strict=True)
        for number in range(1, last + MARGIN + 1)
        for retries in (True, False)
    ]


@dataclass
class Outcome:
    """What a batch of trials showed."""

    places: Counter[str] = field(default_factory=Counter)
    """How often processes died at a line."""
    failures: dict[str, str] = field(default_factory=dict)
    """What went wrong, by trial."""

    @property
    def deaths(self) -> int:
        """Processes that were killed."""
        return self.places.total() - self.places["survived"]


async def run_trials(
    crashes: Crashes, trials: Iterable[Trial], *, done: Callable[[Trial, str | None], None] = lambda *_: None
) -> Outcome:
    """Run trials, some at once; `done` is told of each with what went wrong, if anything did."""
    outcome, waiting = Outcome(), iter(trials)

    async def one_after_another() -> None:
        for trial in waiting:
            failure = None
            try:
                outcome.places[await crashes.run(trial)] += 1
            except (AssertionError, TimeoutError) as error:
                failure = outcome.failures[str(trial)] = f"{type(error).__name__}: {error}"
            done(trial, failure)

    await asyncio.gather(*(one_after_another() for _ in range(AT_ONCE)))
    return outcome
