"""The Stripe API key and what is asked of it before it is used."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from payment_operator.api.fields import Fields, SecretRef

COLLECTIONS: Final = {
    "balance": "balance",
    "charge": "charges",
    "checkout_session": "checkout/sessions",
    "customer": "customers",
    "dispute": "disputes",
    "event": "events",
    "invoice": "invoices",
    "payment_intent": "payment_intents",
    "payment_method": "payment_methods",
    "plan": "prices",
    "product": "products",
    "setup_intent": "setup_intents",
    "subscription": "subscriptions",
    "webhook": "webhook_endpoints",
}
"""Where a restricted key's permission is tried (docs.stripe.com/keys/restricted-api-keys), by the resource it names."""
NEEDED: Final = (
    "balance_read",
    "charge_write",
    "checkout_session_read",
    "customer_write",
    "dispute_read",
    "event_read",
    "invoice_write",
    "payment_intent_read",
    "payment_method_write",
    "plan_read",
    "product_read",
    "setup_intent_write",
    "subscription_write",
)
"""What the service does at Stripe; tests/contract compares it with the service's calls."""
MANAGING: Final = ("event_read", "webhook_write")
"""What the operator does there beside it, when it makes the webhook endpoint."""
AccountId = Annotated[str, Meta(max_length=64, pattern="^acct_[A-Za-z0-9_]+$")]
KNOWN: Final = sorted(f"{resource}_{access}" for resource in COLLECTIONS for access in ("read", "write"))
Permission = Annotated[str, Meta(max_length=64, extra_json_schema={"enum": KNOWN})]


class ApiKey(Fields, frozen=True, kw_only=True):
    """The Stripe API key. A changed one is proven at Stripe, then released blue-green."""

    secret_ref: Annotated[SecretRef, Meta(description="The key (key STRIPE_SECRET_KEY).")]
    required_permissions: Annotated[
        list[Permission],
        Meta(
            max_length=40,
            description="What a key must be allowed, as Stripe names it for restricted keys, without rak_. Each is "
            "tried at Stripe; nothing is changed there. With webhook.provider Managed also event_read and "
            "webhook_write are asked for.",
        ),
    ] = msgspec.field(default_factory=lambda: list(NEEDED))
    max_age_seconds: Annotated[
        int,
        Meta(ge=1, le=315_360_000, description="After this long the status and an alert ask for a new key."),
    ] = 7_776_000
