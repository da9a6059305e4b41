"""Any order, any duplicates, any losses that reconciliation finds: the same rows as the ordered history."""

from __future__ import annotations

import os
from itertools import permutations
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import assume
from hypothesis import strategies as st
from tests.holding import hold, patience
from tests.servers.bursts import StillClock
from tests.servers.histories import Account
from tests.servers.laboratory import Laboratory, laboratory

from payment_service.mirror.registry import KINDS
from payment_service.storage.tables import customers

if TYPE_CHECKING:
    from collections.abc import Sequence

EXAMPLES = int(os.environ.get("PAYMENTS_TEST_HISTORIES", "8"))
"""A sample in CI; `make soak` sets more."""
WEEKS = 3
"""Stripe keeps events for 30 days: a longer history needs the sweep over objects."""
STEP = 10
ACTIONS = (
    "create customer",
    "change customer",
    "change customer and back",
    "delete customer",
    "change product",
    "change price",
    "subscribe",
    "change subscription",
    "cancel",
    "refund",
    "dispute",
    "close dispute",
    "set up a card",
    "change a card",
    "choose a card",
    "renew a card",
    "detach a card",
    "pay once",
    "check out",
    "a week passes",
)


async def ordered(found: Laboratory, history: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Apply the events in the order in which they happened."""
    for start in range(0, len(history), STEP):
        await found.receive(history[start : start + STEP])
        await found.settle()
    return await found.mirror()


async def disordered(found: Laboratory, history: list[dict[str, Any]], chance: Random) -> dict[str, Any]:
    """Deliver in any order, some twice, some never; apply between deliveries as it comes; then reconcile."""
    deliveries = [event for event in history if chance.random() > 0.2]
    deliveries += [event for event in deliveries if chance.random() < 0.3]
    chance.shuffle(deliveries)
    while deliveries:
        size = chance.choice((1, 1, 2, 5, 20))
        await found.receive(deliveries[:size])
        deliveries = deliveries[size:]
        if chance.random() < 0.7:
            await found.parts.worker.apply_batch()
        if chance.random() < 0.5:
            await found.parts.worker.fetch_doubtful()
    found.clock.advance(120)
    await found.parts.reconciler.run(full=False, since=found.since(29 * 86400))
    await found.settle()
    return await found.mirror()


def present(found: Laboratory) -> dict[str, set[str]]:
    """Return the ids of what Stripe has now, of kinds that tell of themselves by events."""
    return {
        kind: {obj["id"] for obj in found.simulator.state.all(kind)}
        for kind in KINDS
        if kind not in {"checkout.session", "customer", "product", "invoice_payment", "payment_method"}
    }


@pytest.mark.timeout(patience(EXAMPLES))
def test_any_permutation_with_duplicates_and_losses_gives_the_rows_of_the_ordered_history(database_url: str) -> None:
    actions = st.lists(st.sampled_from(ACTIONS), min_size=1, max_size=8)
    hold(laboratory(database_url), compare, examples=EXAMPLES, actions=actions, seed=st.integers(0, 2**32 - 1))


async def compare(found: Laboratory, *, actions: list[str], seed: int) -> None:
    assume(actions.count("a week passes") <= WEEKS)
    await found.reset()
    account = Account(found.simulator, found.clock, Random(seed))
    for action in actions:
        account.do(action)
    history, ids, simulator = found.history(), present(found), found.simulator
    expected = await ordered(found, history)
    await found.reset()
    found.simulator = simulator
    assert await disordered(found, history, Random(seed)) == expected
    assert {kind: set(expected[kind]) for kind in ids} == ids


@pytest.mark.parametrize("created", [True, False])
async def test_what_changes_and_changes_back_within_a_second_ends_as_stripe_has_it(
    database_url: str, *, created: bool
) -> None:
    """The row of the last event fits what the one before it says was before: that is no order."""
    async with laboratory(database_url, base=StillClock()) as lab:
        simulator = lab.simulator
        made = simulator.routes.customers.create({"name": "Ada"})
        for name in ("Grace", "Ada"):
            simulator.routes.customers.update(made, {"name": name})
        history = lab.history()
        assert len({event["created"] for event in history}) == 1
        for order in permutations(history if created else history[1:]):
            await lab.reset()
            lab.simulator = simulator
            for event in order:
                await lab.receive([event])
                await lab.parts.worker.apply_batch()
            await lab.settle()
            assert [row["name"] for row in await lab.rows(customers)] == ["Ada"], [event["id"] for event in order]
