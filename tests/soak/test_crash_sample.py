"""A sample of the crash matrix that changes with every run; `make soak` runs all of it."""

from __future__ import annotations

import random

import pytest
from tests.soak.crash import crashes
from tests.soak.matrix import CASES, every_trial, run_trials

CASES_SAMPLED = 4
TRIALS = 32


@pytest.mark.timeout(600)
async def test_a_process_that_dies_at_any_await_charges_once_and_leaves_nothing_unfinished(
    migrated_url: str, request: pytest.FixtureRequest
) -> None:
    seed = request.config.getoption("randomly_seed", default=None) or random.SystemRandom().randrange(2**32)
    chance = random.Random(seed)
    async with crashes(migrated_url) as running:
        cases = chance.sample(CASES, CASES_SAMPLED)
        trials = chance.sample(await every_trial(running, cases), TRIALS)
        outcome = await run_trials(running, trials)
    assert outcome.failures == {}
    assert outcome.deaths > TRIALS / 2
