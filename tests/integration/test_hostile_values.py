"""Hostile values in every parameter of every route: 4xx, never 5xx, and nothing of them changes a path at Stripe's.

Parameters come from the OpenAPI document that the code makes, so a new one is tried from its first day. Here each value
is tried in some places and each place with some values; `make soak` tries all in all (`PAYMENTS_TEST_HOSTILE=all`).
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from tests.contract.openapi_document import document
from tests.servers.production import production
from tests.servers.raw_http import Raw, encoded, send

from payment_service.storage import tables

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.production import Production
    from tests.servers.raw_http import Fields

ALL = os.environ.get("PAYMENTS_TEST_HOSTILE") == "all"
SAMPLE = {"path": 8, "query": 6, "body": 6, "header": 2}
CARD = "4242424242424242"
CARDS = (CARD, "4242-4242-4242-4242", " ".join(CARD), "_".join(CARD), "\uff14\uff12" * 8, "6759649826438453")
"""Numbers of cards in some disguises; `tests/cards.py` has all."""
VALUES = (
    "",
    " ",
    ".",
    "..",
    "../prices/price_pro",
    "cus_x/../../balance",
    "cus_x/../../events?limit=1",
    "price_pro?expand[]=product",
    "price_pro#x",
    "price_pro;x=1",
    "price_pro/",
    "/v1/balance",
    "//evil.example/v1/prices/x",
    "http://evil.example/",
    "cus_\r\nX-Evil: 1",
    "cus_\n",
    "cus_\t",
    "cus_\x00",
    "\x00",
    "\x1b[31m",
    "\x7f",
    "\x85",
    "\u2028",
    "\u202egnp.exe",
    "é",
    "lps_é",
    "日本",
    "\U0001f600",
    "\ud800",
    "cus_\udc00",
    "%2e%2e",
    "%2f",
    "%00",
    "%",
    "a" * 255,
    "a" * 256,
    "lps_" + "a" * 10_000,
    "' OR 1=1--",
    "{}",
    "[]",
    "null",
    "NaN",
    "1e400",
    "-1",
    "9" * 30,
    "9" * 5_000,
    "0000-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999-23:59",
    "2026-13-45T99:99:99Z",
    "$ne",
    "__proto__",
    *CARDS,
    f"x{CARD}y",
)
RAW_JSON = (
    b"1e400",
    b"-1e400",
    b"NaN",
    b"9" * 5_000,
    b"9223372036854775808",
    b"[" * 5_000 + b"]" * 5_000,
    b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    b'"\\ud800"',
    b'"\xff"',
    b'"\\u0000"',
    b"true",
    b"null",
    b"1.5",
    b"{}",
    b"[]",
)
HEADERS = (
    "Authorization",
    "Idempotency-Key",
    "X-Request-ID",
    "Stripe-Signature",
    "Content-Type",
    "Content-Encoding",
    "Accept",
    "Origin",
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "Forwarded",
    "Cookie",
    "Traceparent",
)
PATHS_AT_STRIPE = re.compile(
    r"/v1/([a-z_]+|checkout/sessions"  # lists, the balance, and what is made
    r"|(customers|prices|subscriptions|payment_methods|payment_intents|setup_intents|invoices|products|charges|refunds)/[A-Za-z0-9._:@-]+"
    r"|payment_methods/[A-Za-z0-9._:@-]+/(attach|detach)|customers/[A-Za-z0-9._:@-]+/payment_methods)"
)
KNOWN_OBJECTS = {"price_pro", "price_basic"}
GOOD_PATH = {
    "subscription_id": "lps_1",
    "customer_id": "lpc_1",
    "event_id": "evt_1",
    "operation_id": "lpo_1",
    "setup_intent_id": "seti_1",
    "payment_method_id": "pm_1",
}


class Place(NamedTuple):
    """Where a value goes."""

    method: str
    path: str
    kind: str
    name: str


def operations() -> Iterator[tuple[str, str, dict[str, Any], dict[str, Any]]]:
    """Yield method, path, operation and the whole document."""
    made = json.loads(document())
    for path, methods in made["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation, made


def body_of(operation: dict[str, Any], made: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the properties of a body and its example."""
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if content is None:
        return {}, {}
    (example,) = content["examples"].values()
    schema = made["components"]["schemas"][content["schema"]["$ref"].rpartition("/")[2]]
    return schema["properties"], example["value"]


def places() -> Iterator[Place]:
    """Yield every place of every route."""
    for method, path, operation, made in operations():
        for parameter in operation.get("parameters", ()):
            yield Place(method, path, parameter["in"], parameter["name"])
        yield Place(method, path, "query", "unknown")
        for name in body_of(operation, made)[0]:
            yield Place(method, path, "body", name)
        if operation.get("requestBody"):
            yield Place(method, path, "body", "metadata.x")
            yield Place(method, path, "body", "metadata.")
            yield Place(method, path, "body", "unknown")
        for name in HEADERS:
            yield Place(method, path, "header", name)
    for path in ("/api/v1/webhooks/stripe", "/health", "/health/ready", "/metrics", "/docs"):
        method = "POST" if "webhooks" in path else "GET"
        yield Place(method, path, "query", "x")
        for name in HEADERS:
            yield Place(method, path, "header", name)


def target(place: Place, value: str) -> str:
    """Return the path and query, the value in its place."""
    path = place.path
    for name, good in GOOD_PATH.items():
        hostile = place.kind == "path" and place.name == name
        path = path.replace(f"{{{name}}}", encoded(value) if hostile else good)
    return path + (f"?{encoded(place.name)}={encoded(value)}" if place.kind == "query" else "")


def body(place: Place, value: Any, examples: dict[tuple[str, str], dict[str, Any]]) -> dict[str, Any]:
    """Return the example with the value in its place."""
    made = dict(examples.get((place.method, place.path), {}))
    if place.kind != "body":
        return made
    if place.path.endswith("create-subscription"):
        made["allow_multiple"] = True
        others = {"price_id": ["lookup_key"], "customer_id": ["email", "customer_reference", "name"]}
        for name in others.get(place.name, ()):
            made.pop(name, None)
    if place.name == "metadata.":
        made["metadata"] = {value: "x"}
    elif place.name == "metadata.x":
        made["metadata"] = {"x": value}
    else:
        made[place.name] = value
    return made


def requests(place: Place, key: str, examples: dict[tuple[str, str], dict[str, Any]], values: Any) -> Iterator[Raw]:
    """Yield a request for each value."""
    for value in values:
        fields: Fields = [(b"Authorization", b"Bearer " + key.encode()), (b"Content-Type", b"application/json")]
        text = value if isinstance(value, str) else ""
        if place.kind == "header":
            hostile = text.encode("utf-8", "surrogatepass").replace(b"\r", b"").replace(b"\n", b"")
            fields = [(name, field) for name, field in fields if name != place.name.encode()]
            fields.append((place.name.encode(), hostile))
        if isinstance(value, bytes):
            content = json.dumps(body(place, "HOLE", examples)).encode().replace(b'"HOLE"', value)
        else:
            content = json.dumps(body(place, value, examples)).encode()
        yield Raw(place.method, target(place, text), fields, b"" if place.method == "GET" else content)


def chosen(place: Place, dice: random.Random) -> list[str | bytes]:
    """Return the values for a place: all for the ids, some for the others."""
    values: list[str | bytes] = [*VALUES, *(RAW_JSON if place.kind == "body" else ())]
    whole = ALL or (place.name in {"price_id", "customer_id", "payment_method_id"} and place.kind == "body")
    return values if whole else dice.sample(values, SAMPLE[place.kind])


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)  # production has no other
@pytest.mark.timeout(1800 if ALL else 300)
async def test_hostile_values_are_4xx_and_reach_stripe_in_known_paths_only(
    database_url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    dice = random.Random(17)
    examples = {
        (method, path): body_of(operation, made)[1]
        for method, path, operation, made in operations()
        if operation.get("requestBody")
    }
    tried, faults, echoes = 0, [], []
    async with production(database_url) as running:
        waiting = asyncio.Semaphore(8)

        async def attempt(place: Place, request: Raw) -> None:
            nonlocal tried
            async with waiting:
                status, answer = await send(running.port, request)
            tried += 1
            if not 200 <= status < 500:
                faults.append((place, status, request.target[:120], request.body[:120], answer[-300:]))
            if any(card.encode() in answer for card in CARDS):
                echoes.append((place, answer[-300:]))

        await asyncio.gather(
            *(
                attempt(place, request)
                for place in places()
                for request in requests(place, running.key, examples, chosen(place, dice))
            )
        )
        assert not faults, (len(faults), faults[:10])
        assert not echoes, (len(echoes), echoes[:10])
        assert tried > 900
        await assert_nothing_went_astray(running)
    written = capfd.readouterr()
    assert not [card for card in CARDS if card in written.out + written.err]


async def assert_nothing_went_astray(running: Production) -> None:
    """Every path at Stripe's is of a known shape, every row is of one object, and no card's number is stored."""
    seen = {path for _, path in running.stack.stripe_calls}
    astray = [path for path in seen if not PATHS_AT_STRIPE.fullmatch(path)]
    assert len(seen) > 5
    assert not astray
    known = {obj["id"] for obj in running.stack.simulator.state.all("customer")}
    assert {row["id"] for row in await running.stack.rows(tables.prices)} <= KNOWN_OBJECTS
    stored = {row["stripe_customer_id"] for row in await running.stack.rows(tables.customers)} - {None}
    assert stored <= known
    for table in tables.metadata.sorted_tables:
        rows = str(await running.stack.rows(table))
        assert not [card for card in CARDS if card in rows], table.name
