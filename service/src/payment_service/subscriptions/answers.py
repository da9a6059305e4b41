"""What is read of Stripe's answers about a subscription and its payment, beside what rows hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from payment_service.errors import PaymentDeclined
from payment_service.stripe_api.objects import Name, StripeUnreadable, read

if TYPE_CHECKING:
    from payment_service.json_types import JsonObject
    from payment_service.subscriptions.schemas import ClientSecretKind


class Secret(Struct):
    """What holds a client secret: a confirmation secret, a setup intent."""

    client_secret: str | None = None


class LatestInvoice(Struct):
    """An expanded invoice."""

    id: Name
    status: str | None = None
    confirmation_secret: Secret | None = None


class SubscriptionAnswer(Struct):
    """A subscription with its invoice and setup intent expanded, as our calls ask for it."""

    status: str
    latest_invoice: LatestInvoice | str | None = None
    pending_setup_intent: Secret | str | None = None

    @property
    def invoice_id(self) -> str:
        """Of the latest invoice.

        Raises:
            StripeUnreadable: there is none.
        """
        invoice = self.latest_invoice
        if invoice is None:
            raise StripeUnreadable("the subscription's latest_invoice is missing")
        return invoice if isinstance(invoice, str) else invoice.id

    @property
    def client_secret(self) -> tuple[str | None, ClientSecretKind | None]:
        """The secret that the customer's client needs, and for what.

        docs.stripe.com/billing/subscriptions/overview: `latest_invoice.confirmation_secret` for the first payment,
        `pending_setup_intent` when nothing is due now.
        """
        invoice, setup = self.latest_invoice, self.pending_setup_intent
        if self.status == "incomplete" and isinstance(invoice, LatestInvoice):
            secret = invoice.confirmation_secret.client_secret if invoice.confirmation_secret else None
            if secret:
                return secret, "payment"
        if isinstance(setup, Secret) and setup.client_secret:
            return setup.client_secret, "setup"
        return None, None


class PaymentError(Struct):
    """docs.stripe.com/api/payment_intents/object#payment_intent_object-last_payment_error."""

    message: str | None = None
    code: str | None = None
    decline_code: str | None = None


class PaymentIntentAnswer(Struct):
    """A payment intent."""

    status: str
    last_payment_error: PaymentError | None = None

    @property
    def decline(self) -> PaymentDeclined | None:
        """Why the payment was declined, if it was; a card that asks for authentication is not."""
        error = self.last_payment_error
        if self.status != "requires_payment_method" or error is None:
            return None
        return PaymentDeclined(error.message, stripe_code=error.code, decline_code=error.decline_code)


class InvoiceSettings(Struct):
    """How a customer's invoices are paid."""

    default_payment_method: object = None


class CustomerAnswer(Struct):
    """What a customer could be charged on."""

    invoice_settings: InvoiceSettings | None = None
    default_source: object = None
    balance: int | None = None
    discount: object = None

    @property
    def can_pay_by_itself(self) -> bool:
        """Whether an invoice of the customer may be paid by what no request names.

        That is a default payment method (docs.stripe.com/api/customers/object), or a balance or discount that leaves
        nothing due: then the subscription is active at once, and its renewals are charged to whatever is the default
        then.
        """
        settings = self.invoice_settings
        default = (settings.default_payment_method if settings else None) or self.default_source
        return bool(default) or (self.balance or 0) < 0 or bool(self.discount)


def answer_of(obj: JsonObject) -> SubscriptionAnswer:
    """Read a subscription that one of our calls returned.

    Raises:
        StripeUnreadable: a member is not as Stripe's reference says.
    """
    return read(obj, SubscriptionAnswer)
