"""Stripe's test cards and bank accounts and what each does (docs.stripe.com/testing)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from stripe_simulator.errors import declined

if TYPE_CHECKING:
    from stripe_simulator.errors import StripeFault


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One test card, or bank account that is debited.

    Attributes:
        brand: as shown.
        last4: as shown.
        decline: Stripe's decline code when a charge is refused.
        code: Stripe's error code of the refusal.
        message: of the refusal, for people.
        attaches: whether the bank lets it be attached to a customer.
        authenticates: a payment asks the customer for authentication.
        disputes: the reason of the dispute that follows a charge.
        refund: the state in which a refund ends.
        type: of its payment methods, as Stripe calls it.
    """

    brand: str = "visa"
    last4: str = "4242"
    decline: str | None = None
    code: str = "card_declined"
    message: str = "Your card was declined."
    attaches: bool = True
    authenticates: bool = False
    disputes: str | None = None
    refund: str = "succeeded"
    type: str = "card"

    def refusal(self, **extra: Any) -> StripeFault:
        """Return the error of a refused charge."""
        return declined(self.decline or "generic_decline", message=self.message, code=self.code, **extra)


_REFUSED = Card(last4="0002", decline="generic_decline", attaches=False)
_INSUFFICIENT = Card(
    last4="9995", decline="insufficient_funds", message="Your card has insufficient funds.", attaches=False
)
_LOST = Card(last4="9987", decline="lost_card", attaches=False)
_STOLEN = Card(last4="9979", decline="stolen_card", attaches=False)
_EXPIRED = Card(
    last4="0069", decline="expired_card", code="expired_card", message="Your card has expired.", attaches=False
)
_CVC = Card(
    last4="0127",
    decline="incorrect_cvc",
    code="incorrect_cvc",
    message="Your card's security code is incorrect.",
    attaches=False,
)
_PROCESSING = Card(
    last4="0119",
    decline="processing_error",
    code="processing_error",
    message="An error occurred while processing your card. Try again in a little bit.",
    attaches=False,
)
CARDS: Final = {
    "pm_card_visa": Card(),
    "pm_card_visa_debit": Card(last4="5556"),
    "pm_card_mastercard": Card(brand="mastercard", last4="4444"),
    "pm_card_amex": Card(brand="amex", last4="8431"),
    "pm_card_authenticationRequired": Card(last4="3184", authenticates=True),
    "pm_card_threeDSecure2Required": Card(last4="3220", authenticates=True),
    "pm_card_chargeCustomerFail": Card(last4="0341", decline="generic_decline"),
    "pm_card_chargeDeclined": _REFUSED,
    "pm_card_visa_chargeDeclined": _REFUSED,
    "pm_card_chargeDeclinedInsufficientFunds": _INSUFFICIENT,
    "pm_card_visa_chargeDeclinedInsufficientFunds": _INSUFFICIENT,
    "pm_card_chargeDeclinedLostCard": _LOST,
    "pm_card_visa_chargeDeclinedLostCard": _LOST,
    "pm_card_chargeDeclinedStolenCard": _STOLEN,
    "pm_card_visa_chargeDeclinedStolenCard": _STOLEN,
    "pm_card_chargeDeclinedExpiredCard": _EXPIRED,
    "pm_card_chargeDeclinedIncorrectCvc": _CVC,
    "pm_card_chargeDeclinedProcessingError": _PROCESSING,
    "pm_card_createDispute": Card(last4="0259", disputes="fraudulent"),
    "pm_card_createDisputeProductNotReceived": Card(last4="2685", disputes="product_not_received"),
    "pm_card_refundFail": Card(last4="5126", refund="failed"),
    "pm_card_pendingRefund": Card(last4="7726", refund="pending"),
    "pm_usBankAccount_success": Card(type="us_bank_account", last4="6789"),
    "pm_usBankAccount_insufficientFunds": Card(
        type="us_bank_account",
        last4="2227",
        decline="insufficient_funds",
        code="insufficient_funds",
        message="The customer's account has insufficient funds to cover this payment.",
    ),
}
"""By test payment method; a token is the same name with `tok_` (docs.stripe.com/testing#cards).

Bank accounts are those of docs.stripe.com/payments/ach-direct-debit/accept-a-payment#test-integration."""
