# ruff: noqa: INP001
"""What `helm test` does in Stripe's test mode, through the API's Service.

Runs `payments smoke`, then makes an API key of its own, creates a paid subscription, delivers a signed event about it,
waits for the row that the worker writes, cancels the subscription and ends the key. Runs in the service's image.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from pathlib import Path
from typing import Any

from sqlalchemy import select

from payment_service.cli_settings import DATABASE
from payment_service.config.settings import Settings
from payment_service.storage.database import Database
from payment_service.storage.tables import events, subscriptions

API = os.environ["API_URL"]
STRIPE = os.environ.get("STRIPE_API_BASE", "https://api.stripe.com")
NAME = "lean_payments_helm_test"
PATIENCE_SECONDS = 60


class Failed(Exception):
    """A step did not do what it should."""


def secret(name: str) -> str:
    """Return a mounted secret."""
    return Path(os.environ[f"{name}_FILE"]).read_text(encoding="utf-8").strip()


def call(url: str, *, body: Any = None, form: Any = None, headers: dict[str, str]) -> tuple[int, dict[str, Any]]:
    """Send a request and return its status and its JSON."""
    data = json.dumps(body).encode() if body is not None else None
    if form is not None:
        data = urllib.parse.urlencode(form).encode()
    headers = headers | ({"Content-Type": "application/json"} if body is not None else {})
    request = urllib.request.Request(url, data=data, headers=headers)  # noqa: S310 - the API's and Stripe's addresses
    try:
        with urllib.request.urlopen(request, timeout=90) as answer:  # noqa: S310 - as above
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read() or b"{}")


def stripe(path: str, form: Any = None) -> dict[str, Any]:
    """Call Stripe and return the object."""
    status, answer = call(f"{STRIPE}/v1/{path}", form=form, headers={"Authorization": f"Bearer {stripe_key()}"})
    taken = answer.get("error", {}).get("code") == "resource_already_exists"
    if status != 200 and not taken:  # noqa: PLR2004 - HTTP
        raise Failed(f"Stripe refused {path}: {answer.get('error', {}).get('message')}")
    return answer


def stripe_key() -> str:
    """Return the key, unless it could move real money."""
    key = secret("STRIPE_SECRET_KEY")
    if not key.startswith(("sk_test_", "rk_test_")):
        raise Failed("the key is a live one: this would charge a real card")
    return key


def price() -> str:
    """Return the lookup key of the price that these tests use, made at the first run."""
    if not stripe(f"prices?lookup_keys[]={NAME}&active=true")["data"]:
        stripe("products", {"id": NAME, "name": "Lean Payments helm test"})
        terms = {"currency": "usd", "unit_amount": 100, "recurring[interval]": "month"}
        stripe("prices", {"product": NAME, "lookup_key": NAME, **terms})
    return NAME


def payments_keys(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `payments keys`."""
    return subprocess.run(["payments", "keys", *arguments], check=True, capture_output=True, text=True)  # noqa: S603, S607


def deliver(subscription: dict[str, Any]) -> str:
    """Send a signed event about the subscription to the webhook route, as Stripe would, and return its id."""
    event = {
        "id": f"evt_helmtest{uuid.uuid4().hex}",
        "object": "event",
        "created": int(time.time()),
        "livemode": False,
        "type": "customer.subscription.updated",
        "data": {"object": subscription},
    }
    now, body = int(time.time()), json.dumps(event)
    key = secret("STRIPE_WEBHOOK_SECRET").replace(",", " ").split()[0].encode()
    signature = hmac.new(key, f"{now}.{body}".encode(), hashlib.sha256).hexdigest()
    headers = {"Stripe-Signature": f"t={now},v1={signature}"}
    status, answer = call(f"{API}/api/v1/webhooks/stripe", body=event, headers=headers)
    if status != 200:  # noqa: PLR2004 - HTTP
        raise Failed(f"the signed event was answered {status}: {answer}")
    return str(event["id"])


async def settled(event: str, subscription: str) -> str:
    """Wait until the worker has applied the event, and return the status in the subscription's row."""
    database = Database.from_settings(Settings.from_env(os.environ, needs=DATABASE).database)
    state, status = select(events.c.state), select(subscriptions.c.status)

    async def read(statement: Any) -> Any:
        async with database.read() as connection:
            return (await connection.execute(statement)).scalar_one_or_none()

    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (found := await read(state.where(events.c.id == event))) == "pending":
            if time.monotonic() > deadline:
                raise Failed(f"no worker applied the event within {PATIENCE_SECONDS} s")
            await asyncio.sleep(0.2)
        if found != "applied":
            raise Failed(f"the event's row is {found or 'missing'}")
        return str(await read(status.where(subscriptions.c.id == subscription)))
    finally:
        await database.close()


def say(text: str) -> None:
    """Report a step."""
    sys.stdout.write(f"ok   {text}\n")
    sys.stdout.flush()


def round_trip(key: str) -> None:
    """Create, deliver, look, cancel."""
    headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": uuid.uuid4().hex}
    address = f"helm-test-{uuid.uuid4().hex[:12]}@example.com"
    wanted = {"lookup_key": price(), "email": address, "payment_method_id": "pm_card_visa"}
    status, created = call(f"{API}/api/v1/payments/create-subscription", body=wanted, headers=headers)
    if status != 201 or created["status"] != "active":  # noqa: PLR2004 - HTTP
        raise Failed(f"create-subscription answered {status}: {created}")
    say(f"created {created['id']}: {created['status']}")
    event = deliver(stripe(f"subscriptions/{created['stripe_subscription_id']}"))
    row = asyncio.run(settled(event, created["id"]))
    if row != "active":
        raise Failed(f"the subscription's row says {row}")
    say(f"signed event {event} applied, the row says {row}")
    headers["Idempotency-Key"] = uuid.uuid4().hex
    body = {"at_period_end": False}
    status, answer = call(f"{API}/api/v1/subscriptions/{created['id']}/cancel", body=body, headers=headers)
    if status != 200 or answer["status"] != "canceled":  # noqa: PLR2004 - HTTP
        raise Failed(f"cancel answered {status}: {answer}")
    say("canceled")


def main() -> int:
    """Run everything; the key ends even when a step fails."""
    if subprocess.run(["payments", "smoke", "--base-url", API], check=False).returncode:  # noqa: S603, S607
        return 1
    try:
        stripe_key()
        made = payments_keys("create", "helm-test", "--scope", "write", "--days", "0.05")
        identifier = next(word for word in made.stderr.split() if word.startswith("lpk_"))
        say(f"made API key {identifier}")
        try:
            round_trip(made.stdout.strip())
        finally:
            payments_keys("revoke", identifier)
            say(f"revoked API key {identifier}")
    except (Failed, OSError, KeyError) as error:
        sys.stderr.write(f"FAIL {type(error).__name__}: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
