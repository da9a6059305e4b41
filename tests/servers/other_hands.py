"""What people and other programs change in a Stripe account beside us: random actions on the simulator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.servers.histories import Account

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from payment_service.clock import MovableClock
    from stripe_simulator import Simulator

ADDRESSES = ("ada@example.com", "Ada@Example.com", " bob@EXAMPLE.com", "carol@example.com", "")
BY_INVOICE = {"collection_method": "send_invoice", "days_until_due": "7"}


class OtherHands(Account):
    """An account whose subscriptions, catalogue and customers change in every way that Stripe allows."""

    def __init__(self, simulator: Simulator, clock: MovableClock, chance: Random) -> None:
        super().__init__(simulator, clock, chance)
        self.prices = [self.price, *(self._add_price(usage) for usage in ("licensed", "metered", "licensed"))]
        more: dict[str, Callable[[], object]] = {
            "subscribe to several": self._subscribe_to_several,
            "switch the plan": self._switch,
            "add an item": self._add_item,
            "remove an item": self._remove_item,
            "change seats": self._seats,
            "pause collection": self._pause,
            "end the pause": lambda: self._change({"pause_collection": ""}),
            "end with its period": lambda: self._change({"cancel_at_period_end": "true"}),
            "go on after all": lambda: self._change({"cancel_at_period_end": "false"}),
            "list the items otherwise": self._turn_items,
            "change the address": self._move,
            "move the lookup key": self._move_lookup_key,
            "archive a price": lambda: self._archive("price"),
            "archive a product": lambda: self._archive("product"),
            "delete a product": self._delete_product,
            "void an invoice": lambda: self._world.invoices.void(self._some("invoice")),
            "give an invoice up": lambda: self._world.invoices.give_up(self._some("invoice")),
            "pay an invoice": lambda: self._world.invoices.pay(self._some("invoice"), {"paid_out_of_band": "true"}),
            "a refund fails": lambda: self._world.refunds.fail(self._some("refund")),
        }
        self.actions |= more

    def _add_price(self, usage: str) -> dict[str, Any]:
        recurring = {"interval": "week", "usage_type": usage}
        params = {"currency": "usd", "unit_amount": "900", "product_data": {"name": usage}, "recurring": recurring}
        return self._world.catalog.create_price(params)

    def _change(self, params: dict[str, Any]) -> None:
        self._world.billing.update(self._some("subscription"), params)

    def _item(self, *, seats: int = 4) -> dict[str, Any]:
        """Return a wanted item of a random price; a metered one has no quantity."""
        price = self._chance.choice(self.prices)
        metered = price["recurring"]["usage_type"] == "metered"
        return {"price": price["id"]} | ({} if metered else {"quantity": str(self._chance.randrange(seats))})

    def _subscribe_to_several(self) -> None:
        """Also a customer who is subscribed already, to the same product it may be."""
        customer = self._some("customer") if self._coin() else self._create_customer()
        items = {item["price"]: item for item in (self._item() for _ in range(3))}
        terms = BY_INVOICE if self._coin() else {}
        self._world.billing.create({"customer": customer["id"], "items": list(items.values()), **terms})

    def _with_item(self) -> tuple[dict[str, Any], dict[str, Any]]:
        subscription = self._some("subscription")
        return subscription, self._chance.choice(subscription["items"]["data"])

    def _switch(self) -> None:
        subscription, item = self._with_item()
        self._world.billing.update(subscription, {"items": [{"id": item["id"], **self._item()}]})

    def _add_item(self) -> None:
        self._change({"items": [self._item()]})

    def _remove_item(self) -> None:
        subscription, item = self._with_item()
        self._world.billing.update(subscription, {"items": [{"id": item["id"], "deleted": "true"}]})

    def _seats(self) -> None:
        subscription, item = self._with_item()
        wanted = [{"id": item["id"], "quantity": self._chance.choice(("0", "1", "7"))}]
        self._world.billing.update(subscription, {"items": wanted})

    def _pause(self) -> None:
        behavior = self._chance.choice(("void", "keep_as_draft", "mark_uncollectible"))
        until = {"resumes_at": str(int(self._clock.timestamp()) + 86400)} if self._coin() else {}
        self._change({"pause_collection": {"behavior": behavior, **until}})

    def _turn_items(self) -> None:
        """List the items in another order, which says nothing; another change makes the event."""
        subscription = self._some("subscription")
        subscription["items"]["data"].reverse()
        self._world.billing.update(subscription, self._metadata())

    def _move(self) -> None:
        self._world.customers.update(self._some("customer"), {"email": self._chance.choice(ADDRESSES)})

    def _move_lookup_key(self) -> None:
        params = {"lookup_key": "pro", "transfer_lookup_key": "true"}
        self._world.catalog.update_price(self._some("price"), params)

    def _archive(self, kind: str) -> None:
        update = getattr(self._world.catalog, f"update_{kind}")
        update(self._some(kind), {"active": "true" if self._coin() else "false"})

    def _delete_product(self) -> None:
        self._world.catalog.delete_product(self._world.catalog.create_product({"name": "short-lived"}))
