"""The gateway's pinned version and how Stripe's errors become ours."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from payment_service.errors import PaymentsError, StripeKeySpent, StripeMisconfigured, StripeUnavailable
from payment_service.stripe_api.gateway import API_VERSION, StripeDeclined, StripeRejected, _translate
from stripe_simulator.state import API_VERSION as SIMULATED_VERSION

SDK: Any = stripe  # its errors' constructors carry no types


def test_the_api_version_is_the_one_the_sdk_pins() -> None:
    assert stripe.api_version == API_VERSION


def test_the_simulator_speaks_the_same_version() -> None:
    assert SIMULATED_VERSION == API_VERSION


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (SDK.InvalidRequestError("bad", "price", http_status=400), StripeRejected),
        (SDK.InvalidRequestError("none", "id", http_status=404), StripeRejected),
        (SDK.IdempotencyError("other parameters", http_status=400), StripeKeySpent),
        (SDK.IdempotencyError("in use", http_status=409), StripeUnavailable),
        (SDK.CardError("declined", "", "card_declined", http_status=402), StripeDeclined),
        (SDK.AuthenticationError("bad key", http_status=401), StripeMisconfigured),
        (SDK.PermissionError("no permission", http_status=403), StripeMisconfigured),
        (SDK.RateLimitError("slow down", http_status=429), StripeUnavailable),
        (SDK.APIError("broken", http_status=500), StripeUnavailable),
        (SDK.APIError("broken", http_status=500, headers={"idempotent-replayed": "true"}), StripeKeySpent),
        (SDK.APIConnectionError("no route"), StripeUnavailable),
    ],
)
def test_each_error_of_the_sdk_has_its_meaning(error: stripe.StripeError, expected: type[PaymentsError]) -> None:
    assert type(_translate(error)) is expected


def test_no_key_reaches_the_message() -> None:
    error = SDK.AuthenticationError("Invalid API Key provided: sk_live_abc", http_status=401)
    assert "sk_live" not in _translate(error).detail
