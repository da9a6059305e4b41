"""Why money cannot be given back, by the charge as Stripe has it. Pure.

Whether a dispute stands in the way is left to Stripe: it refuses a refund while the bank decides, and takes one of a
mere inquiry or of a dispute that was won (docs.stripe.com/disputes/how-disputes-work).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from payment_service.errors import Conflict, Unprocessable

if TYPE_CHECKING:
    from payment_service.errors import PaymentsError
    from payment_service.mirror.charge import Charge
    from payment_service.stripe_api.gateway import StripeDeclined, StripeRejected


class NotRefundable(Conflict):
    """Nothing of the payment can be given back; `amount_refundable` says what is left of it, in minor units."""

    code, title = "payment_not_refundable", "The payment cannot be refunded"


def obstacle(charge: Charge, *, amount: int | None) -> PaymentsError | None:
    """Return why so much of a charge cannot be given back; None: nothing that the charge says is in the way.

    Args:
        charge: as Stripe has it now.
        amount: in minor units; None: all that is left.
    """
    if charge.status == "pending":
        return NotRefundable("The payment is still processing: refund it once it has succeeded", amount_refundable=0)
    if charge.status == "failed" or not charge.paid:
        return NotRefundable("The payment failed: nothing was taken that could be refunded", amount_refundable=0)
    if not charge.captured:
        return NotRefundable(
            "The payment is authorized and not captured: cancel it at Stripe instead of refunding it",
            amount_refundable=0,
        )
    left = refundable(charge)
    if not left:
        return NotRefundable("All of the payment is refunded already", amount_refundable=0)
    if amount is not None and amount > left:
        message = f"at most {left} is left of the payment, in the minor unit of {charge.currency}"
        return Unprocessable(
            f"amount: {message}", errors=[{"field": "amount", "message": message}], amount_refundable=left
        )
    return None


def refundable(charge: Charge) -> int:
    """Return what is left of a charge, in minor units; refunds that are pending are counted as given back."""
    taken = charge.amount if charge.amount_captured is None else charge.amount_captured
    return max(0, taken - (charge.amount_refunded or 0))


def worded(error: StripeRejected | StripeDeclined, charge: Charge) -> PaymentsError:
    """Return Stripe's refusal in the API's words, where the charge alone does not say why."""
    if error.stripe_code == "charge_disputed":
        return NotRefundable("The payment is disputed: the bank decides about the money", amount_refundable=0)
    if error.stripe_code == "charge_already_refunded":
        return NotRefundable("All of the payment is refunded already", amount_refundable=refundable(charge))
    return error
