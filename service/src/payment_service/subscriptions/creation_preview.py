"""Previews of new subscriptions: what the first invoice is of, and what of it is charged at once."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from payment_service.catalog.store import PriceName
from payment_service.errors import Conflict, Unprocessable
from payment_service.subscriptions import pricing
from payment_service.subscriptions.change_schemas import CreationPreview

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from payment_service.catalog.service import Catalog
    from payment_service.clock import Clock
    from payment_service.storage.rows import CustomerRow
    from payment_service.stripe_api.gateway import StripeGateway
    from payment_service.stripe_api.reads import Asker, StripeReads
    from payment_service.subscriptions.change_schemas import PreviewCreation

    FindCustomer = Callable[[str | None, str | None, Asker], Awaitable[CustomerRow]]


class CreationPreviews:
    """Asks Stripe what new subscriptions come to.

    Args:
        gateway: is asked.
        find_customer: by id, or by reference.
        catalog: has the prices.
        reads: counts the questions.
        clock: tells when a trial would end.
    """

    def __init__(
        self,
        gateway: StripeGateway,
        find_customer: FindCustomer,
        *,
        catalog: Catalog,
        reads: StripeReads,
        clock: Clock,
    ) -> None:
        self._gateway = gateway
        self._find_customer = find_customer
        self._catalog = catalog
        self._reads = reads
        self._clock = clock

    async def preview(self, request: PreviewCreation, *, asker: Asker) -> CreationPreview:
        """Return what a new subscription would come to; nothing is made.

        In a trial nothing is owed, so the first invoice that is paid is worked out as if the trial were over.

        Raises:
            Unprocessable: no such customer or price, or a quantity of a metered one, or Stripe refuses the order.
            Conflict: the customer is being made at Stripe.
            TooManyRequests: see `StripeReads`.
        """
        customer = await self._find_customer(request.customer_id, request.customer_reference, asker)
        if customer.stripe_customer_id is None:
            raise Conflict("Another request is making this customer at Stripe; try again", retry_after=1)
        price = await self._catalog.resolve(PriceName.of(request.price_id, request.lookup_key), asker=asker)
        if price.metered and request.quantity != 1:
            message = "this price is metered: Stripe counts the reported usage; leave the quantity out"
            raise Unprocessable(f"quantity: {message}", errors=[{"field": "quantity", "message": message}])
        quantity = None if price.metered else request.quantity
        stripe_id = customer.stripe_customer_id
        ask = partial(pricing.preview_creation, self._gateway, stripe_id, price=price.id, quantity=quantity)
        invoice = await self._reads.look_up(asker, ("creation", stripe_id, price.id, str(quantity)), ask)
        trial_end = None
        if request.trial_days is not None:
            trial_end = self._clock.now().replace(microsecond=0) + timedelta(days=request.trial_days)
        return CreationPreview(
            customer_id=customer.id,
            price_id=price.id,
            quantity=quantity,
            trial_end=trial_end,
            currency=invoice.currency,
            due_now=0 if trial_end else invoice.amount_due,
            first_invoice=pricing.to_view(invoice),
        )
