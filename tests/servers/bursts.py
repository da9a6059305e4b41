"""Bursts of webhooks as a busy account sends them, at a pace that no machine changes: the same chance, the same run.

What happens at Stripe and what arrives here share one clock that moves by a tenth of a second at a time. Events arrive
a moment after they happened, in any order, some twice, some late.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
from tests.servers.histories import WEEK, Account

from payment_service.clock import Clock
from payment_service.mirror.registry import event_types

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

    from tests.servers.laboratory import Laboratory

TICK_SECONDS: Final = 0.1
USUAL_SECONDS: Final = 0.3
"""The mean of how long after it happened an event arrives."""
LATE_SECONDS: Final = (1.0, 60.0)
LATE: Final = 0.03
TWICE: Final = 0.1
BAD_CARD: Final = "pm_card_chargeCustomerFail"


class StillClock(Clock):
    """A clock that stands."""

    def timestamp(self) -> float:
        """Return the beginning of a second."""
        return 1_796_000_000.0


class Played(NamedTuple):
    """What a burst told, and what that cost."""

    events: Counter[str]
    """By kind of object, each once."""
    fetches: Counter[str]
    """Calls to Stripe, by path without the id."""

    @property
    def rate(self) -> float:
        """Calls for a thousand events."""
        return self.fetches.total() / self.events.total() * 1000


class Shop:
    """Customers, who do the same thing of their lives within one second.

    Args:
        lab: where it happens and arrives.
        chance: decides on order and delays.
        customers: how many.
    """

    def __init__(self, lab: Laboratory, chance: Random, *, customers: int) -> None:
        self._lab = lab
        self._chance = chance
        self._customers = customers
        self._world = lab.simulator.routes
        self._account = Account(lab.simulator, lab.clock, chance, cards=("pm_card_visa",))
        self._dear = lab.simulator.ensure_price(
            price_id="price_max",
            lookup_key="max",
            unit_amount=9900,
            currency="usd",
            interval="week",
            product_name="Max",
        )
        self._wanted = frozenset(event_types())
        self._sent = 0
        self._arriving: list[tuple[float, int, dict[str, Any]]] = []
        self._number = count()

    async def sign_up(self) -> Played:
        """Each brings a card, which is charged at once."""
        return await self._play([self._account.actions["subscribe"]] * self._customers)

    async def sign_up_first(self) -> Played:
        """Each subscribes without paying, as `default_incomplete` lets them."""
        return await self._play([self._subscribe] * self._customers)

    async def pay(self) -> Played:
        """Each pays the open invoice in the browser."""
        intents = [one for one in self._all("payment_intent") if one["status"] == "requires_payment_method"]
        return await self._play([partial(self._confirm, one) for one in intents])

    async def renew(self) -> Played:
        """A week passes; all periods end in the same second."""
        self._lab.clock.advance(WEEK)
        return await self._play([self._world.advance])

    async def lose_cards(self) -> Played:
        """One of ten has a card from now on that will be declined."""
        return await self._play([partial(self._spoil, one) for one in self._all("subscription")[::10]])

    async def change_plan(self) -> Played:
        """Each takes the dearer plan, and pays the difference."""
        return await self._play([partial(self._upgrade, one) for one in self._all("subscription")])

    async def refund(self) -> Played:
        """Each gets the newest charge back."""
        charges = [one for one in self._all("charge") if one["paid"]][: self._customers]
        return await self._play([partial(self._world.refunds.create, {"charge": one["id"]}) for one in charges])

    async def cancel(self) -> Played:
        """Each cancels at once."""
        return await self._play([partial(self._world.billing.cancel, one) for one in self._all("subscription")])

    def _all(self, kind: str) -> list[dict[str, Any]]:
        return self._lab.simulator.state.all(kind)

    def _subscribe(self) -> None:
        customer = self._world.customers.create({"email": "ada@example.com"})
        items = [{"price": self._account.price["id"], "quantity": "1"}]
        self._world.billing.create(
            {
                "customer": customer["id"],
                "items": items,
                "payment_behavior": "default_incomplete",
                "payment_settings": {"save_default_payment_method": "on_subscription"},
            }
        )

    def _confirm(self, intent: dict[str, Any]) -> None:
        self._world.payments.confirm(intent, self._world.payments.method("pm_card_visa"))
        self._world.billing.after_confirmation(intent)

    def _spoil(self, subscription: dict[str, Any]) -> None:
        method = self._world.methods.attach(BAD_CARD, subscription["customer"])
        self._world.billing.update(subscription, {"default_payment_method": method["id"]})

    def _upgrade(self, subscription: dict[str, Any]) -> None:
        item = subscription["items"]["data"][0]["id"]
        change = {"items": [{"id": item, "price": self._dear["id"]}], "proration_behavior": "always_invoice"}
        self._world.billing.update(subscription, change)

    async def _play(self, deeds: Sequence[Callable[[], object]]) -> Played:
        """Let it happen within one second, and apply what is told of it as it arrives."""
        before, told = Counter(self._lab.called), Counter[str]()
        ticks = round(1 / TICK_SECONDS)
        for number in range(ticks):
            for deed in deeds[number::ticks]:
                deed()
            told += await self._tick()
        while self._arriving or await self._lab.waiting():
            if not await self._lab.waiting():
                self._lab.clock.advance(max(0, self._arriving[0][0] - self._lab.clock.timestamp()))
            told += await self._tick()
        self._lab.clock.advance(ticks)
        return Played(told, Counter(self._lab.called) - before)

    async def _tick(self) -> Counter[str]:
        """Let a tenth of a second pass; return what Stripe has told meanwhile, by kind of object."""
        told = self._send()
        arrived = []
        while self._arriving and self._arriving[0][0] <= self._lab.clock.timestamp():
            arrived.append(heappop(self._arriving)[2])
        await self._lab.receive(arrived)
        while await self._lab.parts.worker.apply_batch() + await self._lab.parts.worker.fetch_doubtful():
            pass
        self._lab.clock.advance(TICK_SECONDS)
        return told

    def _send(self) -> Counter[str]:
        """Send what happened since: when each of it arrives, and how often, is chance."""
        happened = list(self._lab.simulator.state.by_kind.get("event", {}).values())[self._sent :]
        self._sent += len(happened)
        told = Counter[str]()
        for event in happened:
            if event["type"] not in self._wanted:
                continue
            shown = msgspec.json.decode(msgspec.json.encode(event))
            told[shown["data"]["object"]["object"]] += 1
            for _ in range(1 + (self._chance.random() < TWICE)):
                late = self._chance.uniform(*LATE_SECONDS) if self._chance.random() < LATE else 0
                at = self._lab.clock.timestamp() + late + self._chance.expovariate(1 / USUAL_SECONDS)
                heappush(self._arriving, (at, next(self._number), shown))
        return told
