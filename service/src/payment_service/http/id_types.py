r"""The form of every identifier that a caller may send: ours, and Stripe's.

Our ids are a prefix and letters or digits; a row of an object that was made elsewhere carries the rest of Stripe's id
behind our prefix. Stripe says that an id has at most 255 characters and that its form may change
(docs.stripe.com/upgrades#what-changes-does-stripe-consider-to-be-backward-compatible), and the ids of plans, which are
price ids too, were free text that the account's owner chose (docs.stripe.com/api/plans/create#create_plan-id). So the
prefix is required where it tells one kind from another, and nothing but a safe alphabet of a price's id: one that holds
other characters is named by its lookup key. None of these texts is `.` or `..`, or holds a slash, a space or a control
character, so each may stand in a path and in a log.

Patterns are read by Python and, in the OpenAPI document, by ECMAScript. `$` alone would let a line feed pass in Python,
so each ends in `(?!\n)$`, which means the end of the text to both.
"""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta

MAXIMUM_CHARACTERS: Final = 255
END: Final = r"(?!\n)$"
_SAFE: Final = r"[A-Za-z0-9._:@-]"


def _prefixed(*prefixes: str) -> str:
    kinds = f"({'|'.join(prefixes)})" if prefixes[1:] else prefixes[0]
    return f"^{kinds}_{_SAFE}+{END}"


SUBSCRIPTION: Final = _prefixed("lps", "sub")
CUSTOMER: Final = _prefixed("lpc", "cus")
OPERATION: Final = _prefixed("lpo")
API_KEY: Final = _prefixed("lpk")
EVENT: Final = _prefixed("evt", "rec", "unreadable")
"""Of Stripe's, of those that reconciliation makes, and of signed bodies that name no id."""
PAYMENT_METHOD: Final = _prefixed("pm", "card", "src")
SETUP_INTENT: Final = _prefixed("seti")
PAYMENT: Final = _prefixed("pi", "ch", "py")
INVOICE: Final = _prefixed("in")
WEBHOOK_ENDPOINT: Final = _prefixed("lpw")
WEBHOOK_DELIVERY: Final = _prefixed("lpd")
WEBHOOK_REPLAY: Final = _prefixed("lpr")
METHOD_TYPE: Final = rf"^[a-z][a-z0-9_]*{END}"
"""docs.stripe.com/api/payment_methods/object#payment_method_object-type."""
OBJECT: Final = rf"^(?!\.{{1,2}}$){_SAFE}+{END}"
"""Of any object of Stripe's, and of a price."""
PATH_REFERENCE: Final = rf"^(?!\.{{1,2}}$){_SAFE}{{1,128}}{END}"
"""A reference that may stand in a path: every proxy reads it the same way; others are asked for by `?reference=`."""
EVENT_TYPES: Final = rf"^[A-Za-z0-9._\[\]-]*\*?{END}"
"""docs.stripe.com/api/events/types; types of the v2 API hold brackets."""
FEED_EVENT: Final = rf"^evt_[0-9a-f]{{24}}{END}"
FEED_CURSOR: Final = rf"^(evt_[0-9a-f]{{24}}|latest){END}"
FEED_TYPE: Final = rf"^[a-z_]+\.([a-z_]+|\*){END}"
FEED_TYPES: Final = rf"^[a-z_]+\.([a-z_]+|\*)(,[a-z_]+\.([a-z_]+|\*))*{END}"
PREVIEW: Final = rf"^pvw_[0-9]{{1,10}}_[0-9]{{1,10}}(_[0-9a-f]{{32}}){{2}}{END}"
WORD: Final = rf"^[a-z][a-z_]*{END}"
LINE: Final = rf"^[^\u0000-\u001f\u007f-\u009f\u2028\u2029]*{END}"
METADATA_KEY: Final = rf"^(?!lean_payments_)[^\[\]\u0000-\u001f\u007f-\u009f\u2028\u2029]*{END}"
"""Stripe takes no brackets in keys (docs.stripe.com/api/metadata): it would store `a]` as another key. The prefix is
what this service tells its own objects by."""
_TIME: Final = r"[0-9]{2}:[0-9]{2}"
_MOMENT: Final = rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}T{_TIME}:[0-9]{{2}}(\.[0-9]{{1,6}})?(Z|[+-]{_TIME})"
MOMENT: Final = rf"^{_MOMENT}{END}"
MOMENT_OR_NOW: Final = rf"^(now|{_MOMENT}){END}"
INSTANT: Final = rf"^([0-9]{{1,12}}|{_MOMENT}){END}"
EMAIL: Final = rf"^[^@\s\u0000-\u001f\u007f-\u009f]+@[^@\s\u0000-\u001f\u007f-\u009f]+{END}"

FORMS: Final = {
    SUBSCRIPTION: "our id of a subscription (lps_…) or Stripe's (sub_…)",
    CUSTOMER: "our id of a customer (lpc_…) or Stripe's (cus_…)",
    API_KEY: "our id of an API key: lpk_ and letters or digits",
    OPERATION: "our id of an operation: lpo_ and letters or digits",
    EVENT: "Stripe's id of an event: evt_ and letters or digits",
    PAYMENT_METHOD: "Stripe's id of a payment method: pm_…, card_… or src_…",
    SETUP_INTENT: "Stripe's id of a setup intent: seti_ and letters or digits",
    PAYMENT: "Stripe's id of a payment (pi_…) or of its charge (ch_…, py_…)",
    INVOICE: "Stripe's id of an invoice: in_ and letters or digits",
    WEBHOOK_ENDPOINT: "our id of a webhook endpoint: lpw_ and letters or digits",
    WEBHOOK_DELIVERY: "our id of a webhook delivery: lpd_ and letters or digits",
    WEBHOOK_REPLAY: "our id of a webhook replay: lpr_ and letters or digits",
    METHOD_TYPE: "a type of payment method in Stripe's words: lower-case letters, digits and _",
    OBJECT: "Stripe's id of the object: letters, digits or . _ : @ -",
    PATH_REFERENCE: "letters, digits or . _ : @ -; ask for other references with ?reference=",
    EVENT_TYPES: "a type of event (invoice.paid), or how several begin and * (invoice.*)",
    FEED_EVENT: "our id of an event: evt_ and 24 hexadecimal digits",
    FEED_CURSOR: "our id of an event (evt_ and 24 hexadecimal digits), or latest",
    FEED_TYPE: "a type of events as invoice.paid, or invoice.*",
    FEED_TYPES: "types of events as invoice.paid or invoice.*, by commas",
    PREVIEW: "the fingerprint of a preview, as it was given",
    WORD: "lower-case letters and _",
    LINE: "one line without control characters",
    METADATA_KEY: "a key of metadata: one line without [ and ] that does not begin with lean_payments_ (reserved)",
    EMAIL: "an e-mail address",
    MOMENT: "a moment with its offset, for example 2026-01-31T12:00:00Z",
    MOMENT_OR_NOW: "now, or a moment with its offset, for example 2026-01-31T12:00:00Z",
    INSTANT: "Unix seconds, or a moment with its offset (2026-01-31T12:00:00Z; in an address + is %2B)",
}
"""What a pattern means, for the person whose value does not match it."""

SubscriptionId = Annotated[str, Meta(max_length=MAXIMUM_CHARACTERS, pattern=SUBSCRIPTION)]
CustomerId = Annotated[str, Meta(max_length=MAXIMUM_CHARACTERS, pattern=CUSTOMER)]
EventId = Annotated[str, Meta(max_length=MAXIMUM_CHARACTERS, pattern=EVENT)]
PaymentMethodId = Annotated[str, Meta(max_length=MAXIMUM_CHARACTERS, pattern=PAYMENT_METHOD)]
PaymentId = Annotated[str, Meta(max_length=MAXIMUM_CHARACTERS, pattern=PAYMENT)]
InvoiceId = Annotated[str, Meta(max_length=MAXIMUM_CHARACTERS, pattern=INVOICE)]
PriceId = Annotated[str, Meta(max_length=MAXIMUM_CHARACTERS, pattern=OBJECT)]
