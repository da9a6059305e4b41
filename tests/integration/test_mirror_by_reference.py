"""A second description of the mirror, made from Stripe's reference alone, agrees with every row."""

from __future__ import annotations

import os
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import assume
from hypothesis import strategies as st
from tests.holding import hold, patience
from tests.integration.test_order_independence import ACTIONS, WEEKS, disordered
from tests.servers.histories import unsaved
from tests.servers.laboratory import Laboratory, laboratory
from tests.servers.oracle import DELETED, ORACLE, OURS, expected, said
from tests.servers.other_hands import OtherHands

from payment_service.mirror.registry import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLES = int(os.environ.get("PAYMENTS_TEST_HISTORIES", "4"))
"""A sample in CI; `make soak` sets more."""
OTHERS = (
    "subscribe to several",
    "switch the plan",
    "add an item",
    "remove an item",
    "change seats",
    "pause collection",
    "end the pause",
    "end with its period",
    "go on after all",
    "list the items otherwise",
    "change the address",
    "move the lookup key",
    "archive a price",
    "archive a product",
    "delete a product",
    "void an invoice",
    "give an invoice up",
    "pay an invoice",
    "a refund fails",
)
UNTOLD = {("checkout.session", "open"), ("invoice_payment", "open"), ("invoice_payment", "canceled")}
"""Stripe makes no event of these (docs.stripe.com/api/events/types)."""


def test_every_column_that_stripe_decides_has_a_rule() -> None:
    for kind, target in KINDS.items():
        assert {column.name for column in target.table.columns} - ORACLE[kind].keys() - OURS == set(), kind


def differences(kind: str, rows: dict[str, dict[str, Any]], objects: dict[str, dict[str, Any]]) -> Iterator[Any]:
    """Yield each column that says something else than Stripe."""
    for object_id, obj in objects.items():
        if (kind, obj.get("status")) in UNTOLD:
            continue
        if object_id not in rows and unsaved(obj):
            continue
        wanted = expected(kind, obj)
        if object_id not in rows:
            yield kind, object_id, "has no row"
            continue
        found = said(rows[object_id], wanted)
        yield from (
            (kind, object_id, name, found[name], wanted[name]) for name in wanted if found[name] != wanted[name]
        )
    for object_id in rows.keys() - objects.keys():
        if kind not in DELETED or said(rows[object_id], DELETED[kind]) != DELETED[kind]:
            yield kind, object_id, "is not at Stripe", rows[object_id]


async def compare(found: Laboratory, *, actions: list[str], seed: int) -> None:
    assume(actions.count("a week passes") <= WEEKS)
    await found.reset()
    hands = OtherHands(found.simulator, found.clock, Random(seed))
    for action in ("subscribe", "subscribe to several", *actions):
        hands.do(action)
    await disordered(found, found.history(), Random(seed))
    wrong: list[Any] = []
    for kind, target in KINDS.items():
        rows = {row[target.key]: row for row in await found.rows(target.table)}
        wrong += differences(kind, rows, {obj["id"]: obj for obj in found.simulator.state.all(kind)})
    ours = {row["stripe_customer_id"]: row["id"] for row in await found.rows(KINDS["customer"].table)}
    for row in await found.rows(KINDS["subscription"].table):
        if row["customer_id"] != ours[row["stripe_customer_id"]]:
            wrong.append((row["id"], "is another customer's"))
    assert wrong == []


@pytest.mark.timeout(patience(EXAMPLES))
def test_every_row_says_what_stripe_says_after_changes_by_other_hands(database_url: str) -> None:
    actions = st.lists(st.sampled_from(("subscribe", *ACTIONS, *OTHERS)), min_size=4, max_size=16)
    hold(laboratory(database_url), compare, examples=EXAMPLES, actions=actions, seed=st.integers(0, 2**32 - 1))
