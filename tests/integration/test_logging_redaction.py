"""Nothing secret reaches a log line: the suite watches itself, and this shows that the watch would see it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest
import structlog
from tests import logged

if TYPE_CHECKING:
    from tests.servers.stack import Stack

SECRETS = (
    "sk_live_51Habcdef",
    "rk_test_51Habcdef",
    "whsec_q83Jd0LmZx71",
    "lp_test_Zm9vYmFyYmF6cXV4",
    "pi_3Nabc_secret_XYZ123",
    "4242 4242 4242 4242",
    "4000-0025-0000-3155",
    "postgresql://payments:hunter2@db/payments",
)


@pytest.mark.parametrize("secret", SECRETS)
def test_the_watch_sees_what_the_filter_would_have_to_hide(secret: str) -> None:
    assert logged.secrets_in(f"something with {secret} in it")


@pytest.mark.parametrize("secret", SECRETS)
def test_the_filter_hides_it_in_every_part_of_an_event(secret: str) -> None:
    before = logged.COUNTED["lines"]
    log = structlog.get_logger("payments")
    log.info("event " + secret, detail=secret, nested={"deep": [secret]}, error=ValueError(secret))  # noqa: G003 - a secret inside the text
    try:
        raise ValueError(secret)
    except ValueError as error:
        log.info("failed", exc_info=error)
    assert logged.COUNTED["lines"] == before + 2


async def test_the_whole_round_logs_money_and_no_secret(stack: Stack) -> None:
    """Bodies, keys and signatures that callers send stay out of the log, also when they are refused."""
    before = logged.COUNTED["lines"]
    card = "4242424242424242"
    await stack.create(email="ada@example.com", payment_method_id="pm_card_visa")
    await stack.create(email="ada@example.com", card_number=card, metadata={"key": "sk_live_51Habcdef"})
    await stack.create(email=f"{card}@example.com", payment_method_id="sk_live_51Habcdef")
    await stack.client.post(
        "/api/v1/webhooks/stripe", content=b'{"object":"event"}', headers={"Stripe-Signature": "whsec_q83Jd0LmZx71"}
    )
    authorization = {"Authorization": "Bearer lp_test_Zm9vYmFyYmF6cXV4", "X-Request-ID": "sk_live_51Habcdef"}
    answer = await stack.client.get("/api/v1/subscriptions/sk_live_51Habcdef", headers=authorization)
    assert isinstance(answer, httpx.Response)
    assert logged.COUNTED["lines"] >= before + 5
