"""What may happen in a Stripe account: random actions on the simulator, for histories of events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stripe_simulator.errors import StripeFault

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from payment_service.clock import MovableClock
    from stripe_simulator import Simulator

CARDS = ("pm_card_visa", "pm_card_chargeCustomerFail", "pm_card_createDispute", "pm_card_refundFail")
WEEK = 7 * 86400


def unsaved(obj: dict[str, Any]) -> bool:
    """Tell of a payment method that no customer has: Stripe may have made no event of it."""
    return obj["object"] == "payment_method" and obj["customer"] is None


class Account:
    """Does things in an account, each as the caller's chance says; what Stripe refuses does not happen."""

    def __init__(
        self, simulator: Simulator, clock: MovableClock, chance: Random, *, cards: tuple[str, ...] = CARDS
    ) -> None:
        self._cards = cards
        self._simulator = simulator
        self._world = simulator.routes
        self._state = simulator.state
        self._clock = clock
        self._chance = chance
        self.price = simulator.ensure_price(
            price_id="price_pro",
            lookup_key="pro",
            unit_amount=2900,
            currency="usd",
            interval="week",
            product_name="Pro",
        )
        self.actions: dict[str, Callable[[], object]] = {
            "create customer": self._create_customer,
            "change customer": self._change_customer,
            "change customer and back": self._change_and_back,
            "delete customer": lambda: self._world.customers.delete(self._some("customer")),
            "change product": lambda: self._world.catalog.update_product(self._some("product"), self._metadata()),
            "change price": lambda: self._world.catalog.update_price(self._some("price"), self._metadata()),
            "subscribe": self._subscribe,
            "change subscription": lambda: self._world.billing.update(self._some("subscription"), self._metadata()),
            "cancel": lambda: self._world.billing.cancel(self._some("subscription")),
            "refund": lambda: self._world.refunds.create({"charge": self._some("charge")["id"], "amount": "100"}),
            "dispute": lambda: self._world.disputes.open(self._some("charge"), reason="fraudulent"),
            "close dispute": lambda: self._world.disputes.close(self._some("dispute"), won=self._coin()),
            "set up a card": self._set_up,
            "change a card": self._change_card,
            "choose a card": self._choose_card,
            "renew a card": lambda: self._world.methods.renew(self._card()),
            "detach a card": lambda: self._world.methods.detach(self._card()),
            "pay once": self._pay,
            "check out": self._check_out,
            "a week passes": lambda: self._pass(WEEK),
        }

    def do(self, action: str) -> None:
        """Do one thing; time passes by none, one or two seconds."""
        self._clock.advance(self._chance.choice((0, 0, 0, 1, 2)))
        try:
            self.actions[action]()
        except (StripeFault, IndexError):
            return

    def _some(self, kind: str) -> dict[str, Any]:
        return self._chance.choice([obj for obj in self._state.all(kind) if "deleted" not in obj])

    def _coin(self) -> bool:
        return self._chance.random() < 0.5

    def _metadata(self) -> dict[str, Any]:
        return {"metadata": {"note": str(self._chance.randrange(1000))}}

    def _create_customer(self) -> dict[str, Any]:
        customer = self._world.customers.create({"email": "ada@example.com", "name": "Ada"})
        card = self._chance.choice(self._cards)
        method = self._world.methods.attach(card, customer["id"])
        return self._world.customers.update(
            customer, {"invoice_settings": {"default_payment_method": method["id"]}, **self._metadata()}
        )

    def _change_customer(self) -> None:
        self._world.customers.update(self._some("customer"), {"name": f"Ada {self._chance.randrange(100)}"})

    def _change_and_back(self) -> None:
        customer = self._some("customer")
        for name in (f"Ada {self._chance.randrange(100)}", customer["name"]):
            self._world.customers.update(customer, {"name": name})

    def _subscribe(self) -> None:
        customer = self._create_customer()
        items = [{"price": self.price["id"], "quantity": str(self._chance.randrange(1, 4))}]
        trial = {"trial_period_days": "5"} if len(self._cards) > 1 and self._chance.random() < 0.2 else {}
        self._world.billing.create({"customer": customer["id"], "items": items, **trial})

    def _set_up(self) -> None:
        params = {"customer": self._create_customer()["id"], "payment_method": "pm_card_visa", "confirm": "true"}
        setup = self._world.setups.create(params if self._coin() else {})
        if setup["status"] != "succeeded" and self._coin():
            self._world.setups.cancel(setup, {})

    def _card(self) -> dict[str, Any]:
        """One that a customer has; a detached one now and then, which Stripe refuses."""
        some = self._some("payment_method")
        if some["customer"] is None and self._chance.random() < 0.8:
            raise IndexError
        return some

    def _change_card(self) -> None:
        details = {"billing_details": {"name": f"Ada {self._chance.randrange(100)}"}}
        self._world.methods.update(self._card(), self._metadata() | details)

    def _choose_card(self) -> None:
        card = self._card()
        chosen = {"invoice_settings": {"default_payment_method": card["id"]}}
        self._world.customers.update(self._state.get("customer", card["customer"] or ""), chosen)

    def _pay(self) -> None:
        confirm = {"payment_method": self._chance.choice(self._cards), "confirm": "true"} if self._coin() else {}
        intent = self._world.payments.create({"amount": "700", "currency": "usd", **confirm})
        if self._coin():
            self._world.payments.cancel(intent, {})

    def _check_out(self) -> None:
        session = self._world.checkout.create(
            {
                "mode": "subscription",
                "success_url": "https://shop.example/done",
                "line_items": [{"price": self.price["id"], "quantity": "1"}],
            }
        )
        if self._coin():
            self._world.checkout.complete(session, "pm_card_visa")
        else:
            self._world.checkout.expire(session)

    def _pass(self, seconds: float) -> None:
        self._clock.advance(seconds)
        self._world.advance()
