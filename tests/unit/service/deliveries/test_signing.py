"""Signatures, as receivers verify them with the package of Standard Webhooks."""

from __future__ import annotations

import json
import time
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from payment_service.deliveries.signing import BadSecret, make_secret, parse_secret, signed_headers


@given(
    key=st.binary(min_size=24, max_size=64),
    content=st.dictionaries(st.text(), st.integers()),
)
def test_receivers_verify_what_is_signed(key: bytes, content: dict[str, int]) -> None:
    secret = "whsec_" + b64encode(key).decode()
    body = json.dumps(content, ensure_ascii=False).encode()
    headers = signed_headers(webhook_id="evt_1", timestamp=int(time.time()), body=body, secrets=[secret])
    assert Webhook(secret).verify(body, headers) == content


def test_while_a_secret_is_rotated_receivers_with_either_verify() -> None:
    old, new, other = make_secret(), make_secret(), make_secret()
    headers = signed_headers(webhook_id="evt_1", timestamp=int(time.time()), body=b"{}", secrets=[new, old])
    assert len(headers["webhook-signature"].split(" ")) == 2
    for secret in (old, new):
        Webhook(secret).verify(b"{}", headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(other).verify(b"{}", headers)


@pytest.mark.parametrize("changed", [{"webhook-id": "evt_2"}, {"webhook-timestamp": str(int(time.time()) + 1)}])
def test_the_id_and_the_time_are_signed(changed: dict[str, str]) -> None:
    secret = make_secret()
    headers = signed_headers(webhook_id="evt_1", timestamp=int(time.time()) - 5, body=b"{}", secrets=[secret])
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(b"{}", headers | changed)


def test_the_example_of_the_specification() -> None:
    headers = signed_headers(
        webhook_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        timestamp=1_614_265_330,
        body=b'{"test": 2432232314}',
        secrets=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize(
    "text",
    [
        "",
        "whsec_",
        "whsec_development",
        "whsec_" + b64encode(b"k" * 23).decode(),
        "whsec_" + b64encode(b"k" * 65).decode(),
        "whsec_" + b64encode(b"k" * 32).decode().rstrip("="),
        "whsec_" + b64encode(b"k" * 32).decode() + "\n",
        "whsk_" + b64encode(b"k" * 32).decode(),
        b64encode(b"k" * 32).decode(),
        "whsec_" + "é" * 44,
    ],
)
def test_nothing_else_is_a_secret(text: str) -> None:
    with pytest.raises(BadSecret) as caught:
        parse_secret(text)
    assert len(text) < 10 or text not in str(caught.value)


def test_nothing_is_sent_unsigned() -> None:
    with pytest.raises(BadSecret):
        signed_headers(webhook_id="evt_1", timestamp=1, body=b"{}", secrets=[])


def test_secrets_are_made_of_32_random_bytes() -> None:
    made = {make_secret() for _ in range(100)}
    assert len(made) == 100
    assert {len(parse_secret(secret)) for secret in made} == {32}
