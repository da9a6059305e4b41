"""Setup intents (docs.stripe.com/api/setup_intents/object)."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, Index, Text

from payment_service.mirror.intent import Failure, IntentShape, error_code
from payment_service.mirror.kind import Columns, Kind, ends
from payment_service.mirror.payment import PERSONAL, payment_table
from payment_service.mirror.person import named_in
from payment_service.stripe_api.objects import id_of

setup_intents = payment_table(
    "setup_intents",
    Column("stripe_customer_id", Text),
    Column("payment_method_id", Text),
    Column("usage", Text),
    Column("cancellation_reason", Text),
    Column("last_error_code", Text),
    Index("ix_setup_intents_stripe_customer_id", "stripe_customer_id"),
)


class SetupIntent(IntentShape, kw_only=True):
    """What is read of one."""

    usage: str | None = None
    last_setup_error: Failure | None = None

    def columns(self) -> Columns:
        """Return what the row holds."""
        return {
            "stripe_customer_id": id_of(self.customer),
            "payment_method_id": id_of(self.payment_method),
            "usage": self.usage,
            "cancellation_reason": self.cancellation_reason,
            "last_error_code": error_code(self.last_setup_error),
            **self.shared_columns(),
        }


KIND: Final = Kind(
    name="setup_intent",
    collection="setup_intents",
    table=setup_intents,
    shape=SetupIntent,
    events=(
        "setup_intent.canceled",
        "setup_intent.created",
        "setup_intent.requires_action",
        "setup_intent.setup_failed",
        "setup_intent.succeeded",
    ),
    ended=ends("succeeded", "canceled"),
    of_person=named_in(setup_intents),
    personal=PERSONAL,
    names=("payment_method_id",),
)
