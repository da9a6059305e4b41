"""Nothing secret reaches a log line: the suite watches itself, and this shows that the watch would see it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import quote

import httpx
import pytest
import structlog
from structlog.testing import capture_logs
from tests import logged
from tests.servers.stack import CREATE

from payment_service.config.settings import DEVELOPMENT_WEBHOOK_SECRET
from payment_service.events.routes import PATH
from payment_service.observability.loggable import event_type, object_id
from payment_service.observability.redaction import MARK
from payment_service.storage.tables import events
from payment_service.stripe_api.signature import sign

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


CANARIES = (
    "canary",
    "ada.canary\uff20example.com",
    "canary 203.0.113.7",
    "canary.203.0.113.7",
    "AdaCanary",
    "canary_ada",
)
"""In no list of secrets: what is nobody's secret is logged only where it has the form of its place."""


async def test_no_text_of_a_callers_reaches_a_line(stack: Stack) -> None:
    """In each place that has no form of its own; what is looked at is what the redaction would see."""
    with capture_logs() as lines:
        for number, text in enumerate(CANARIES):
            quoted = quote(text)
            await stack.client.get(f"/api/v1/{quoted}")
            await stack.client.get(f"/api/v1/subscriptions/{quoted}?{quoted}={quoted}")
            await stack.client.get("/api/v1/subscriptions", params={"status": text, "starting_after": text})
            await stack.client.get("/api/v1/subscriptions", headers=[(b"X-Canary", b"\x01")])
            await stack.create(email=f"{number}@example.com", name=text, metadata={text: text})
            for value in (1, "4242424242424242", "\0"):
                await stack.client.post(CREATE, json={text: value})
            twice = f'{{"email": 1, "{text}": 1, "{text}": 2}}'
            await stack.client.post(CREATE, content=twice.encode(), headers={"Content-Type": "application/json"})
            await stack.client.request("CANARY", f"/api/v1/subscriptions?x={quoted}")
            if object_id(text) == event_type(text) == MARK:
                await tell(stack, f"evt_{number}", text)
        await stack.until(lambda: applied(stack))
    assert len(lines) > len(CANARIES) * 8
    assert [line for line in lines if "canary" in str(line).lower()] == []


async def tell(stack: Stack, event_id: str, text: str) -> None:
    """Deliver events that hold the text wherever Stripe would write a word of its own."""
    for kind in ("customer", "plan", text):
        content = {
            "id": f"{event_id}_{kind}" if kind != text else f"{event_id}_{text}",
            "object": "event",
            "type": text,
            "api_version": text,
            "created": 1_790_000_000,
            "livemode": False,
            "data": {"object": {"id": text, "object": kind, "email": text}},
        }
        body = json.dumps(content).encode()
        signature = sign(body, secret=DEVELOPMENT_WEBHOOK_SECRET, timestamp=int(stack.clock.timestamp()))
        answer = await stack.client.post(PATH, content=body, headers={"Stripe-Signature": signature})
        assert answer.status_code == 200


async def applied(stack: Stack) -> bool:
    """Tell whether no event waits."""
    return all(row["state"] != "pending" for row in await stack.rows(events))
