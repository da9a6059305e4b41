"""Detaches a payment method, or makes it its customer's default: `detach_payment_method`, `set_default_payment_method`.

Each is one call to Stripe whose result is recorded. Detaching is for good (docs.stripe.com/api/payment_methods/detach):
one that is found detached by then is what was asked for, whoever was faster.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from msgspec import Struct

from payment_service.errors import Conflict
from payment_service.mirror import payment_method
from payment_service.operations.schemas import Operation, StoredResponse
from payment_service.operations.service import refusal
from payment_service.operations.state import Kind, State
from payment_service.operations.turns import Turns
from payment_service.payment_methods import store
from payment_service.stripe_api import calls
from payment_service.stripe_api.gateway import StripeRejected
from payment_service.stripe_api.objects import Id, id_of, read

if TYPE_CHECKING:
    from payment_service.errors import PaymentsError
    from payment_service.json_types import JsonObject
    from payment_service.operations.recorder import ObjectRecorder
    from payment_service.operations.steps import Step, Steps
    from payment_service.storage.mirror import Seen
    from payment_service.stripe_api.gateway import StripeGateway


class Invoicing(Struct):
    """docs.stripe.com/api/customers/object#customer_object-invoice_settings."""

    default_payment_method: Id | None = None


class Customer(Struct):
    """What is read of one."""

    invoice_settings: Invoicing | None = None

    @property
    def default_payment_method(self) -> str | None:
        """Stripe's id."""
        return id_of(self.invoice_settings.default_payment_method) if self.invoice_settings else None


class ChangingPaymentMethod(State, kw_only=True):
    """What the phases of either know."""

    phase: Literal["started", "finished"] = "started"
    payment_method_id: str
    customer_id: str | None = None
    """Our id of whose it is; None: it is detached already, or the customer is not here."""
    stripe_customer_id: str | None = None


DETACH: Final = Kind("detach_payment_method", ChangingPaymentMethod)
SET_DEFAULT: Final = Kind("set_default_payment_method", ChangingPaymentMethod)
TURNS: Final = Turns(
    kinds=(SET_DEFAULT.name,), fact="stripe_customer_id", busy=Conflict, noun="customer's default payment method"
)
"""Detaching is for good, so it comes to the same in any order."""
LATE: Final = "The change was interrupted for so long that Stripe may have forgotten it; the default is left as it is"
Changing = Operation[ChangingPaymentMethod]


class PaymentMethodChanges:
    """Drives the operations.

    Args:
        gateway: is told.
        methods: records payment methods.
        customers: records customers.
        steps: commits the answer.
    """

    def __init__(
        self, gateway: StripeGateway, *, methods: ObjectRecorder, customers: ObjectRecorder, steps: Steps
    ) -> None:
        self._gateway = gateway
        self._methods = methods
        self._customers = customers
        self._steps = steps

    async def detach(self, operation: Changing) -> None:
        """Detach it, record that, answer."""
        method_id = operation.state.payment_method_id
        try:
            obj = await calls.detach_payment_method(self._gateway, method_id, key=operation.stripe_key("detach"))
        except StripeRejected as error:
            obj = await present(self._gateway, method_id, livemode=operation.livemode)
            if not is_detached(obj):
                await self._refuse(operation, error)
                return
        await self._record(operation, obj)

    async def set_default(self, operation: Changing) -> None:
        """Tell the customer's invoices to use it, record the customer, answer; a detached one is a conflict.

        Once Stripe may have forgotten the key it is not told again: somebody may have chosen another one since, in the
        portal or the Dashboard. Then it is a conflict unless it is the default.
        """
        method_id, customer = operation.state.payment_method_id, operation.state.stripe_customer_id
        assert customer is not None
        try:
            obj = await self._chosen(operation, customer)
            if obj is None:
                await self._refuse(operation, Conflict(LATE))
                return
        except StripeRejected as error:
            method = await present(self._gateway, method_id, livemode=operation.livemode)
            if is_detached(method):
                await self._record(operation, method, error=detached())
            else:
                await self._refuse(operation, error)
            return

        async def write(current: JsonObject, seen: Seen | None) -> None:
            async with self._steps.take(operation) as step:
                await self._customers.write(step.connection, current, seen=seen, cause=operation.id)
                step.response = await _answer(step, operation)

        await self._customers.until_current(obj, write)

    async def _chosen(self, operation: Changing, customer: str) -> JsonObject | None:
        """Return the customer with the default; None: it has another, and it is too late to change that."""
        method_id = operation.state.payment_method_id
        if operation.stripe_keys_hold:
            key = operation.stripe_key("default")
            return await calls.set_default_payment_method(self._gateway, customer, payment_method=method_id, key=key)
        obj = await calls.retrieve_customer(self._gateway, customer)
        return obj if read(obj, Customer).default_payment_method == method_id else None

    async def _record(self, operation: Changing, obj: JsonObject, *, error: PaymentsError | None = None) -> None:
        """Write the payment method and answer with it, or with an error."""

        async def write(current: JsonObject, seen: Seen | None) -> None:
            async with self._steps.take(operation) as step:
                await self._methods.write(step.connection, current, seen=seen, cause=operation.id)
                step.response = refusal(error, operation) if error is not None else await _answer(step, operation)

        await self._methods.until_current(obj, write)

    async def _refuse(self, operation: Changing, error: PaymentsError) -> None:
        async with self._steps.take(operation) as step:
            step.response = refusal(error, operation)


async def _answer(step: Step[ChangingPaymentMethod], operation: Changing) -> StoredResponse:
    """Return the payment method as it is recorded now."""
    row = await store.get(step.connection, operation.state.payment_method_id, livemode=operation.livemode)
    assert row is not None
    return StoredResponse.of(200, store.to_view(row))


async def present(gateway: StripeGateway, method_id: str, *, livemode: bool) -> JsonObject:
    """Return a payment method as it is now; a card of the old kind is deleted when it is detached."""
    try:
        return await calls.retrieve_payment_method(gateway, method_id)
    except StripeRejected as error:
        if not error.not_found:
            raise
        return {"id": method_id, "object": payment_method.KIND.name, "livemode": livemode, "deleted": True}


def is_detached(obj: JsonObject) -> bool:
    """Tell whether a payment method can never be used again, or is nobody's."""
    return bool(obj.get("deleted")) or obj.get("customer") is None


def detached() -> Conflict:
    """Return the refusal of a change of a detached one."""
    return Conflict("The payment method is detached: it can never be used again; save it anew by a setup intent")
