"""What is said of a database URL that cannot be read: the fix, and no part of the password."""

from __future__ import annotations

import ssl

import asyncpg
import pytest
from tests.unit.operator.world import World

from payment_operator.backoff import Backoff
from payment_operator.clients import postgresql
from payment_operator.clients.postgresql import login_error
from payment_operator.effects.database_roles import work_on_role
from payment_operator.model.actions import Part, Patch, PrepareRole

READABLE = "percent-encode special characters of the password"


@pytest.mark.parametrize(
    "password",
    ["Ab3/xyz", "Ab3?xyz", "Ab3#xyz", "[Ab3/xyz", "Ab3:Zb4/xyz"],
)
async def test_a_password_that_breaks_its_url_is_told_to_nobody(password: str) -> None:
    url = f"postgresql://admin:{password}@db/payments"
    action = PrepareRole(url, url, "payments", then=Patch("Secret", "shop-database-roles", ()))
    decision, backoff = Part(), Backoff()
    assert await work_on_role(action, postgresql, backoff, World().observe(), decision, secrets=()) is False
    (event,) = decision.events
    assert backoff.fault is not None
    for text in (event.message, backoff.fault.message):
        assert READABLE in text
        assert "Ab3" not in text
        assert "xyz" not in text


def test_a_wrong_setting_in_the_url_is_not_quoted() -> None:
    assert READABLE in login_error(asyncpg.exceptions.ClientConfigurationError("got 'Ab3xyz'"))


def test_a_refused_certificate_keeps_its_reason() -> None:
    assert "self-signed" in login_error(ssl.SSLCertVerificationError(1, "self-signed certificate"))
