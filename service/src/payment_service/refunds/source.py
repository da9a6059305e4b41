"""Finds the charge whose money is to be given back, as Stripe has it: the mirror may be seconds behind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from payment_service.errors import Unprocessable
from payment_service.mirror import charge, invoice, invoice_payment, payment_intent
from payment_service.mirror.charge import Charge
from payment_service.mirror.invoice_payment import InvoicePayment
from payment_service.mirror.payment_intent import PaymentIntent
from payment_service.refunds.refusals import NotRefundable
from payment_service.stripe_api import calls
from payment_service.stripe_api.gateway import StripeRejected
from payment_service.stripe_api.objects import id_of, read

if TYPE_CHECKING:
    from payment_service.json_types import JsonObject
    from payment_service.refunds.schemas import CreateRefund
    from payment_service.stripe_api.gateway import StripeGateway

_INTENT: Final = "pi_"


async def find_charge(gateway: StripeGateway, request: CreateRefund, *, livemode: bool) -> tuple[str, Charge]:
    """Return id and state of the charge of the payment or of the invoice that a request names.

    Raises:
        Unprocessable: Stripe has no such payment or invoice in this mode, or several payments paid the invoice.
        NotRefundable: nothing was taken.
    """
    payment_id = request.payment_id
    if request.invoice_id is not None:
        payment_id = await _payment_of(gateway, request.invoice_id, livemode=livemode)
        field = "invoice_id"
    else:
        field = "payment_id"
    assert payment_id is not None
    if payment_id.startswith(_INTENT):
        collection = payment_intent.KIND.collection
        intent = read(await _retrieve(gateway, collection, payment_id, field=field, livemode=livemode), PaymentIntent)
        latest = id_of(intent.latest_charge)
        if intent.status != "succeeded" or latest is None:
            raise NotRefundable(
                f"The payment is {intent.status}: only one that has succeeded can be refunded", amount_refundable=0
            )
        payment_id = latest
    return payment_id, await retrieve_charge(gateway, payment_id, field=field, livemode=livemode)


async def retrieve_charge(gateway: StripeGateway, charge_id: str, *, field: str, livemode: bool) -> Charge:
    """Return a charge; raises as `find_charge`, naming the field that led to it."""
    return read(await _retrieve(gateway, charge.KIND.collection, charge_id, field=field, livemode=livemode), Charge)


async def _payment_of(gateway: StripeGateway, invoice_id: str, *, livemode: bool) -> str:
    """Return the payment that paid an invoice: an intent, or a charge alone."""
    await _retrieve(gateway, invoice.KIND.collection, invoice_id, field="invoice_id", livemode=livemode)
    page = await calls.list_page(gateway, invoice_payment.KIND.collection, invoice=invoice_id, status="paid")
    payments = [read(obj, InvoicePayment).payment for obj in page.objects]
    found = {id_of(each.payment_intent) or id_of(each.charge) for each in payments if each is not None} - {None}
    paid = sorted(each for each in found if each is not None)
    if not paid:
        raise NotRefundable("No payment through Stripe paid the invoice", amount_refundable=0)
    if paid[1:]:
        message = f"several payments paid the invoice: name one of them by payment_id ({', '.join(paid)})"
        raise Unprocessable(f"invoice_id: {message}", errors=[{"field": "invoice_id", "message": message}])
    return paid[0]


async def _retrieve(
    gateway: StripeGateway, collection: str, object_id: str, *, field: str, livemode: bool
) -> JsonObject:
    try:
        obj = await calls.retrieve(gateway, collection, object_id)
    except StripeRejected as error:
        raise _unknown(field) from error
    if obj.get("livemode", livemode) is not livemode:
        raise _unknown(field)
    return obj


def _unknown(field: str) -> Unprocessable:
    message = f"Stripe has no such {field.removesuffix('_id')} in this mode"
    return Unprocessable(f"{field}: {message}", errors=[{"field": field, "message": message}])
