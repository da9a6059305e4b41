"""A sample of the crash matrix that changes with every run; `make soak` runs all of it."""

from __future__ import annotations

import random

import pytest
from tests.soak.crash import crashes
from tests.soak.matrix import CASES, every_trial, run_trials
from tests.soak.scenarios import SCENARIOS

CASES_SAMPLED = 4
TRIALS = 32


ON_SQLITE = 8
"""Trials of the operations that change subscriptions, on a file that one machine's processes share."""
CHANGING = [case for case in CASES if SCENARIOS[case[0]].call == "change"]


@pytest.mark.timeout(600)
async def test_a_process_that_dies_at_any_await_charges_once_and_leaves_nothing_unfinished(
    migrated_url: str, request: pytest.FixtureRequest
) -> None:
    chance = dice(request)
    async with crashes(migrated_url) as running:
        cases = chance.sample(CASES, CASES_SAMPLED)
        trials = chance.sample(await every_trial(running, cases), TRIALS)
        outcome = await run_trials(running, trials)
    assert outcome.failures == {}
    assert outcome.deaths > TRIALS / 2


@pytest.mark.timeout(600)
async def test_a_process_that_dies_at_any_await_of_a_change_on_sqlite_changes_once(
    migrated_sqlite: str, request: pytest.FixtureRequest
) -> None:
    chance = dice(request)
    async with crashes(migrated_sqlite) as running:
        trials = chance.sample(await every_trial(running, [chance.choice(CHANGING)]), ON_SQLITE)
        outcome = await run_trials(running, trials)
    assert outcome.failures == {}
    assert outcome.deaths > ON_SQLITE / 2


def dice(request: pytest.FixtureRequest) -> random.Random:
    seed = request.config.getoption("randomly_seed", default=None) or random.SystemRandom().randrange(2**32)
    return random.Random(seed)
