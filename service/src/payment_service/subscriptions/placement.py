"""The first transaction of a creation: its customer's row, and the slot of customer and product, or the refusal.

A request that names its customer by an address alone is refused while several customers have the address, so the slots
of its one customer are those of everybody with that address. One by id or reference looks at that customer alone: two
people of a company may share an address. An address is no proof of who asks, so what could be charged later without
the request naming a payment method is refused for a customer who was there before (`PaymentMethodRequired`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from payment_service.customers.selection import Named
from payment_service.errors import PaymentMethodRequired, SubscriptionInProgress
from payment_service.observability.metrics import PAYMENT_ATTEMPTS
from payment_service.operations.schemas import Begun
from payment_service.operations.service import refusal
from payment_service.storage.ids import new_id
from payment_service.stripe_api import calls
from payment_service.stripe_api.gateway import StripeRejected
from payment_service.stripe_api.objects import read
from payment_service.subscriptions import slots
from payment_service.subscriptions.answers import CustomerAnswer
from payment_service.subscriptions.creation_state import CreatingSubscription, Creation, Holder, quantity_of, request_of

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.catalog.service import Price
    from payment_service.clock import Clock
    from payment_service.customers.selection import Selection
    from payment_service.operations.schemas import Asked
    from payment_service.stripe_api.gateway import StripeGateway

MISSING: Final = "resource_missing"
"""Stripe's code for an id that it does not know (docs.stripe.com/error-codes)."""


class Placement:
    """Gives a creation its customer and its slot."""

    def __init__(self, selection: Selection, *, clock: Clock, livemode: bool) -> None:
        self._selection = selection
        self._clock = clock
        self._livemode = livemode

    async def place(
        self,
        connection: AsyncConnection,
        asked: Asked,
        *,
        price: Price,
        customer_id: str | None,
        imported: bool,
        end_user: str | None,
        tries: int = 0,
    ) -> Begun[CreatingSubscription]:
        """Choose the customer and take the slot; return what the operation knows then, or its answer.

        Args:
            connection: in a transaction.
            asked: the operation.
            price: that is ordered.
            customer_id: our id, if the request names the customer by id.
            imported: see `Selection.choose`.
            end_user: fingerprint of the end user's address, if there is one.
            tries: see `State`.

        Raises:
            PaymentsError: nothing is to be written: what `Selection.choose` raises, another request that creates the
                same at this moment, or a payment method that must be named.
        """
        request = request_of(asked)
        named = Named(customer_id, request.customer_reference, request.email, request.name, request.create)
        chosen = await self._selection.choose(
            connection, named, imported=imported, cause=asked.id, operation_reference=asked.reference
        )
        stripe_id = chosen.row.stripe_customer_id
        state = CreatingSubscription(
            phase="started" if stripe_id is None else "customer_ready",
            tries=tries,
            price_id=price.id,
            product_id=price.product_id,
            customer_id=chosen.row.id,
            end_user=end_user,
            metered=price.metered,
            due_later=not price.due_at_once,
            new_customer=chosen.new,
            method_goes_along=chosen.new and request.payment_method_id is not None,
            by_address=named.by_address and not chosen.new,
            stripe_customer_id=stripe_id,
        )
        begun = await self._take_slot(connection, asked, state)
        later = request.trial_days is not None or state.due_later
        if begun.response is None and state.by_address and later and not request.payment_method_id:
            raise payment_method_required(chosen.row.id)
        return begun

    async def _take_slot(
        self, connection: AsyncConnection, asked: Asked, state: CreatingSubscription
    ) -> Begun[CreatingSubscription]:
        if await self.reserve(connection, asked, state):
            return Begun(state)
        slot, request = self._slot(state), request_of(asked)
        live = None if request.allow_multiple else await slots.find_live(connection, slot)
        if live is not None and live.operation_id == asked.reference:  # a restored database has lost the operation
            assert live.stripe_subscription_id is not None  # what is live is Stripe's
            state.holder = Holder(id=live.id, stripe_id=live.stripe_subscription_id, ours=True)
            return Begun(state)
        if live is not None:
            PAYMENT_ATTEMPTS.labels("duplicate").inc()
            state.phase = "finished"
            return Begun(state, refusal(slots.exists(live), asked))
        holder = await slots.find_holder(connection, slot)
        if holder is None or holder.stripe_subscription_id is None:
            raise SubscriptionInProgress(
                "Another request is creating a subscription of this customer to this product", retry_after=2
            )
        same = (holder.price_id, holder.quantity) == (state.price_id, quantity_of(request, state))
        state.holder = Holder(id=holder.id, stripe_id=holder.stripe_subscription_id, same=same)
        return Begun(state)

    async def reserve(self, connection: AsyncConnection, asked: Asked, state: CreatingSubscription) -> bool:
        """Reserve the slot of customer and product for this operation, and note the row that holds it."""
        request = request_of(asked)
        wanted = slots.Wanted(
            subscription_id=new_id("lps"),
            operation_reference=asked.reference,
            price_id=state.price_id,
            quantity=quantity_of(request, state),
            metadata=request.metadata,
            exclusive=not request.allow_multiple,
        )
        reserved = await slots.reserve(connection, self._slot(state), wanted, now=self._clock.now())
        if reserved:
            state.subscription_id = wanted.subscription_id
        return reserved

    def _slot(self, state: CreatingSubscription) -> slots.Slot:
        return slots.Slot(self._livemode, state.customer_id, state.stripe_customer_id, state.product_id)


async def charge_nothing_unnamed(gateway: StripeGateway, operation: Creation) -> None:
    """Refuse for a customer selected by address alone what Stripe could pay by itself.

    Raises:
        PaymentMethodRequired: it could.
        StripeRejected: there is no such customer any more.
    """
    if not operation.state.by_address:
        return
    customer = await calls.retrieve_customer(gateway, operation.state.customer)
    if customer.get("deleted"):
        raise StripeRejected("No such customer", param="customer", stripe_code=MISSING, http_status=404)
    if read(customer, CustomerAnswer).can_pay_by_itself:
        raise payment_method_required(operation.state.customer_id)


def payment_method_required(customer_id: str) -> PaymentMethodRequired:
    """Return the error that names the ways out."""
    return PaymentMethodRequired(
        f"The address alone selects the customer {customer_id}, and a payment method that the request does not name "
        "could be charged: give payment_method_id, or name the customer by customer_id or customer_reference",
        customer_id=customer_id,
    )
