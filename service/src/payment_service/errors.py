"""The one error tree of the service.

```
PaymentsError                       what a caller of the API can be told
├── BadRequest              400
│   ├── BadPath                     a spelling that two programs may read differently
│   └── InvalidSignature
├── Unauthorized            401
├── PaymentDeclined         402
├── Forbidden               403
├── NotFound                404     no such object
│   └── RouteNotFound               no such route: a mistake in the address
├── RequestTimeout          408
├── Conflict                409
│   ├── CustomerAmbiguous           names the customers with this address
│   ├── ImportRequired              what Stripe has is not all here yet
│   ├── PaymentMethodRequired       an address alone charges no card that it does not name
│   ├── SubscriptionExists          names the live subscription
│   ├── SubscriptionInProgress      another request is creating it: try again
│   └── IdempotencyKeyInUse         the first request with this key still runs
├── MethodNotAllowed        405
├── PayloadTooLarge         413
├── UriTooLong              414
├── UnsupportedMediaType    415
├── Unprocessable           422     well-formed but refused: names the field and the fix
│   ├── CardNumberRefused           numbers of cards belong into Stripe.js alone
│   └── IdempotencyKeyReused        same key, other body
├── TooManyRequests         429
│   ├── TooManyDeclines             too many payments before it were declined
│   └── TooManyInFlight             too many requests of this caller are under way at once
├── HeadTooLarge            431
├── ServiceUnavailable      503     database, draining
│   ├── OperationUnreadable         another version of the service has to complete it
│   ├── Recovering                  the database was restored: it is compared with Stripe first
│   └── StripeUnavailable           Stripe answered 5xx, 429 or not at all
│       └── StripeKeySpent          Stripe keeps a fault under this idempotency key
└── StripeTimeout           504     the outcome is unknown; the operation is completed later
```

Every leaf carries `status`, a stable `code` and whether trying again can help. Exactly one function maps the tree to
RFC 9457 problem details: `payment_service.http.problems.problem_response`.
"""

from __future__ import annotations

from typing import Any, ClassVar


class PaymentsError(Exception):
    """Something went wrong that the caller can be told about.

    Args:
        detail: one sentence for a person: what is wrong and what to do about it.
        retry_after: seconds after which trying again makes sense.
        extra: further members of the problem document, JSON types only.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "Internal error"

    def __init__(self, detail: str | None = None, *, retry_after: float | None = None, **extra: Any) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.retry_after = retry_after
        self.extra = extra
        self.headers: dict[str, str] = {}
        """Further headers of the answer."""
        self.reason: str | None = None
        """A word for the log beside the code; the answer does not hold it."""
        self.key_id: str | None = None
        """For the log: whose API key is refused."""


class BadRequest(PaymentsError):
    """The request cannot be understood."""

    status, code, title = 400, "bad_request", "Bad request"


class BadPath(BadRequest):
    """The path has an empty segment, an encoded slash, a dot segment, a control character or invalid UTF-8."""

    code, title = "bad_path", "The path is not in its plain form"


class InvalidSignature(BadRequest):
    """The webhook's signature does not verify."""

    code, title = "invalid_signature", "The webhook signature does not verify"


class IdempotencyKeyRequired(BadRequest):
    """The server was told to require an `Idempotency-Key` on every mutating request."""

    code, title = "idempotency_key_required", "An Idempotency-Key header is required"


class Unauthorized(PaymentsError):
    """No valid API key."""

    status, code, title = 401, "unauthorized", "A valid API key is required"


class PaymentDeclined(PaymentsError):
    """The card was declined; nothing was charged and the incomplete subscription is cancelled."""

    status, code, title = 402, "payment_declined", "The payment was declined"


class Forbidden(PaymentsError):
    """The API key lacks the scope."""

    status, code, title = 403, "forbidden", "The API key lacks the scope for this"


class NotFound(PaymentsError):
    """There is no such object."""

    status, code, title = 404, "not_found", "Not found"


class RouteNotFound(NotFound):
    """The address is no route of the API's, whatever objects there are."""

    code, title = "route_not_found", "There is no such route"


class Conflict(PaymentsError):
    """The request contradicts the present state."""

    status, code, title = 409, "conflict", "Conflict"


class CustomerExists(Conflict):
    """Another customer has this reference."""

    code, title = "customer_exists", "A customer with this reference exists"


class CustomerAmbiguous(Conflict):
    """Several customers have this address; `customer_ids` names them."""

    code, title = "customer_ambiguous", "Several customers have this address"


class ImportRequired(Conflict):
    """Customers that the account had before this service may have the address: they are not all imported yet."""

    code, title = "import_required", "The account's customers are not all imported yet"


class PaymentMethodRequired(Conflict):
    """The customer was named by an address alone, and a payment method that the request does not name could be charged.

    An address is no proof of who asks: naming `customer_id` or `customer_reference`, or a payment method, is.
    """

    code, title = "payment_method_required", "Name a payment method, or the customer by id or reference"


class SubscriptionExists(Conflict):
    """The customer already has a live subscription to this product."""

    code, title = "subscription_exists", "The customer already has a live subscription to this product"


class SubscriptionInProgress(Conflict):
    """Another request is creating or changing this subscription now."""

    code, title = "subscription_in_progress", "Another request is creating or changing this subscription"


class IdempotencyKeyInUse(Conflict):
    """The first request with this key is still running."""

    code, title = "idempotency_key_in_use", "A request with this Idempotency-Key is still running"


class PayloadTooLarge(PaymentsError):
    """The body is larger than this route takes."""

    status, code, title = 413, "payload_too_large", "The body is too large"


class RequestTimeout(PaymentsError):
    """The request did not arrive in time (RFC 9110, section 15.5.9)."""

    status, code, title = 408, "request_timeout", "Request timeout"


class UriTooLong(PaymentsError):
    """The path and query are too long (RFC 9110, section 15.5.15)."""

    status, code, title = 414, "uri_too_long", "URI too long"


class HeadTooLarge(PaymentsError):
    """The header fields are too many or too long (RFC 6585, section 5)."""

    status, code, title = 431, "header_fields_too_large", "Request header fields too large"


class UnsupportedMediaType(PaymentsError):
    """The body is not JSON."""

    status, code, title = 415, "unsupported_media_type", "Send the body as application/json"


class MethodNotAllowed(PaymentsError):
    """This route does not take the method."""

    status, code, title = 405, "method_not_allowed", "The method is not allowed here"


class Unprocessable(PaymentsError):
    """Well-formed, but refused."""

    status, code, title = 422, "invalid_request", "The request is not valid"


class CardNumberRefused(Unprocessable):
    """A text holds the number of a payment card; it is neither stored nor logged nor repeated."""

    code, title = "card_number_refused", "The request holds a card number"


class IdempotencyKeyReused(Unprocessable):
    """The key was used with another body."""

    code, title = "idempotency_key_reused", "This Idempotency-Key was used with another request"


class TooManyRequests(PaymentsError):
    """A rate limit is reached."""

    status, code, title = 429, "rate_limited", "Too many requests"


class TooManyDeclines(TooManyRequests):
    """Too many tries of this card, end user or API key were declined; nothing was charged."""

    code, title = "too_many_declines", "Too many payments were declined"


class TooManyInFlight(TooManyRequests):
    """This caller has as many requests, or connections at work, as one may have at once."""

    code, title = "too_many_in_flight", "Too many requests at once"


class ServiceUnavailable(PaymentsError):
    """A part that this request needs is not there now."""

    status, code, title = 503, "service_unavailable", "The service is temporarily unavailable"


class OperationUnreadable(ServiceUnavailable):
    """Another version of this service began the operation, and this one does not know how to go on with it."""

    code, title = "operation_unreadable", "Another version of this service has to complete the operation"


class Recovering(ServiceUnavailable):
    """The database was restored; nothing is asked of Stripe before it was compared with it."""

    code, title = "recovering", "The database was restored and is compared with Stripe first"


class StripeUnavailable(ServiceUnavailable):
    """Stripe answered 5xx or 429, or could not be reached."""

    code, title = "stripe_unavailable", "Stripe cannot be reached now"


class StripeKeySpent(StripeUnavailable):
    """Stripe only repeats what it saved under this idempotency key: a fault, or the answer to other parameters."""


class StripeTimeout(PaymentsError):
    """Stripe did not answer in time, so the outcome is unknown; it is found out and completed later."""

    status, code, title = 504, "stripe_timeout", "Stripe did not answer in time"


class StripeMisconfigured(PaymentsError):
    """Stripe refuses this server's own API key: a fault of the deployment, not of the caller."""

    status, code, title = 502, "stripe_misconfigured", "Stripe refuses the configured API key"


class SettingsError(Exception):
    """The settings cannot be used. `problems` holds every one of them, each naming the setting and the fix."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems
