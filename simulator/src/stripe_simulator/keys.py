"""API keys (docs.stripe.com/keys): account, mode, permissions, revocation.

Any well-formed test key opens the default account. A key that was registered through the control interface is what it
was registered as: of another account, of live mode, restricted, or revoked.
"""

from __future__ import annotations

import base64
import re
from typing import Any, Final

import msgspec

from stripe_simulator.errors import StripeFault, invalid
from stripe_simulator.state import DEFAULT_ACCOUNT

_FORM: Final = re.compile(r"(sk|rk)_(test|live)_[A-Za-z0-9_]+")
_SHOWN: Final = 8


class Key(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One registered key.

    Attributes:
        key: `sk_…` or `rk_…`; its mode is in its name.
        account: whose key it is.
        permissions: of a restricted key, as Stripe names them without `rak_`, for example `customer_write`, which
            implies `customer_read`; None: all.
        revoked: whether it was expired in the Dashboard.
    """

    key: str
    account: str = DEFAULT_ACCOUNT
    permissions: list[str] | None = None
    revoked: bool = False

    @property
    def livemode(self) -> bool:
        """Tell whether it is a live key."""
        return "_live_" in self.key[:8]

    def allows(self, permission: str) -> bool:
        """Tell whether the key may do this, for example `customer_read`."""
        if self.permissions is None or permission in self.permissions:
            return True
        return permission.endswith("_read") and f"{permission.removesuffix('_read')}_write" in self.permissions


class Keys:
    """The keys that open the simulator."""

    def __init__(self) -> None:
        self._registered: dict[str, Key] = {}
        self.only_registered = False

    def register(self, key: Key) -> None:
        """Register a key, or register it anew."""
        if not _FORM.fullmatch(key.key):
            raise ValueError("key: must look like sk_test_…, rk_test_…, sk_live_… or rk_live_…")
        if key.permissions is not None and not key.key.startswith("rk_"):
            raise ValueError("permissions: only restricted keys (rk_…) have them")
        self._registered[key.key] = key

    def forget(self, key: str) -> None:
        """Take a key back to what an unregistered one is."""
        self._registered.pop(key, None)

    def all(self) -> list[dict[str, Any]]:
        """Return the registered keys with their texts masked."""
        found: list[dict[str, Any]] = [msgspec.to_builtins(key) for key in self._registered.values()]
        return [key | {"key": masked(key["key"])} for key in found]

    def authenticate(self, authorization: str | None) -> Key:
        """Return the key of a request (docs.stripe.com/api/authentication).

        Raises:
            StripeFault: 401 without a key, with an unknown or malformed one, or with a revoked one; 403 with a
                publishable one.
        """
        text = _given(authorization or "")
        if not text:
            raise StripeFault(
                401,
                "invalid_request_error",
                "You did not provide an API key. You need to provide your API key in the Authorization header, using "
                "Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').",
            )
        found = self._registered.get(text)
        if found is None:
            found = self._unregistered(text)
        if found.revoked:
            raise StripeFault(
                401, "invalid_request_error", f"Expired API Key provided: {masked(text)}", code="api_key_expired"
            )
        return found

    def _unregistered(self, text: str) -> Key:
        """Any test key is good for development; a live one must never reach a stand-in by mistake."""
        if text.startswith("pk_"):
            raise invalid(
                "This API call cannot be made with a publishable API key. Please use a secret API key.",
                code="secret_key_required",
                status=403,
            )
        if self.only_registered or not _FORM.fullmatch(text) or "_live_" in text[:8]:
            raise StripeFault(401, "invalid_request_error", f"Invalid API Key provided: {masked(text)}")
        return Key(key=text)


def _given(authorization: str) -> str:
    """Return the key, sent as a bearer token or as the user of Basic authentication; "": none.

    docs.stripe.com/api/authentication: `curl -u sk_test_…:`, whose password is empty.
    """
    scheme, _, text = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return text
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(text, validate=True).decode().partition(":")[0]
    except ValueError:
        return ""


def check_account(key: Key, account: str | None) -> None:
    """Refuse the header `Stripe-Account` with another account (docs.stripe.com/error-codes#account-invalid)."""
    if account is not None and account != key.account:
        raise invalid(
            f"The provided key '{masked(key.key)}' does not have access to account '{account}' (or that account does "
            "not exist). Application access may have been revoked.",
            code="account_invalid",
            status=403,
        )


def check_permission(key: Key, permission: str) -> None:
    """Refuse what a restricted key was not given (docs.stripe.com/keys/restricted-api-keys)."""
    if not key.allows(permission):
        raise invalid(
            f"The provided key '{masked(key.key)}' does not have the required permissions for this endpoint on account "
            f"'{key.account}'. Having the 'rak_{permission}' permission would allow this request to continue.",
            status=403,
        )


def masked(key: str) -> str:
    """Return a key as Stripe shows it in errors: the prefix and the last four characters."""
    if len(key) <= _SHOWN + 4:
        return key[:_SHOWN] + "*" * max(0, len(key) - _SHOWN)
    return f"{key[:_SHOWN]}{'*' * (len(key) - _SHOWN - 4)}{key[-4:]}"
