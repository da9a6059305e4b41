"""Asks Stripe what a change would come to, and seals the answer (docs.stripe.com/api/invoices/create_preview).

The seal is no secret and nothing is kept of it: it proves that this service saw these amounts for this change, worked
out for that second. Whoever executes the change asks again for the same second and compares. Stripe has no
compare-and-swap, so what changes between that question and the change itself is not seen; the amounts that the second
decides are the same then, for Stripe takes it for both.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
from msgspec import Struct

from payment_service.errors import Conflict
from payment_service.storage.mirror import moment
from payment_service.stripe_api import change_calls
from payment_service.stripe_api.objects import Id, Integer, Seconds, id_of, read
from payment_service.subscriptions.change_schemas import PreviewedInvoice, PreviewLine

if TYPE_CHECKING:
    from datetime import datetime

    from payment_service.config.secrets import Secret
    from payment_service.stripe_api.change_calls import ChangeTerms
    from payment_service.stripe_api.gateway import StripeGateway

PREVIEW_SECONDS: Final = 600
"""How long a preview may be executed."""
DIGITS: Final = 32
SKEW_SECONDS: Final = 300
"""How far Stripe's clock may be behind ours: more is taken of no webhook either."""


class PreviewOutdated(Conflict):
    """The change would come to another amount than the preview said, is another one, or the preview has expired."""

    code, title = "preview_outdated", "The preview is no longer right"


class Period(Struct):
    """docs.stripe.com/api/invoice-line-item/object#invoice_line_item_object-period."""

    start: Seconds
    end: Seconds


class ItemDetails(Struct):
    """Where a line comes from."""

    proration: bool | None = None


class Parent(Struct):
    """docs.stripe.com/api/invoice-line-item/object#invoice_line_item_object-parent."""

    subscription_item_details: ItemDetails | None = None
    invoice_item_details: ItemDetails | None = None


class PriceDetails(Struct):
    """What a line is of."""

    price: Id | None = None


class Pricing(Struct):
    """docs.stripe.com/api/invoice-line-item/object#invoice_line_item_object-pricing."""

    price_details: PriceDetails | None = None


class Line(Struct):
    """What is read of one."""

    amount: Integer
    period: Period
    description: str | None = None
    quantity: Integer | None = None
    parent: Parent | None = None
    pricing: Pricing | None = None

    @property
    def proration(self) -> bool:
        """Whether it is for a part of a period."""
        parent = self.parent or Parent()
        details = (parent.subscription_item_details, parent.invoice_item_details)
        return any(bool(found and found.proration) for found in details)

    def begins(self, terms: ChangeTerms) -> bool:
        """Whether it is of a period that the change begins at once.

        Beside that a next invoice holds what may begin as early: usage, invoiced afterwards, and items by themselves.
        """
        details = self.pricing.price_details if self.pricing else None
        price = id_of(details.price) if details else None
        ours = self.parent is not None and self.parent.subscription_item_details is not None and not self.proration
        licensed = terms.quantity is not None and price in {None, terms.price}
        return ours and licensed and terms.at - SKEW_SECONDS <= self.period.start < terms.period_end


class Lines(Struct):
    """A list of them, not always whole."""

    data: list[Line]
    has_more: bool = False


class Invoice(Struct):
    """What is read of a previewed invoice."""

    currency: str
    total: Integer
    amount_due: Integer
    lines: Lines
    collection_method: str | None = None


class Quote(NamedTuple):
    """What Stripe says of a change."""

    invoice: Invoice
    at_once: bool
    """The change makes this invoice; else it is the next one."""
    restarts: bool
    """A new period begins at once."""

    @property
    def due_now(self) -> int:
        """What is charged at once, in minor units."""
        return self.invoice.amount_due if self.at_once else 0

    @property
    def collects(self) -> bool:
        """Whether Stripe charges by itself; else it sends the invoice."""
        return self.invoice.collection_method != "send_invoice"

    @property
    def decides(self) -> list[object]:
        """What whoever saw it agreed to: everything that is due at once, else the parts of the period."""
        prorations = [line.amount for line in self.invoice.lines.data if line.proration]
        now = [self.invoice.total, self.invoice.amount_due] if self.at_once else []
        return [self.invoice.currency, self.at_once, *now, *prorations]


async def preview(gateway: StripeGateway, terms: ChangeTerms) -> Quote:
    """Ask Stripe for the invoice of a change.

    Raises:
        StripeRejected: it cannot be made.
    """
    return quote_of(await _invoice(gateway, terms, behavior=terms.behavior), terms)


async def preview_next(gateway: StripeGateway, terms: ChangeTerms, quote: Quote) -> Invoice | None:
    """Return the next invoice after a change; None where it would be the second of a new interval."""
    if not quote.at_once:
        return quote.invoice
    return None if quote.restarts else await _invoice(gateway, terms, behavior="none")


async def preview_creation(gateway: StripeGateway, customer: str, *, price: str, quantity: int | None) -> Invoice:
    """Ask Stripe for the first invoice of a new subscription.

    Raises:
        StripeRejected: it cannot be made.
    """
    obj = await change_calls.preview_creation(gateway, customer, price=price, quantity=quantity)
    return read(obj, Invoice)


async def preview_cancellation(gateway: StripeGateway, subscription_id: str, *, at_period_end: bool) -> Invoice | None:
    """Ask Stripe for the last invoice of a subscription that is canceled; None: there is none."""
    obj = await change_calls.preview_cancellation(gateway, subscription_id, at_period_end=at_period_end)
    return None if obj is None else read(obj, Invoice)


async def _invoice(gateway: StripeGateway, terms: ChangeTerms, *, behavior: str) -> Invoice:
    return read(await change_calls.preview_change(gateway, terms, behavior=behavior), Invoice)


def quote_of(invoice: Invoice, terms: ChangeTerms) -> Quote:
    """Read what Stripe answered. Pure."""
    lines = invoice.lines.data
    restarts = any(line.begins(terms) for line in lines)
    settled = terms.behavior == "always_invoice" and any(line.proration for line in lines)
    return Quote(invoice, restarts or settled, restarts)


class Preview(NamedTuple):
    """What a fingerprint says."""

    at: int
    """The second that it was worked out for."""
    expires: int
    digest: str
    """Of what was seen: see `digest`."""

    @property
    def text(self) -> str:
        """All of it, which the seal is of."""
        return f"pvw_{self.at}_{self.expires}_{self.digest}"


class Seals:
    """Makes and opens fingerprints of previews, where requests arrive: a worker has no key for that.

    Args:
        secret_key: what they are made with; its further values are former ones.
    """

    def __init__(self, secret_key: Secret) -> None:
        self._secret_key = secret_key

    def seal(self, terms: ChangeTerms, quote: Quote, *, expires: int) -> str:
        """Return the fingerprint."""
        preview = Preview(terms.at, expires, digest(terms, quote))
        return f"{preview.text}_{_mac(next(iter(self._keys())), preview)}"

    def open(self, fingerprint: str) -> Preview:
        """Return what a fingerprint says.

        Raises:
            PreviewOutdated: it was not made here, or so long ago that its key is gone.
        """
        _, at, expires, seen, mac = fingerprint.split("_")
        preview = Preview(int(at), int(expires), seen)
        if not any(hmac.compare_digest(mac, _mac(key, preview)) for key in self._keys()):
            raise PreviewOutdated("This is the fingerprint of no preview of ours: preview the change again")
        return preview

    def _keys(self) -> tuple[str, ...]:
        return self._secret_key.parts() or ("",)


def digest(terms: ChangeTerms, quote: Quote) -> str:
    """Return what stands for a change and what of it is due. Pure."""
    change: list[object] = [terms.subscription, terms.price, terms.quantity, terms.behavior, terms.at]
    change += [] if terms.trial_end is None else [terms.trial_end]
    return hashlib.sha256(msgspec.json.encode([change, quote.decides])).hexdigest()[:DIGITS]


def _mac(key: str, preview: Preview) -> str:
    return hmac.digest(key.encode(), preview.text.encode(), hashlib.sha256).hex()[:DIGITS]


def to_view(invoice: Invoice) -> PreviewedInvoice:
    """Build the public view of an invoice."""
    return PreviewedInvoice(
        total=invoice.total,
        amount_due=invoice.amount_due,
        lines=[_line(line) for line in invoice.lines.data],
        has_more_lines=invoice.lines.has_more,
    )


def _line(line: Line) -> PreviewLine:
    details = line.pricing.price_details if line.pricing else None
    return PreviewLine(
        description=line.description,
        amount=line.amount,
        proration=line.proration,
        price_id=id_of(details.price) if details else None,
        quantity=line.quantity,
        period_start=_moment(line.period.start),
        period_end=_moment(line.period.end),
    )


def _moment(seconds: int) -> datetime:
    found = moment(seconds)
    assert found is not None
    return found
