"""How many objects are fetched from Stripe for a thousand events: it answers 25 calls a second for an endpoint."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Final

from tests.servers.bursts import Played, Shop, StillClock
from tests.servers.laboratory import laboratory

from stripe_simulator import state

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pytest

MOST: Final = 20
CUSTOMERS: Final = 10


async def lives(shop: Shop) -> Mapping[str, Played]:
    """Let customers live through all that is usual."""
    return {
        "sign up": await shop.sign_up(),
        "sign up first": await shop.sign_up_first(),
        "pay": await shop.pay(),
        "renew": await shop.renew(),
        "change plan": await shop.change_plan(),
        "refund": await shop.refund(),
        "lose cards": await shop.lose_cards(),
        "renew again": await shop.renew(),
        "cancel": await shop.cancel(),
    }


def report(played: Mapping[str, Played]) -> str:
    """Return the table: fetches for a thousand events, by history and by kind of object."""
    return "\n".join(
        f"{name:16} {found.events.total():6} {found.rate:6.1f}  {dict(found.fetches)}" for name, found in played.items()
    )


async def test_a_thousand_events_of_any_history_cost_at_most_twenty_fetches(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "_RANDOM", Random(1))
    async with laboratory(database_url, base=StillClock()) as lab:
        played = await lives(Shop(lab, Random(1), customers=CUSTOMERS))
        assert max(found.rate for found in played.values()) <= MOST, report(played)
        rows = await lab.mirror()
        for kind in ("subscription", "invoice", "payment_intent", "charge", "refund"):
            at_stripe = {obj["id"]: obj["status"] for obj in lab.simulator.state.all(kind)}
            assert {name: row["status"] for name, row in rows[kind].items()} == at_stripe
