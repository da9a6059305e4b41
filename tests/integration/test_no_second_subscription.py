"""No call of ours starts a second live subscription to a product while another is visible at Stripe."""

from __future__ import annotations

import asyncio
import os
from itertools import count
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import strategies as st
from tests.holding import hold, patience
from tests.servers.stack import OTHER_PRICE, PRICE, Stack, running_stack, seed

from payment_service.storage.tables import LIVE_STATUSES
from stripe_simulator.errors import StripeFault

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

EXAMPLES = int(os.environ.get("PAYMENTS_TEST_HISTORIES", "5"))
"""A sample in CI; `make soak` sets more."""
CARD = "pm_card_visa"
STEPS = (
    "order",
    "order twice at once",
    "move",
    "move all at once",
    "move and order at once",
    "subscribe at Stripe",
    "check out",
    "switch the plan",
    "add an item",
    "cancel at Stripe",
    "pay what is open",
    "delete the customer",
    "write the address otherwise",
    "lose events",
    "hear again",
    "time passes",
    "wait",
)
OURS = ("order", "move")
"""How the names of steps begin that are calls of ours."""
FURTHER = {"metadata": {"further": "yes"}, "allow_multiple": True}
_NUMBERS = count()


class Person:
    """One address, whoever has it at Stripe: orders and changes of ours, and what other hands do."""

    def __init__(self, stack: Stack, chance: Random) -> None:
        self.stack = stack
        self.chance = chance
        self.world = stack.simulator.routes
        number = next(_NUMBERS)
        self.address = f"person{number}@example.com"
        self.reference = f"person-{number}"
        self.ids: set[str] = set()
        """Our ids of the customers that orders were answered with."""
        self.started: list[tuple[str, str]] = []
        """What was started although another was live."""
        self.steps: dict[str, Callable[[], Any]] = {
            "order": self.order,
            "order twice at once": lambda: asyncio.gather(self.order(further=False), self.order(further=False)),
            "move": self.move,
            "move all at once": lambda: asyncio.gather(*self.moves()),
            "move and order at once": lambda: asyncio.gather(self.move(), self.order(further=False)),
            "subscribe at Stripe": self.subscribe,
            "check out": self.check_out,
            "switch the plan": lambda: self.change(lambda item: {"id": item["id"], "price": self.price()}),
            "add an item": lambda: self.change(lambda _: {"price": self.price()}),
            "cancel at Stripe": lambda: self.world.billing.cancel(chance.choice(self.live())),
            "pay what is open": self.pay,
            "delete the customer": lambda: self.world.customers.delete(chance.choice(self.customers())),
            "write the address otherwise": self.rename,
            "lose events": self.deafen,
            "hear again": lambda: seed(stack.simulator, str(stack.client.base_url).rstrip("/")),
            "time passes": lambda: stack.clock.advance(chance.choice((3, 60, 700))),
            "wait": lambda: asyncio.sleep(0.1),
        }

    async def step(self, name: str) -> None:
        """Do one thing; what Stripe refuses, or what there is nothing for, does not happen."""
        before = {obj["id"]: products(obj) for obj in self.live()}
        try:
            waited = self.steps[name]()
            if asyncio.isfuture(waited) or asyncio.iscoroutine(waited):
                await waited
        except (StripeFault, IndexError):
            return
        if name.startswith(OURS):
            self.judge(before)

    def judge(self, before: dict[str, set[str]]) -> None:
        """Note each subscription that a call of ours began, or moved, beside a live one to the same product."""
        live = self.live()
        for obj in live:
            mine = "lean_payments_operation" in obj["metadata"] and "further" not in obj["metadata"]
            if obj["id"] not in before and not mine:
                continue
            gained = products(obj) - before.get(obj["id"], set())
            self.started += [
                (other["id"], obj["id"])
                for other in live
                if other["id"] != obj["id"] and other["customer"] == obj["customer"] and products(other) & gained
            ]

    def customers(self) -> list[dict[str, Any]]:
        """Return who has the address at Stripe."""
        found = [obj for obj in self.stack.simulator.state.all("customer") if "deleted" not in obj]
        return [obj for obj in found if (obj["email"] or "").lower() == self.address]

    def live(self) -> list[dict[str, Any]]:
        """Return their live subscriptions at Stripe."""
        ids = {obj["id"] for obj in self.customers()}
        found = self.stack.simulator.state.all("subscription")
        return [obj for obj in found if obj["customer"] in ids and obj["status"] in LIVE_STATUSES]

    def price(self) -> str:
        return self.chance.choice((PRICE, OTHER_PRICE))

    async def order(self, *, further: bool | None = None) -> None:
        """Order by address, reference or id, with a card or without, now and then a further one."""
        who: list[dict[str, Any]] = [{"email": self.address}, {"email": self.address.upper()}]
        who += [{"customer_reference": self.reference, "email": self.address}]
        who += [{"customer_id": customer_id} for customer_id in self.ids]
        more: dict[str, Any] = {} if self.chance.random() < 0.2 else {"payment_method_id": CARD}
        if further is None and self.chance.random() < 0.15:
            more |= FURTHER
        answer = await self.stack.create(price_id=self.price(), **self.chance.choice(who), **more)
        assert answer.status_code in {200, 201, 409, 422, 503}, answer.text
        if answer.status_code in {200, 201}:
            self.ids.add(answer.json()["customer_id"])

    async def move(self) -> None:
        """Change the price of a subscription, whoever made it."""
        await self.patch(self.chance.choice(self.live()), self.price())

    def moves(self) -> list[Coroutine[Any, Any, None]]:
        """Move all subscriptions to one price."""
        price = self.price()
        return [self.patch(obj, price) for obj in self.live()]

    async def patch(self, obj: dict[str, Any], price: str) -> None:
        answer = await self.stack.client.patch(f"/api/v1/subscriptions/{obj['id']}", json={"price_id": price})
        assert answer.status_code in {200, 404, 409, 422, 503}, answer.text

    def subscribe(self) -> None:
        items = [{"price": price} for price in {self.price(), self.price()}]
        terms = {"collection_method": "send_invoice", "days_until_due": "30"}
        self.world.billing.create({"customer": self.chance.choice(self.customers())["id"], "items": items, **terms})

    def check_out(self) -> None:
        """Subscribe at a page of Stripe's, as the customer that there is or as a new one with the address."""
        known = self.customers()
        who = {"customer": known[0]["id"]} if known and self.chance.random() < 0.5 else {"customer_email": self.address}
        items = [{"price": self.price(), "quantity": "1"}]
        params = {"mode": "subscription", "success_url": "https://shop.example", "line_items": items}
        self.world.checkout.complete(self.world.checkout.create({**params, **who}), CARD)

    def change(self, wanted: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        obj = self.chance.choice(self.live())
        self.world.billing.update(obj, {"items": [wanted(self.chance.choice(obj["items"]["data"]))]})

    def pay(self) -> None:
        """Pay an open invoice, as a customer does who confirms late."""
        ids = {obj["id"] for obj in self.customers()}
        found = [obj for obj in self.stack.simulator.state.all("invoice") if obj["customer"] in ids]
        invoice = self.chance.choice([obj for obj in found if obj["status"] == "open"])
        self.world.invoices.pay(invoice, {"paid_out_of_band": "true"})

    def rename(self) -> None:
        spelled = self.chance.choice((self.address, self.address.title()))
        self.world.customers.update(self.chance.choice(self.customers()), {"email": spelled})

    def deafen(self) -> None:
        for endpoint in self.stack.simulator.state.all("webhook_endpoint"):
            self.world.endpoints.delete(endpoint)


def products(obj: dict[str, Any]) -> set[str]:
    return {item["price"]["product"] for item in obj["items"]["data"]}


async def history(stack: Stack, *, steps: list[str], seed_of_chance: int) -> None:
    person = Person(stack, Random(seed_of_chance))
    for name in ("order", *steps, "order"):
        await person.step(name)
    assert person.started == []


@pytest.mark.timeout(patience(EXAMPLES))
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_no_call_starts_a_second_one_whatever_other_hands_do(database_url: str) -> None:
    steps = st.lists(st.sampled_from(("order", *STEPS)), min_size=4, max_size=14)
    hold(running_stack(database_url), history, examples=EXAMPLES, steps=steps, seed_of_chance=st.integers(0, 2**32 - 1))
