"""Create-subscription: what the service adds to Stripe's time, how many it takes, and replays of stored answers.

Each arm asks Stripe three times, not for the same: ours looks for customers with the address, creates the customer with
its card, then the subscription; S creates the customer, attaches the card, creates the subscription. What is subtracted
is what an arm's own calls take, and the simulator counts the calls: one more or less ends the run.
"""

from __future__ import annotations

from functools import partial
from statistics import fmean
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import httpx
import msgspec
from tests.bench.arms import Arm, Ours, Seed
from tests.bench.machine import STRIPE_KEY
from tests.bench.session import UnequalWork, post_request, processes_cpu_seconds

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.bench.generator import Result
    from tests.bench.session import Load, Session

PATH = "/api/v1/payments/create-subscription"
STEADY_PER_SECOND = 5.0
STEADY_SECONDS = 6.0
IN_FLIGHT = 128
SECONDS = 6.0
FASTEST = 400
CALLS = 3
"""To Stripe, of either arm for a new customer who is named by an address."""
_ROWS = "SELECT count(*) FROM subscriptions WHERE stripe_subscription_id IS NOT NULL"
_FORM = (
    "{method} {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {key}\r\nContent-Length: {length}\r\n\r\n{body}"
)
Call = tuple[str, str, dict[str, str]]
"""Method, path, and what the form holds."""


def run(session: Session) -> None:
    """Measure ours and S in turns."""
    ours = Ours(session.machine)
    arms: list[Arm] = [ours, Seed(session.machine)]
    try:
        for arm in arms:
            arm.prepare()
            arm.start()
        _warm(session, arms)
        for number in session.turns("create-subscription"):
            for arm in arms:
                _steady(session, arm, number)
            for arm in arms:
                _capacity(session, arm, number)
            _replay(session, ours)
    finally:
        for arm in arms:
            arm.stop()


def bodies(session: Session, arm: Arm, *, count: int, mark: str) -> list[bytes]:
    """Return requests that each make a customer and a paid subscription."""
    key = arm.api_key if isinstance(arm, Ours) else ""
    made = []
    for number in range(count):
        content = {
            "email": f"{mark}.{number}@example.com",
            "price_id": session.machine.price_id,
            "payment_method_id": "pm_card_visa",
        }
        idempotency_key = f"{mark}-{number}" if key else ""
        made.append(post_request(PATH, msgspec.json.encode(content), api_key=key, idempotency_key=idempotency_key))
    return made


def stripe_calls(session: Session) -> dict[str, list[Call]]:
    """Return what each arm asks Stripe to make a customer with a card and a subscription."""
    machine = session.machine
    with httpx.Client(base_url=machine.stripe_url, headers={"Authorization": f"Bearer {STRIPE_KEY}"}) as client:
        customer = client.post("/v1/customers", data={"email": "direct@example.com"}).json()["id"]
        attach = "/v1/payment_methods/pm_card_visa/attach"
        method = client.post(attach, data={"customer": customer}).json()["id"]
    terms = {"customer": customer, "items[0][price]": machine.price_id, "default_payment_method": method}
    card = {"payment_method": "pm_card_visa", "invoice_settings[default_payment_method]": "pm_card_visa"}
    address = {"email": "direct@example.com"}
    subscribe: Call = ("POST", "/v1/subscriptions", terms)
    return {
        "ours": [
            ("GET", f"/v1/customers?{urlencode(address)}", {}),
            ("POST", "/v1/customers", {**address, **card}),
            subscribe,
        ],
        "S": [("POST", "/v1/customers", address), ("POST", attach, {"customer": customer}), subscribe],
    }


def _direct_milliseconds(session: Session, calls: list[Call]) -> float:
    """Return the summed latency of calls, asked of the simulator directly, one at a time."""
    requests = []
    for method, path, form in calls:
        body = urlencode(form)
        asked = _FORM.format(method=method, path=path, key=STRIPE_KEY, length=len(body), body=body)
        requests.append(asked.encode())
    once = {"warmup": 0.0, "repeat": False}
    direct = session.drive(session.machine.stripe_port, connections=1, seconds=20, requests=requests * 5, **once)
    return len(calls) * fmean(direct.milliseconds)


def _counted(session: Session, arm: Arm, work: Callable[[], Result]) -> Load:
    """Run a load; each request must have made one row, and as many calls to Stripe as the arm makes.

    Raises:
        UnequalWork: it made more, or fewer.
    """
    before = session.machine.stripe_calls()
    load = session.measured(arm, work, rows=partial(session.machine.count, arm.database, _ROWS))
    made = session.machine.stripe_calls() - before
    if made != CALLS * load.result.sent:
        raise UnequalWork(f"{arm.name}: {load.result.sent} requests asked Stripe {made} times, not {CALLS} times each")
    return load


def _warm(session: Session, arms: list[Arm]) -> None:
    for arm in arms:
        requests = bodies(session, arm, count=20, mark="warm")
        session.drive(arm.port, connections=10, seconds=30, warmup=0, requests=requests, repeat=False)


def _steady(session: Session, arm: Arm, number: int) -> None:
    calls = _direct_milliseconds(session, stripe_calls(session)[arm.name])
    count = int(STEADY_PER_SECOND * (STEADY_SECONDS + 1))
    requests = bodies(session, arm, count=count, mark=f"steady{number}")
    load = _counted(
        session,
        arm,
        lambda: session.drive(
            arm.port, connections=32, seconds=STEADY_SECONDS, requests=requests, repeat=False, rate=STEADY_PER_SECOND
        ),
    )
    p50, p99 = load.result.quantile(0.5), load.result.quantile(0.99)
    session.record("Stripe's three calls, asked directly", f"those of {arm.name}", calls, "ms")
    session.record("create-subscription p50, open loop", arm.name, p50, "ms")
    session.record("create-subscription p99, open loop", arm.name, p99, "ms")
    session.record("create-subscription above Stripe, p50", arm.name, p50 - calls, "ms")


def _capacity(session: Session, arm: Arm, number: int) -> None:
    count = int(FASTEST * (SECONDS * session.pace + 1))
    requests = bodies(session, arm, count=count, mark=f"full{number}")
    simulator = processes_cpu_seconds(session.machine.simulator_pid)
    load = _counted(
        session,
        arm,
        lambda: session.drive(arm.port, connections=IN_FLIGHT, seconds=SECONDS, requests=requests, repeat=False),
    )
    simulator = processes_cpu_seconds(session.machine.simulator_pid) - simulator
    what = f"create-subscription, {IN_FLIGHT} in flight"
    session.record(what, arm.name, load.result.per_second, "requests/s")
    session.record(f"{what}, CPU", arm.name, load.cpu_microseconds / 1000, "ms")
    session.record(f"{what}, CPU of the simulator", arm.name, simulator / load.result.sent * 1000, "ms")


def _replay(session: Session, ours: Ours) -> None:
    requests = bodies(session, ours, count=20, mark="warm")
    load = session.measured(ours, partial(replay, session, ours, requests))
    session.record("idempotent replay, 32 in flight", ours.name, load.result.per_second, "requests/s")
    session.record("idempotent replay, CPU", ours.name, load.cpu_microseconds, "µs")


def replay(session: Session, arm: Arm, requests: list[bytes]) -> Result:
    """Send requests whose answers are stored."""
    return session.drive(arm.port, connections=32, seconds=2.0, requests=requests)
