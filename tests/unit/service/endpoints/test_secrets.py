"""Secrets that are derived when they are needed."""

from __future__ import annotations

from base64 import b64decode

import pytest

from payment_service.config.secrets import Secret
from payment_service.deliveries.signing import parse_secret
from payment_service.endpoints.errors import SigningKeyMissing
from payment_service.endpoints.secrets import Derivation, SigningKeys, value_id

OLD, NEW = "o" * 40, "n" * 40
PINNED_ID = "055830c600369f42"
PINNED_SECRET = "whsec_drTm1kTChrA/BWSj+OhsKR2eUVv2JgUaPMmDfW7KC9g="
"""Of `OLD` and a salt of zeros, by RFC 5869 with SHA-256: what receivers hold must never change with a version."""


def test_a_secret_is_derived_of_the_value_that_its_row_names() -> None:
    derivation = SigningKeys(Secret(OLD)).new()
    secret = SigningKeys(Secret(OLD)).reveal(derivation)
    both = SigningKeys(Secret(f"{NEW},{OLD}"))
    assert both.reveal(derivation) == secret
    assert both.new().value == value_id(NEW)
    assert both.ids() == {value_id(OLD), value_id(NEW)}


def test_each_endpoint_and_each_value_has_another() -> None:
    keys = SigningKeys(Secret(OLD))
    one, other = keys.new(), keys.new()
    assert keys.reveal(one) != keys.reveal(other)
    assert one.fingerprint != other.fingerprint
    assert SigningKeys(Secret(NEW)).reveal(Derivation(one.salt, value_id(NEW))) != keys.reveal(one)


def test_it_is_one_of_standard_webhooks_and_the_same_in_every_version() -> None:
    secret = SigningKeys(Secret(OLD)).reveal(Derivation("00" * 32, value_id(OLD)))
    assert len(parse_secret(secret)) == len(b64decode(secret.removeprefix("whsec_"))) == 32
    assert (value_id(OLD), secret) == (PINNED_ID, PINNED_SECRET)


def test_without_its_value_there_is_none() -> None:
    derivation = SigningKeys(Secret(OLD)).new()
    with pytest.raises(SigningKeyMissing, match=value_id(OLD)):
        SigningKeys(Secret(NEW)).reveal(derivation)
    with pytest.raises(SigningKeyMissing, match="WEBHOOK_SIGNING_KEY"):
        SigningKeys(Secret("")).new()
