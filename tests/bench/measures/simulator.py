"""How many calls the Stripe simulator answers on one core: it must not be what a measure of ours waits for."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

import httpx
from tests.bench.machine import STRIPE_KEY, STRIPE_MILLISECONDS
from tests.bench.measures.create import stripe_calls
from tests.bench.session import processes_cpu_seconds

if TYPE_CHECKING:
    from tests.bench.measures.create import Call
    from tests.bench.session import Session

SECONDS = 3.0
FASTEST = 6000
"""More calls per second than one core takes: so many are built before the clock starts."""
_CALL = (
    "{method} {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {key}\r\nIdempotency-Key: {name}\r\n"
    "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\r\n{body}"
)


def run(session: Session) -> None:
    """Send the three calls of create-subscription, each by itself, without the latency of the other measures."""
    session.machine.slow_stripe(0)
    try:
        for number in session.turns("simulator"):
            cost = sum(_measure(session, name, call, number) for name, call in _calls(session).items())
            session.record("create-subscription at the simulator, three calls", "simulator", cost, "ms CPU")
    finally:
        session.machine.slow_stripe(STRIPE_MILLISECONDS)


def _calls(session: Session) -> dict[str, Call]:
    """Return what the gateway sends: look-up, customer with its card, subscription that is charged at once."""
    machine = session.machine
    with httpx.Client(base_url=machine.stripe_url, headers={"Authorization": f"Bearer {STRIPE_KEY}"}) as client:
        customer = client.post("/v1/customers", data={"email": "simulator@example.com"}).json()["id"]
        attach = "/v1/payment_methods/pm_card_visa/attach"
        method = client.post(attach, data={"customer": customer}).json()["id"]
    terms = {
        "customer": customer,
        "items[0][price]": machine.price_id,
        "items[0][quantity]": "1",
        "default_payment_method": method,
        "payment_behavior": "allow_incomplete",
        "payment_settings[save_default_payment_method]": "on_subscription",
        "metadata[operation]": "bench",
        "expand[0]": "latest_invoice.confirmation_secret",
        "expand[1]": "pending_setup_intent",
    }
    look_up, create, _ = stripe_calls(session)["ours"]
    return {
        "look for customers": look_up,
        "create customer with card": create,
        "create subscription": ("POST", "/v1/subscriptions", terms),
    }


def _measure(session: Session, name: str, call: Call, number: int) -> float:
    """Return the processor milliseconds of one call."""
    method, path, form = call
    body = urlencode(form)
    requests = [
        _CALL.format(
            method=method,
            path=path,
            key=STRIPE_KEY,
            name=f"{name}-{number}-{index}".replace(" ", "-"),
            length=len(body),
            body=body,
        ).encode()
        for index in range(int(FASTEST * (SECONDS * session.pace + 1)))
    ]
    machine = session.machine
    before = processes_cpu_seconds(machine.simulator_pid)
    result = session.drive(machine.stripe_port, connections=32, seconds=SECONDS, requests=requests, repeat=False)
    cost = (processes_cpu_seconds(machine.simulator_pid) - before) / result.sent * 1000
    session.record(f"simulator: {name}, 32 in flight", "simulator", result.per_second, "requests/s")
    session.record(f"simulator: {name}, CPU", "simulator", cost, "ms")
    return cost
