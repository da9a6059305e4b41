"""What Stripe says is not there any more: a customer deleted while its events were lost, a price, a payment method."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from payment_service.catalog.service import Price
from payment_service.customers.selection import unknown_customer
from payment_service.errors import PaymentsError
from payment_service.subscriptions import slots
from payment_service.subscriptions.limits import END_USER
from payment_service.subscriptions.placement import LATER, MISSING, request_of

if TYPE_CHECKING:
    from payment_service.catalog.service import Catalog
    from payment_service.customers.selection import Selection
    from payment_service.operations.schemas import Operation
    from payment_service.operations.service import Operations
    from payment_service.stripe_api.gateway import StripeRejected
    from payment_service.subscriptions.placement import Placement


def is_of_customer(error: StripeRejected) -> bool:
    """Tell whether Stripe says that the customer is not there."""
    return error.stripe_code == MISSING and error.param == "customer"


async def name_field(error: StripeRejected, operation: Operation, catalog: Catalog) -> None:
    """Let a refusal name the field of the request that it is about, beside Stripe's parameter.

    A price that is gone or archived while its events were lost is refreshed: the next order is refused at once, or by a
    lookup key finds its present price. When Stripe is away just then, the next order's refusal does it.
    """
    request, param = request_of(operation), error.param or ""
    if param.startswith("items"):
        field = "price_id" if request.price_id is not None else "lookup_key"
        with contextlib.suppress(PaymentsError):
            await catalog.refresh(operation.facts["price_id"])
    elif param in {"payment_method", "default_payment_method"} or _is_of_attaching(error, operation):
        field = "payment_method_id"
    else:
        return
    error.extra["errors"] = [{"field": field, "message": error.detail}]


def _is_of_attaching(error: StripeRejected, operation: Operation) -> bool:
    """Tell whether the payment method was refused when it was to be attached: Stripe names no parameter then.

    Such is one that was detached, or is another customer's (docs.stripe.com/api/payment_methods/attach).
    """
    attaching = operation.phase == "customer_ready" and request_of(operation).payment_method_id is not None
    return attaching and not is_of_customer(error)


class Restart:
    """Lets a creation begin again whose customer is deleted at Stripe, as Stripe itself would take the order."""

    def __init__(self, selection: Selection, placement: Placement) -> None:
        self._selection = selection
        self._placement = placement

    async def begin_again(self, operation: Operation, operations: Operations) -> bool:
        """Mark the customer as deleted, and choose or make another one for the address or reference.

        False: Stripe has the customer after all.

        Outgoing keys change with `tries`: the former ones belong to calls for the former customer.

        Raises:
            StripeRejected: a live account does not know the customer: no proof (see `Selection.refresh`).
            PaymentsError: the request names the customer by id, or `Placement.place` refuses; the slot is still held.
        """
        if await self._selection.refresh(operation.facts["stripe_customer_id"]):
            return False
        request, former, phase = request_of(operation), operation.facts, operation.phase
        if request.customer_id is not None:
            raise unknown_customer()
        by_address = request.email if request.customer_reference is None else None
        imported = by_address is not None and await self._selection.ask_stripe(by_address)
        price = Price(
            id=former["price_id"],
            product_id=former["product_id"],
            metered=bool(former.get("metered")),
            due_at_once=not former.get(LATER),
        )
        kept = {name: former[name] for name in (END_USER,) if name in former}
        try:
            operation.facts = {**kept, "tries": former.get("tries", 0) + 1}
            async with operations.advance(operation, "started") as connection:
                if reserved := former.get("subscription_id"):
                    await slots.release(connection, reserved)
                await self._placement.place(connection, operation, price=price, customer_id=None, imported=imported)
        except BaseException:
            operation.facts, operation.phase, operation.response = former, phase, None
            raise
        return True
