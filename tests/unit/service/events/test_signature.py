"""Stripe's signatures."""

from __future__ import annotations

import pytest
import stripe

from payment_service.errors import InvalidSignature
from payment_service.stripe_api.signature import sign, verify

BODY = b'{"id": "evt_1"}'
NOW = 1_790_000_000
SECRETS = ("whsec_old", "whsec_new")


def refused(header: str | None, *, body: bytes = BODY, secrets: tuple[str, ...] = SECRETS) -> str:
    with pytest.raises(InvalidSignature) as caught:
        verify(body, header, secrets=secrets, now=NOW)
    return str(caught.value.extra["reason"])


@pytest.mark.parametrize("secret", SECRETS)
def test_each_accepted_secret_verifies(secret: str) -> None:
    assert verify(BODY, sign(BODY, secret=secret, timestamp=NOW), secrets=SECRETS, now=NOW) == secret


def test_one_of_several_signatures_is_enough() -> None:
    header = sign(BODY, secret="whsec_other", timestamp=NOW) + "," + sign(BODY, secret="whsec_new", timestamp=NOW)
    assert verify(BODY, header, secrets=SECRETS, now=NOW) == "whsec_new"


def test_the_sdk_accepts_what_we_sign() -> None:
    header = sign(BODY, secret="whsec_new", timestamp=NOW)
    assert stripe.WebhookSignature.verify_header(BODY.decode(), header, "whsec_new", tolerance=None)


@pytest.mark.parametrize("seconds", [-301, 301])
def test_the_tolerance_holds_on_both_sides(seconds: int) -> None:
    assert refused(sign(BODY, secret="whsec_new", timestamp=NOW + seconds)) == "timestamp"


@pytest.mark.parametrize("seconds", [-300, 300])
def test_five_minutes_are_within_the_tolerance(seconds: int) -> None:
    assert verify(BODY, sign(BODY, secret="whsec_new", timestamp=NOW + seconds), secrets=SECRETS, now=NOW)


def test_another_body_is_refused() -> None:
    assert refused(sign(BODY, secret="whsec_new", timestamp=NOW), body=b"{}") == "signature"


def test_another_secret_is_refused() -> None:
    assert refused(sign(BODY, secret="whsec_other", timestamp=NOW)) == "signature"


def test_an_empty_secret_never_verifies() -> None:
    assert refused(sign(BODY, secret="", timestamp=NOW), secrets=("",)) == "signature"


def test_no_secret_never_verifies() -> None:
    assert refused(sign(BODY, secret="", timestamp=NOW), secrets=()) == "signature"


@pytest.mark.parametrize("header", [None, ""])
def test_a_missing_header_is_refused(header: str | None) -> None:
    assert refused(header) == "missing"


@pytest.mark.parametrize(
    "header", ["x", "t=,v1=", "t=abc,v1=00", f"t={NOW}", "v1=00", "t=9999999999999999,v1=00", "t=²,v1=0"]
)
def test_a_malformed_header_is_refused(header: str) -> None:
    assert refused(header) == "malformed"
