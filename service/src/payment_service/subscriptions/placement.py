"""The first transaction of a creation: its customer's row, and the slot of customer and product, or the refusal.

A request that names its customer by an address alone is refused while several customers have the address, so the slots
of its one customer are those of everybody with that address. One by id or reference looks at that customer alone: two
people of a company may share an address. An address is no proof of who asks, so what could be charged later without
the request naming a payment method is refused for a customer who was there before (`PaymentMethodRequired`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from payment_service.customers.selection import Named
from payment_service.errors import PaymentMethodRequired, SubscriptionInProgress
from payment_service.observability.metrics import PAYMENT_ATTEMPTS
from payment_service.operations.service import refusal
from payment_service.storage.ids import new_id
from payment_service.stripe_api import calls
from payment_service.stripe_api.calls import SubscriptionTerms
from payment_service.stripe_api.gateway import StripeRejected
from payment_service.subscriptions import slots
from payment_service.subscriptions.schemas import CreateSubscription
from payment_service.subscriptions.stripe_lookup import can_pay_by_itself

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.catalog.service import Price
    from payment_service.clock import Clock
    from payment_service.customers.selection import Selection
    from payment_service.errors import PaymentsError
    from payment_service.operations.schemas import Operation
    from payment_service.stripe_api.gateway import StripeGateway

BY_ADDRESS: Final = "by_address"
"""The fact that the address alone selected a customer who was there before."""
NEW: Final = "new_customer"
"""The fact that the operation made the customer: nobody else can have given it a subscription."""

MISSING: Final = "resource_missing"
"""Stripe's code for an id that it does not know (docs.stripe.com/error-codes)."""
LATER: Final = "due_later"
"""The fact that the price owes nothing at first."""


class Placement:
    """Gives a creation its customer and its slot."""

    def __init__(self, selection: Selection, *, clock: Clock, livemode: bool) -> None:
        self._selection = selection
        self._clock = clock
        self._livemode = livemode

    async def place(
        self,
        connection: AsyncConnection,
        operation: Operation,
        *,
        price: Price,
        customer_id: str | None,
        imported: bool,
    ) -> None:
        """Choose the customer and take the slot; the operation has its facts, or its answer, afterwards.

        Args:
            connection: in a transaction.
            operation: with its request.
            price: that is ordered.
            customer_id: our id, if the request names the customer by id.
            imported: see `Selection.choose`.

        Raises:
            PaymentsError: nothing is to be written: what `Selection.choose` raises, another request that creates the
                same at this moment, or a payment method that must be named.
        """
        request = request_of(operation)
        named = Named(customer_id, request.customer_reference, request.email, request.name, request.create)
        chosen = await self._selection.choose(
            connection, named, imported=imported, cause=operation.id, mark=operation.mark
        )
        facts = {"price_id": price.id, "product_id": price.product_id, "customer_id": chosen.row.id}
        operation.facts = {**operation.facts, **facts}
        if price.metered:
            operation.facts |= {"metered": True}
        if not price.due_at_once:
            operation.facts |= {LATER: True}
        if chosen.new:
            operation.facts |= {NEW: True}
        elif named.by_address:
            operation.facts |= {BY_ADDRESS: True}
        if chosen.row.stripe_customer_id is not None:
            operation.facts |= {"stripe_customer_id": chosen.row.stripe_customer_id}
            operation.phase = "customer_ready"
        await self._take_slot(connection, operation)
        later = request.trial_days is not None or not price.due_at_once
        if operation.response is None and operation.facts.get(BY_ADDRESS) and later and not request.payment_method_id:
            raise payment_method_required(chosen.row.id)

    async def _take_slot(self, connection: AsyncConnection, operation: Operation) -> None:
        if await self.reserve(connection, operation):
            return
        who = _who(operation, self._livemode)
        live = None if request_of(operation).allow_multiple else await slots.find_live(connection, **who)
        if live is not None and live.operation_id == operation.mark:  # a restored database has lost the operation
            operation.facts |= {"holder": {"id": live.id, "stripe_id": live.stripe_subscription_id, "ours": True}}
            return
        if live is not None:
            end(operation, slots.exists(live))
            PAYMENT_ATTEMPTS.labels("duplicate").inc()
            return
        holder = await slots.find_holder(connection, **who)
        if holder is None or holder.stripe_subscription_id is None:
            raise SubscriptionInProgress(
                "Another request is creating a subscription of this customer to this product", retry_after=2
            )
        same = (holder.price_id, holder.quantity) == (operation.facts["price_id"], quantity_of(operation))
        operation.facts |= {"holder": {"id": holder.id, "stripe_id": holder.stripe_subscription_id, "same": same}}

    async def reserve(self, connection: AsyncConnection, operation: Operation) -> bool:
        """Reserve the slot of customer and product for this operation."""
        subscription_id, request = new_id("lps"), request_of(operation)
        reserved = await slots.reserve(
            connection,
            subscription_id=subscription_id,
            mark=operation.mark,
            **_who(operation, self._livemode),
            price_id=operation.facts["price_id"],
            quantity=quantity_of(operation),
            metadata=request.metadata,
            exclusive=not request.allow_multiple,
            now=self._clock.now(),
        )
        if reserved:
            operation.facts = {**operation.facts, "subscription_id": subscription_id}
        return reserved


def _who(operation: Operation, livemode: bool) -> dict[str, Any]:  # noqa: FBT001 - named by its only callers
    """Return whose slot of which product."""
    facts = operation.facts
    return {
        "livemode": livemode,
        "customer_id": facts["customer_id"],
        "stripe_customer_id": facts.get("stripe_customer_id"),
        "product_id": facts["product_id"],
    }


def request_of(operation: Operation) -> CreateSubscription:
    """Return the request; one that an earlier version took may hold metadata without a value, of which none is kept."""
    metadata = {name: value for name, value in operation.request.get("metadata", {}).items() if value}
    return msgspec.convert({**operation.request, "metadata": metadata}, CreateSubscription)


def quantity_of(operation: Operation) -> int | None:
    """Return the ordered quantity; None for a metered price (docs.stripe.com/api/subscriptions/create)."""
    return None if operation.facts.get("metered") else request_of(operation).quantity


def terms_of(operation: Operation) -> SubscriptionTerms:
    """Return what Stripe is asked for."""
    request = request_of(operation)
    return SubscriptionTerms(
        customer=operation.facts["stripe_customer_id"],
        price=operation.facts["price_id"],
        quantity=quantity_of(operation),
        payment_method=operation.facts.get("payment_method"),
        trial_days=request.trial_days,
        metadata=request.metadata | {"lean_payments_operation": operation.mark},
    )


async def charge_nothing_unnamed(gateway: StripeGateway, operation: Operation) -> None:
    """Refuse for a customer selected by address alone what Stripe could pay by itself.

    Raises:
        PaymentMethodRequired: it could.
        StripeRejected: there is no such customer any more.
    """
    if not operation.facts.get(BY_ADDRESS):
        return
    customer = await calls.retrieve_customer(gateway, operation.facts["stripe_customer_id"])
    if customer.get("deleted"):
        raise StripeRejected("No such customer", param="customer", stripe_code=MISSING, http_status=404)
    if can_pay_by_itself(customer):
        raise payment_method_required(operation.facts["customer_id"])


def end(operation: Operation, error: PaymentsError) -> None:
    """Make `error` the operation's final answer."""
    operation.response = refusal(error, operation)
    operation.phase = "finished"


def payment_method_required(customer_id: str) -> PaymentMethodRequired:
    """Return the error that names the ways out."""
    return PaymentMethodRequired(
        f"The address alone selects the customer {customer_id}, and a payment method that the request does not name "
        "could be charged: give payment_method_id, or name the customer by customer_id or customer_reference",
        customer_id=customer_id,
    )
