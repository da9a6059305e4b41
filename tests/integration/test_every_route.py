"""Nobody gets in by spelling a path differently: every route of both ports, taken from the ports' own tables."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import cycle
from typing import TYPE_CHECKING, Any

import pytest
from tests.spellings import (
    METHODS,
    Route,
    Sent,
    ask,
    of_admin,
    of_api,
    other_spellings,
    refused_spellings,
)

from payment_service.access.keys import ApiKeys
from payment_service.access.service import Access
from payment_service.bootstrap import create_admin, create_app
from payment_service.config.secrets import Secret
from payment_service.http.drain import DrainState
from payment_service.http.route_access import SCOPES
from payment_service.http.server import Servers, listen
from payment_service.mirror.payment_method import payment_methods
from payment_service.storage.tables import events, operations

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator

    from tests.servers.stack import Stack

pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)

PUBLIC = {
    "GET /docs",
    "GET /docs/assets/{file_path}",
    "GET /docs/oauth2-redirect.html",
    "GET /docs/openapi.json",
    "GET /docs/swagger",
    "GET /docs/{path}",
    "GET /health",
    "GET /health/live",
    "GET /health/ready",
    "GET /metrics",
    "HEAD /docs/assets/{file_path}",
    "HEAD /health",
    "HEAD /health/live",
    "HEAD /health/ready",
    "HEAD /metrics",
    "OPTIONS /docs",
    "OPTIONS /docs/assets/{file_path}",
    "OPTIONS /docs/oauth2-redirect.html",
    "OPTIONS /docs/openapi.json",
    "OPTIONS /docs/swagger",
    "OPTIONS /docs/{path}",
    "POST /api/v1/webhooks/stripe",
}
PUBLIC_ADMIN = {
    "GET /health/live",
    "GET /health/ready",
    "GET /metrics",
    "HEAD /health/live",
    "HEAD /health/ready",
    "HEAD /metrics",
}
REFERENCE = "user-1815"
SINCE = "2010-01-01T00:00:00Z"
QUERIES = {"/api/v1/customers": f"?reference={REFERENCE}"}
"""What a route must be asked with."""
TOKEN = "the-admin-token-0123456789"


@dataclass(frozen=True, kw_only=True)
class Port:
    """One listening port of the service as production runs it."""

    number: int
    routes: list[Route]
    keys: dict[str, str]
    """By scope; `other`: of the strongest scope and the other mode."""
    examples: dict[str, str]

    def path(self, template: str) -> str:
        """A path of the route at which something is; some templates name something of their own by the same word."""
        own = self.examples.get(template)
        return re.sub(r"\{(\w+)\}", lambda found: own or self.examples.get(found[1], "x_1"), template)

    @property
    def templates(self) -> dict[str, dict[str, Route]]:
        """The routes by template and method."""
        found: dict[str, dict[str, Route]] = {}
        for route in self.routes:
            found.setdefault(route.template, {})[route.method] = route
        return found

    def too_weak(self, route: Route | None) -> list[str]:
        """Keys that must not open this."""
        if route is None or route.access.scope is None:
            return [""]
        lower = SCOPES[: SCOPES.index(route.access.scope)]
        return ["", self.keys["other"], *(self.keys[scope] for scope in lower)]


async def _keys(stack: Stack) -> dict[str, str]:
    settings = stack.parts.settings
    live = replace(settings, stripe=replace(settings.stripe, mode="live"))
    here = ApiKeys(settings, stack.parts.database, clock=stack.clock)
    there = ApiKeys(live, stack.parts.database, clock=stack.clock)
    keys: dict[str, str] = {
        scope: (await here.create(scope, scope=scope, days=None, actor="cli:test"))[0] for scope in SCOPES
    }
    return {**keys, "other": (await there.create("live", scope="admin", days=None, actor="cli:test"))[0]}


async def _examples(stack: Stack) -> dict[str, str]:
    """Ids of what is there, so that who gets in would be answered 200."""
    created = (await stack.create(email="ada@example.com", payment_method_id="pm_card_visa")).json()
    assert (await stack.client.post("/api/v1/customers", json={"reference": REFERENCE})).status_code == 201
    setup = (await stack.client.post("/api/v1/setup-intents", json={"customer_reference": REFERENCE})).json()
    method, *_ = await stack.until(lambda: stack.rows(payment_methods))
    event, *_ = await stack.until(lambda: stack.rows(events))
    operation, *_ = await stack.rows(operations)
    told, *_ = await stack.until(lambda: _fed(stack))
    hook = (await stack.client.post("/api/v1/webhook-endpoints", json={"url": "http://127.0.0.1:9/"})).json()
    delivery = (await stack.client.post(f"/api/v1/webhook-endpoints/{hook['id']}/test", json={})).json()
    replay = (await stack.client.post(f"/api/v1/webhook-endpoints/{hook['id']}/replay", json={"since": SINCE})).json()
    return {
        "subscription_id": created["id"],
        "customer_id": created["customer_id"],
        "event_id": event["id"],
        "/api/v1/events/{event_id}": told["id"],
        "operation_id": operation["id"],
        "setup_intent_id": setup["id"],
        "payment_method_id": method["id"],
        "webhook_endpoint_id": hook["id"],
        "webhook_delivery_id": delivery["id"],
        "webhook_replay_id": replay["id"],
        "reference": REFERENCE,
        "file_path": "swagger-ui.css",
    }


async def _fed(stack: Stack) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await stack.client.get("/api/v1/events")).json()["data"]
    return found


@pytest.fixture
async def ports(stack: Stack) -> AsyncIterator[tuple[Port, Port]]:
    """The API port and the admin port of a process that answers for both kinds of processes."""
    examples = await _examples(stack)
    parts = stack.parts
    http = replace(parts.settings.http, admin_token=Secret(TOKEN), address_limit_per_minute=0, key_limit_per_minute=0)
    parts.settings = replace(parts.settings, environment="production", http=http)
    parts.access = Access(parts.settings, parts.database, clock=stack.clock)
    keys = await _keys(stack)
    gate: Any = create_app(parts)
    admin: Any = create_admin(replace(parts, drain=DrainState()), worker=True)
    servers = Servers()
    numbers = []
    for application in (gate, admin):
        listener = listen("127.0.0.1", 0)
        await servers.start(application, listener)
        numbers.append(listener.getsockname()[1])
    yield (
        Port(
            number=numbers[0],
            routes=of_api(gate),
            keys=keys,
            examples=examples,
        ),
        Port(
            number=numbers[1],
            routes=of_admin(admin),
            keys={**keys, "admin": TOKEN, "other": keys["admin"]},
            examples=examples,
        ),
    )
    await servers.stop()


def _requests(port: Port, template: str, targets: Iterable[str]) -> Iterator[Sent]:
    """Each method that does something here with every key that is too weak for it, and the other methods in turn."""
    there = port.templates[template]
    others = cycle(sorted({*METHODS} - {*there} | {"OPTIONS"}))
    for spelling in targets:
        target = spelling if "?" in spelling else spelling + QUERIES.get(template, "")
        for method in {*there} - {"OPTIONS"}:
            for key in port.too_weak(there[method]):
                yield Sent(method=method, target=target, template=template, key=key)
        yield Sent(method=next(others), target=target, template=template)


def _plain_requests(port: Port, template: str, *, version: str) -> Iterator[Sent]:
    """Every method with every key that is too weak for it."""
    there = port.templates[template]
    target = port.path(template) + QUERIES.get(template, "")
    for method in METHODS:
        for key in port.too_weak(there.get(method)):
            yield Sent(method=method, target=target, template=template, key=key, version=version)


async def test_a_path_that_is_not_in_its_plain_form_is_400_on_every_route(ports: tuple[Port, Port]) -> None:
    for port in ports:
        requests = [
            sent
            for template in port.templates
            for sent in _requests(port, template, refused_spellings(port.path(template)))
        ]
        answers = await ask(port.number, requests)
        assert len(answers) > 500
        assert [(sent.plainly(), status) for sent, status, _ in answers if status != 400] == []


async def test_no_other_spelling_of_a_route_lets_anybody_in(ports: tuple[Port, Port]) -> None:
    for port, public in zip(ports, (PUBLIC, PUBLIC_ADMIN), strict=True):
        assert {f"{route.method} {route.template}" for route in port.routes if route.access.scope is None} == public
        requests: list[Sent] = []
        for template in port.templates:
            path = port.path(template)
            for version in ("1.1", "1.0"):
                requests += _plain_requests(port, template, version=version)
            requests += _requests(port, template, other_spellings(path))
        answers = await ask(port.number, requests)
        assert [(sent.plainly(), status) for sent, status, _ in answers if status >= 500] == []
        opened = {f"{sent.method} {sent.template}" for sent, status, _ in answers if status < 400}
        assert opened <= public
        assert "GET /health/live" in opened


async def test_who_may_not_call_is_told_so_before_anything_else_is_looked_at(ports: tuple[Port, Port]) -> None:
    api, _ = ports
    expected = {"": 401, api.keys["other"]: 401, **{api.keys[scope]: 403 for scope in SCOPES if scope != "admin"}}
    requests = [
        Sent(method=route.method, target=f"{api.path(route.template)}?x=%00", template=route.template, key=key)
        for route in api.routes
        if route.access.scope is not None
        for key in api.too_weak(route)
    ]
    answers = await ask(api.number, requests)
    assert {status for _, status, _ in answers} == {401, 403}
    assert [(sent.plainly(), status) for sent, status, _ in answers if status != expected[sent.key]] == []


async def test_the_right_key_opens_every_route_that_is_not_public(ports: tuple[Port, Port]) -> None:
    for port in ports:
        requests = [
            Sent(
                method=route.method,
                target=port.path(route.template) + QUERIES.get(route.template, ""),
                template=route.template,
                key=port.keys["admin"],
            )
            for route in port.routes
            if route.access.scope is not None
        ]
        removing = [sent for sent in requests if sent.method == "DELETE"]  # after all others: what is gone is 404
        answers = await ask(port.number, [sent for sent in requests if sent not in removing])
        for sent, status, body in [*answers, *await ask(port.number, removing)]:
            assert status in {200, 201, 202, 204, 400, 409, 422}, (sent.plainly(), body)
            assert status < 300 or sent.method not in {"GET", "OPTIONS"}, (sent.plainly(), body)
