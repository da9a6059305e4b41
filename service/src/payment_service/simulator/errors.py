"""Stripe's error objects (docs.stripe.com/api/errors)."""

from __future__ import annotations

from typing import Any


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
        if param is not None:
            self.body["error"]["param"] = param


def invalid(message: str, *, param: str | None = None, code: str | None = None, status: int = 400) -> StripeFault:
    """Return an `invalid_request_error`."""
    return StripeFault(status, "invalid_request_error", message, code=code, param=param)


def missing(kind: str, object_id: str, *, param: str = "id") -> StripeFault:
    """Return what Stripe answers for an unknown id (docs.stripe.com/error-codes#resource-missing)."""
    return invalid(f"No such {kind}: '{object_id}'", param=param, code="resource_missing", status=404)


def declined(
    decline_code: str, *, message: str = "Your card was declined.", code: str = "card_declined"
) -> StripeFault:
    """Return a card error (docs.stripe.com/declines/codes)."""
    return StripeFault(402, "card_error", message, code=code, decline_code=decline_code)
