"""A route declares who may call it, and what counts what it begins, or the process does not start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from litestar import Litestar, Router, asgi, delete, get, patch, post, put, websocket
from tests.spellings import of_admin, of_api

from payment_service.access.schemas import ApiKey
from payment_service.bootstrap import build, create_admin, create_app
from payment_service.clock import Clock
from payment_service.config.settings import Settings
from payment_service.customers import routes as customers
from payment_service.events.routes import SIGNED
from payment_service.http.route_access import (
    ADMIN,
    CHANGES_NOTHING,
    CREATES_NOTHING,
    OPT,
    READ,
    SCOPES,
    WRITE,
    Access,
    PlainRoute,
    PlainRoutes,
    UndeclaredRoute,
    check_declared,
    declared,
    public,
)
from payment_service.refunds import routes as refunds
from payment_service.subscriptions import routes as subscriptions

if TYPE_CHECKING:
    from litestar import WebSocket
    from litestar.types import Receive, Scope, Send

    from payment_service.http.route_access import Scope as KeyScope

OPEN = public("a test", audience="browsers")


@get("/silent")
async def silent() -> None:
    """Say nothing of who may call."""


@get("/read", access=READ)
async def reading() -> None:
    """Declare."""


@post("/read", access=ADMIN.uncounted("a test"))
async def changing() -> None:
    """Declare more."""


@post("/begun", access=WRITE)
async def beginning() -> None:
    """Say nothing of what counts that."""


@post("/begun", access=WRITE.counted("create").uncounted("a test"))
async def undecided() -> None:
    """Say both."""


@websocket("/socket", access=READ)
async def connecting(socket: WebSocket[Any, Any, Any]) -> None:
    """Be what no admission stands before."""
    await socket.close()


@asgi("/mounted", access=READ, copy_scope=True)
async def mounted(scope: Scope, receive: Receive, send: Send) -> None:
    """Take every method."""


def app(*handlers: Any) -> Litestar:
    return Litestar(handlers, openapi_config=None)


async def answer(_scope: Any, _receive: Any, _send: Any) -> None:
    """Answer nothing."""


@pytest.mark.parametrize("handler", [silent, connecting, mounted])
def test_a_route_without_a_usable_declaration_is_named(handler: Any) -> None:
    (path,) = handler.paths
    with pytest.raises(UndeclaredRoute, match=path):
        check_declared(app(reading, handler))


def test_an_application_with_a_handler_that_declares_nothing_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = build(Settings.from_env({"DATABASE_URL": "sqlite:///never-opened.sqlite3"}), clock=Clock())
    create_app(parts)
    monkeypatch.setattr(subscriptions, "HANDLERS", [*subscriptions.HANDLERS, silent])
    with pytest.raises(UndeclaredRoute, match="GET /silent"):
        create_app(parts)


@pytest.mark.parametrize("handler", [beginning, undecided])
def test_a_route_that_changes_something_says_what_counts_it_or_why_nothing_does(handler: Any) -> None:
    with pytest.raises(UndeclaredRoute, match="POST /begun: say which limit counts"):
        check_declared(app(reading, handler))


@pytest.mark.parametrize("method", [put, patch, delete])
def test_so_does_one_of_any_method_that_changes_something(method: Any) -> None:
    async def changed() -> None:
        """Say nothing of what counts that."""

    with pytest.raises(UndeclaredRoute, match="say which limit counts"):
        check_declared(app(method("/changed", access=WRITE, status_code=200)(changed)))


def test_so_does_a_plain_route() -> None:
    route = PlainRoute(path="/plain", methods=("GET", "PUT"), answer=answer, access=ADMIN)
    with pytest.raises(UndeclaredRoute, match="PUT /plain: say which limit counts"):
        PlainRoutes([route], guard=lambda given, _: given)


def test_every_route_that_begins_something_at_stripe_is_counted_and_the_others_say_why_not() -> None:
    parts = build(Settings.from_env({"DATABASE_URL": "sqlite:///never-opened.sqlite3"}), clock=Clock())
    routes = [*of_api(create_app(parts)), *of_admin(create_admin(parts, worker=True))]
    changing = [route for route in routes if route.method not in {"GET", "HEAD", "OPTIONS"}]
    limits = {f"{route.method} {route.template}": route.access.limit or route.access.no_limit for route in changing}
    assert limits == {
        "POST /api/v1/payments/create-subscription": "create",
        "POST /api/v1/setup-intents": "setup_intent",
        "PATCH /api/v1/subscriptions/{subscription_id}": "change",
        **dict.fromkeys(
            [
                "POST /api/v1/subscriptions/preview",
                "POST /api/v1/subscriptions/{subscription_id}/preview",
                "POST /api/v1/subscriptions/{subscription_id}/cancel/preview",
            ],
            CHANGES_NOTHING,
        ),
        "POST /api/v1/customers": customers.NO_LIMIT,
        "POST /api/v1/refunds": refunds.NO_LIMIT,
        "POST /api/v1/webhooks/stripe": SIGNED.no_limit,
        **dict.fromkeys(
            [
                "POST /api/v1/subscriptions/{subscription_id}/cancel",
                "POST /api/v1/payment-methods/{payment_method_id}/set-default",
                "POST /api/v1/payment-methods/{payment_method_id}/detach",
                "POST /api/v1/webhook-endpoints",
                "PATCH /api/v1/webhook-endpoints/{webhook_endpoint_id}",
                "DELETE /api/v1/webhook-endpoints/{webhook_endpoint_id}",
                "POST /api/v1/webhook-endpoints/{webhook_endpoint_id}/rotate-secret",
                "POST /api/v1/webhook-endpoints/{webhook_endpoint_id}/test",
                "POST /api/v1/webhook-deliveries/{webhook_delivery_id}/retry",
                "POST /api/v1/webhook-deliveries/{webhook_delivery_id}/skip",
                "POST /api/v1/webhook-endpoints/{webhook_endpoint_id}/replay",
                "POST /api/v1/webhook-replays/{webhook_replay_id}/cancel",
                "POST /api/v1/admin/inbox/replay",
                "POST /api/v1/admin/inbox/{event_id}/discard",
                "POST /api/v1/admin/inbox/{event_id}/restore",
                "POST /api/v1/admin/inbox/{event_id}/retry",
                "POST /api/v1/admin/reconcile",
                "PUT /drain",
                "PUT /worker",
            ],
            CREATES_NOTHING,
        ),
    }


def test_who_may_call_a_method_may_ask_for_the_methods() -> None:
    api = app(reading, changing)
    check_declared(api)
    (route,) = api.routes
    options = route.route_handler_map["OPTIONS"][0]  # type: ignore[union-attr]
    assert declared(options) == READ


def test_a_router_may_declare_for_its_handlers() -> None:
    api = app(Router("/pages", route_handlers=[silent], opt={OPT: OPEN}))
    check_declared(api)
    (route,) = api.routes
    assert {declared(handler) for handler in route.route_handlers} == {OPEN}  # type: ignore[union-attr]


def test_a_plain_route_without_a_declaration_is_named() -> None:
    route = PlainRoute(path="/plain", methods=("GET",), answer=answer, access=None)  # type: ignore[arg-type]
    with pytest.raises(UndeclaredRoute, match="GET /plain"):
        PlainRoutes([route], guard=lambda given, _: given)


def test_a_plain_route_that_is_not_public_is_guarded() -> None:
    guarded: list[Access] = []

    def guard(given: Any, access: Access) -> Any:
        guarded.append(access)
        return given

    routes = [PlainRoute(path=f"/{n}", methods=("GET",), answer=answer, access=a) for n, a in enumerate([WRITE, OPEN])]
    PlainRoutes(routes, guard=guard)
    assert guarded == [WRITE]


def test_public_needs_a_reason() -> None:
    with pytest.raises(ValueError, match="why"):
        public("", audience="clients")


def a_key(scope: Any) -> ApiKey:
    now = Clock().now()
    return ApiKey(
        id="lpk_1",
        principal="p",
        prefix="lp_",
        scope=scope,
        livemode=False,
        expires_at=None,
        revoked_at=None,
        last_used_at=None,
        created_at=now,
    )


@pytest.mark.parametrize("scope", SCOPES)
def test_a_scope_includes_those_before_it(scope: KeyScope) -> None:
    key = a_key(scope)
    assert [needed for needed in SCOPES if key.allows(needed)] == list(SCOPES[: SCOPES.index(scope) + 1])


@pytest.mark.parametrize("scope", ["root", "Admin", "", "read,write"])
def test_a_scope_that_nobody_knows_allows_nothing(scope: str) -> None:
    assert not any(a_key(scope).allows(needed) for needed in SCOPES)
