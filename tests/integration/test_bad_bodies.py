"""Ten thousand bad bodies: each is refused and none leaves a trace."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from tests.servers.stack import CREATE, PRICE, running_stack

from payment_service.storage.tables import customers, events, idempotency_keys, operations, outbox, subscriptions

if TYPE_CHECKING:
    from tests.servers.stack import Stack

COUNT = 5_000  # on each of the two databases
TABLES = (customers, events, idempotency_keys, operations, outbox, subscriptions)
GOOD: dict[str, Any] = {"price_id": PRICE, "email": "ada@example.com"}
JUNK: tuple[Any, ...] = (None, True, -1, 0, 1.5, 10**30, "", " ", "x" * 300, "\ud800", [], [1], {}, {"a": {"b": []}})
FIELDS = ("price_id", "email", "quantity", "trial_days", "metadata", "payment_method_id", "name")


def bad_body(dice: random.Random) -> bytes:
    """Return a body that must be refused: not JSON, not an object, or with at least one wrong field."""
    kind = dice.randrange(6)
    if kind == 0:
        return dice.randbytes(dice.randrange(200))
    if kind == 1:
        return json.dumps(dice.choice(JUNK)).encode()
    if kind == 2:
        return json.dumps(GOOD | {f"unknown_{dice.randrange(1000)}": dice.choice(JUNK)}).encode()
    if kind == 3:
        return json.dumps(GOOD | {"quantity": dice.choice([None, "2", -5, 0, 2.5, 10**9, True, [], {}])}).encode()
    if kind == 4:
        whole = json.dumps(GOOD).encode()
        return whole[: dice.randrange(1, len(whole))]
    wrong = {field: [dice.choice(JUNK)] for field in dice.sample(FIELDS, dice.randrange(1, 4))}
    return json.dumps(GOOD | wrong).encode()


@pytest.mark.timeout(300)
async def test_ten_thousand_bad_bodies_are_4xx_and_change_no_row(database_url: str) -> None:
    dice = random.Random(1815)
    async with running_stack(database_url) as stack:
        before = await counts(stack)
        statuses = set()
        headers = {"Content-Type": "application/json", "Idempotency-Key": "k"}
        async with aiohttp.ClientSession(str(stack.client.base_url)) as session:
            for _ in range(COUNT):
                async with session.post(CREATE, data=bad_body(dice), headers=headers) as answer:
                    statuses.add(answer.status)
        assert statuses <= {400, 422}
        assert await counts(stack) == before


async def counts(stack: Stack) -> dict[str, int]:
    return {table.name: len(await stack.rows(table)) for table in TABLES}
