"""What is read of a subscription, in any shape from before 2025-03-31.basil on, and the columns that it becomes."""

from __future__ import annotations

from msgspec import UNSET, Struct, UnsetType

from payment_service.mirror.kind import Columns, Shape
from payment_service.storage.mirror import moment
from payment_service.stripe_api.metadata import OPERATION, of_caller
from payment_service.stripe_api.objects import Id, Integer, Metadata, Name, Seconds, id_of


class PriceOfItem(Struct):
    """A price, or a plan of old."""

    id: Name | None = None
    product: Id | None = None


class SubscriptionItem(Struct):
    """docs.stripe.com/api/subscription_items/object."""

    id: str | None = None
    price: PriceOfItem | None = None
    plan: PriceOfItem | None = None
    quantity: Integer | None = None
    created: Seconds | None = None
    current_period_start: Seconds | None = None
    current_period_end: Seconds | None = None

    @property
    def ordered(self) -> PriceOfItem:
        """What it is of."""
        return self.price or self.plan or PriceOfItem()


class SubscriptionItems(Struct):
    """A list of items, not always whole."""

    data: list[SubscriptionItem]
    has_more: bool | None = None


class PauseOfCollection(Struct):
    """docs.stripe.com/billing/subscriptions/pause."""

    behavior: str | None = None
    resumes_at: Seconds | None = None


class CauseOfPause(Struct):
    """Why a subscription is paused."""

    type: str | None = None


class Paused(Struct):
    """Which cause it is, and that."""

    type: str | None = None
    subscription: CauseOfPause | None = None


class StatusDetails(Struct):
    """Beside the status."""

    paused: Paused | None = None


class Subscription(Shape, kw_only=True):
    """What is read of one."""

    customer: Id
    status: str
    items: SubscriptionItems | UnsetType = UNSET
    plan: PriceOfItem | None = None
    quantity: Integer | None = None
    pause_collection: PauseOfCollection | None = None
    status_details: StatusDetails | None = None
    latest_invoice: Id | None = None
    cancel_at_period_end: bool | None = None
    cancel_at: Seconds | None = None
    canceled_at: Seconds | None = None
    ended_at: Seconds | None = None
    trial_end: Seconds | None = None
    created: Seconds | None = None
    current_period_start: Seconds | None = None
    current_period_end: Seconds | None = None
    metadata: Metadata | None = None

    def columns(self, *, ordered: str | None = None) -> Columns:
        """Return what the row holds; the item that is shown is that of the product `ordered` here, if there is one.

        Since 2025-03-31.basil the period stands on the items (docs.stripe.com/changelog/basil/2025-03-31).
        """
        shown = self._shown(ordered)
        ends = [item.current_period_end for item in self._all_items() if item.current_period_end]
        return {
            "stripe_customer_id": id_of(self.customer),
            "product_id": id_of(shown.ordered.product) or "",
            "price_id": shown.ordered.id or "",
            "quantity": shown.quantity,
            "status": self.status,
            **self._pause(),
            "cancel_at_period_end": bool(self.cancel_at_period_end),
            "cancel_at": moment(self.cancel_at),
            "canceled_at": moment(self.canceled_at),
            "ended_at": moment(self.ended_at),
            "trial_end": moment(self.trial_end),
            "current_period_start": moment(shown.current_period_start or self.current_period_start),
            "current_period_end": moment(max(ends) if ends else self.current_period_end),
            "latest_invoice_id": id_of(self.latest_invoice),
            "items": [self._item(item) for item in self._all_items()],
            "metadata": of_caller(self.metadata),
            "livemode": self.livemode,
        }

    @property
    def operation_reference(self) -> str | None:
        """Names the operation of ours that made it."""
        return (self.metadata or {}).get(OPERATION)

    @property
    def products(self) -> set[str]:
        """Of all items."""
        return {found for item in self._all_items() if (found := id_of(item.ordered.product))}

    @property
    def has_several_items(self) -> bool:
        """Which of them is shown depends on what was ordered here."""
        return len(self._all_items()) > 1

    def _all_items(self) -> list[SubscriptionItem]:
        """Return the items; the oldest shapes held one plan and its quantity instead (docs.stripe.com/upgrades)."""
        if self.items is UNSET:
            return [SubscriptionItem(plan=self.plan, quantity=self.quantity)]
        return self.items.data

    def _shown(self, ordered: str | None) -> SubscriptionItem:
        """Return the item to show: that of the ordered product, else the oldest; the position says nothing."""
        items = self._all_items()
        known = [item for item in items if ordered and id_of(item.ordered.product) == ordered]
        return min(known or items, key=lambda item: (item.created or 0, item.id or ""), default=SubscriptionItem())

    def _pause(self) -> Columns:
        """Return a pause of collection, and why the status is `paused`.

        The one leaves the status as it is; the other has causes in `status_details.paused`
        (docs.stripe.com/billing/subscriptions/pause, docs.stripe.com/api/subscriptions/object).
        """
        pause = self.pause_collection or PauseOfCollection()
        paused = (self.status_details.paused if self.status_details else None) or Paused()
        cause = (paused.subscription.type if paused.subscription else None) or paused.type
        return {
            "pause_behavior": pause.behavior,
            "pause_resumes_at": moment(pause.resumes_at),
            "paused_reason": cause if self.status == "paused" else None,
        }

    def _item(self, item: SubscriptionItem) -> Columns:
        """Return what is kept of an item, in JSON types; before `basil` the period was the subscription's."""
        return {
            "id": item.id,
            "price_id": item.ordered.id,
            "product_id": id_of(item.ordered.product),
            "quantity": item.quantity,
            "current_period_start": item.current_period_start or self.current_period_start,
            "current_period_end": item.current_period_end or self.current_period_end,
        }
