"""What Stripe says is not there any more: a customer deleted while its events were lost, a price, a payment method."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from payment_service.catalog.service import Price
from payment_service.customers.selection import unknown_customer
from payment_service.errors import PaymentsError
from payment_service.subscriptions import slots
from payment_service.subscriptions.creation_state import request_of
from payment_service.subscriptions.placement import MISSING

if TYPE_CHECKING:
    from payment_service.catalog.stripe_prices import StripePrices
    from payment_service.customers.selection import Selection
    from payment_service.operations.steps import Steps
    from payment_service.stripe_api.gateway import StripeRejected
    from payment_service.subscriptions.creation_state import Creation
    from payment_service.subscriptions.placement import Placement


_DEFAULT: Final = "invoice_settings"
"""Holds the payment method a second time when a customer is created with one."""


def is_of_customer(error: StripeRejected) -> bool:
    """Tell whether Stripe says that the customer is not there."""
    return error.stripe_code == MISSING and error.param == "customer"


def is_of_method(error: StripeRejected) -> bool:
    """Tell whether Stripe says that the customer does not have the subscription's payment method."""
    return error.stripe_code == MISSING and error.param == "default_payment_method"


async def name_field(error: StripeRejected, operation: Creation, stripe_prices: StripePrices) -> None:
    """Let a refusal name the field of the request that it is about, beside Stripe's parameter.

    A price that is gone or archived while its events were lost is refreshed: the next order is refused at once, or by a
    lookup key finds its present price. When Stripe is away just then, the next order's refusal does it.
    """
    request, param = request_of(operation), error.param or ""
    if param.startswith("items"):
        field = "price_id" if request.price_id is not None else "lookup_key"
        with contextlib.suppress(PaymentsError):
            await stripe_prices.refresh(operation.state.price_id)
    elif param in {"payment_method", "default_payment_method"} or _is_of_attaching(error, operation):
        field = "payment_method_id"
    else:
        return
    error.extra["errors"] = [{"field": field, "message": error.detail}]


def _is_of_attaching(error: StripeRejected, operation: Creation) -> bool:
    """Tell whether the payment method was refused when it was to be attached: Stripe names no parameter then.

    Such is one that was detached, or is another customer's (docs.stripe.com/api/payment_methods/attach).
    """
    if operation.state.phase == "started":
        return operation.state.method_goes_along and (error.param or _DEFAULT).startswith(_DEFAULT)
    attaching = operation.state.phase == "customer_ready" and request_of(operation).payment_method_id is not None
    return attaching and not is_of_customer(error)


class Restart:
    """Lets a creation begin again whose customer is deleted at Stripe, as Stripe itself would take the order."""

    def __init__(self, selection: Selection, placement: Placement, steps: Steps) -> None:
        self._selection = selection
        self._placement = placement
        self._steps = steps

    async def begin_again(self, operation: Creation) -> bool:
        """Mark the customer as deleted, and choose or make another one for the address or reference.

        False: Stripe has the customer after all.

        Outgoing keys change with `tries`: the former ones belong to calls for the former customer.

        Raises:
            StripeRejected: a live account does not know the customer: no proof (see `Selection.refresh`).
            PaymentsError: the request names the customer by id, or `Placement.place` refuses; the slot is still held.
        """
        if await self._selection.refresh(operation.state.customer):
            return False
        await self._choose(operation, tries=operation.state.tries + 1)
        return True

    async def choose_again(self, operation: Creation) -> None:
        """Choose or make another customer where the row of the former one is gone; Stripe never made it.

        Raises:
            PaymentsError: as `begin_again`.
        """
        await self._choose(operation, tries=operation.state.tries)

    async def _choose(self, operation: Creation, *, tries: int) -> None:
        request, former = request_of(operation), operation.state
        if request.customer_id is not None:
            raise unknown_customer()
        address = request.address_alone
        imported = address is not None and await self._selection.refresh_address(address)
        price = Price(
            id=former.price_id, product_id=former.product_id, metered=former.metered, due_at_once=not former.due_later
        )
        async with self._steps.take(operation) as step:
            if former.subscription_id is not None:
                await slots.release(step.connection, former.subscription_id)
            step.state, step.response = await self._placement.place(
                step.connection,
                operation,
                price=price,
                customer_id=None,
                imported=imported,
                end_user=former.end_user,
                tries=tries,
            )
