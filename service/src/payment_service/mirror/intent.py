"""What payment intents and setup intents have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

from payment_service.mirror.payment import PaymentShape
from payment_service.stripe_api.objects import Id

if TYPE_CHECKING:
    from payment_service.mirror.kind import Columns

_RENAMED: Final = {
    "requires_source": "requires_payment_method",
    "requires_source_action": "requires_action",
}
"""Statuses of intents before 2019-02-11 (docs.stripe.com/upgrades#2019-02-11)."""


class Failure(Struct):
    """docs.stripe.com/api/errors."""

    code: str | None = None
    decline_code: str | None = None


class IntentShape(PaymentShape, kw_only=True):
    """The members that both have."""

    customer: Id | None = None
    payment_method: Id | None = None
    cancellation_reason: str | None = None

    def shared_columns(self) -> Columns:
        """Return the columns of payments, with the present name of the status."""
        return super().shared_columns() | {"status": _RENAMED.get(self.status or "", self.status)}


def error_code(error: Failure | None) -> str | None:
    """Return why it failed, as the card's issuer or else Stripe says."""
    return None if error is None else error.decline_code or error.code
