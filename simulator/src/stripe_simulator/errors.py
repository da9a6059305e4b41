"""Stripe's error objects (docs.stripe.com/api/errors)."""

from __future__ import annotations

from typing import Any, Final

DECLINED: Final = 402
_NAMES = {
    "payment_method": "PaymentMethod",
    "checkout.session": "checkout.session",
    "webhook_endpoint": "webhook endpoint",
    "invoice_payment": "invoice payment",
}


class StripeFault(Exception):
    """An error answer.

    Args:
        status: HTTP status.
        kind: Stripe's `type`.
        message: for people.
        code: Stripe's `code`.
        param: the parameter at fault.
        extra: further members of the error object.
    """

    def __init__(
        self,
        status: int,
        kind: str,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body: dict[str, Any] = {"error": {"type": kind, "message": message, **extra}}
        if code is not None:
            self.body["error"]["code"] = code
            self.body["error"]["doc_url"] = f"https://stripe.com/docs/error-codes/{code.replace('_', '-')}"
        if param is not None:
            self.body["error"]["param"] = param


def invalid(message: str, *, param: str | None = None, code: str | None = None, status: int = 400) -> StripeFault:
    """Return an `invalid_request_error`."""
    return StripeFault(status, "invalid_request_error", message, code=code, param=param)


def missing(kind: str, object_id: str, *, param: str = "id", status: int = 404) -> StripeFault:
    """Return what Stripe answers for an unknown id (docs.stripe.com/error-codes#resource-missing).

    404 when the address names it, 400 when a parameter does.
    """
    name = _NAMES.get(kind, kind)
    return invalid(f"No such {name}: '{object_id}'", param=param, code="resource_missing", status=status)


def declined(
    decline_code: str, *, message: str = "Your card was declined.", code: str = "card_declined", **extra: Any
) -> StripeFault:
    """Return a card error (docs.stripe.com/declines/codes)."""
    return StripeFault(DECLINED, "card_error", message, code=code, decline_code=decline_code, **extra)
