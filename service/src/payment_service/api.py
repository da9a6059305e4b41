"""The Litestar application: features' routes, their dependencies, and the mapping of errors to problem documents."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from litestar import Litestar, Request, Response
from litestar.di import Provide
from litestar.exceptions import HTTPException, ValidationException
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import SwaggerRenderPlugin
from litestar.openapi.spec import Contact, License
from litestar.routes import HTTPRoute
from litestar.static_files import create_static_files_router

from payment_service import errors
from payment_service.catalog import routes as catalog
from payment_service.customers import routes as customers
from payment_service.health.service import VERSION
from payment_service.idempotency import admin_routes as operations
from payment_service.idempotency.requests import Caller, read_caller
from payment_service.platform.failures import to_problem
from payment_service.problems import problem_document, problem_headers
from payment_service.reconcile import routes as reconcile
from payment_service.subscriptions import routes as subscriptions
from payment_service.webhooks import admin_routes as inbox

if TYPE_CHECKING:
    from litestar.types import ControllerRouterHandler

    from payment_service.settings import Settings

ASSETS = "/docs/assets"
_SWAGGER_UI = Path(__file__).parent / "static" / "swagger-ui"
_BY_STATUS = {
    400: errors.BadRequest,
    401: errors.Unauthorized,
    403: errors.Forbidden,
    404: errors.NotFound,
    405: errors.MethodNotAllowed,
    413: errors.PayloadTooLarge,
    415: errors.UnsupportedMediaType,
    429: errors.TooManyRequests,
}


def create_api(settings: Settings, *, services: dict[str, object]) -> Litestar:
    """Build the application.

    Args:
        settings: of the process.
        services: by the parameter name under which handlers ask for them.
    """

    async def provide_caller(request: Request[Any, Any, Any]) -> Caller:
        return read_caller(
            request,
            principal=request.scope["principal"],  # type: ignore[typeddict-item] # set by Admission
            livemode=settings.stripe.livemode,
            key_required=settings.http.require_idempotency_key,
        )

    handlers: list[ControllerRouterHandler] = [
        *subscriptions.HANDLERS,
        *customers.HANDLERS,
        *catalog.HANDLERS,
        *inbox.HANDLERS,
        *reconcile.HANDLERS,
        *operations.HANDLERS,
        create_static_files_router(path=ASSETS, directories=[_SWAGGER_UI], include_in_schema=False),
    ]
    return Litestar(
        handlers,
        dependencies={
            "caller": Provide(provide_caller),
            **{name: Provide(_constant(service), sync_to_thread=False) for name, service in services.items()},
        },
        exception_handlers={
            errors.PaymentsError: _payments_error,
            HTTPException: _http_exception,
            Exception: _unexpected,
        },
        openapi_config=_openapi(),
        request_max_body_size=settings.http.max_body_bytes,
        debug=False,
        logging_config=None,
    )


def _constant(service: object) -> Any:
    def provide() -> Any:
        return service

    return provide


def _openapi() -> OpenAPIConfig:
    return OpenAPIConfig(
        title="Lean Payments",
        version=VERSION,
        description="Stripe subscription billing. Errors are RFC 9457 problem documents with a stable `code`.",
        contact=Contact(name="Lean Payments"),
        license=License(name="Apache-2.0", identifier="Apache-2.0"),
        path="/docs",
        render_plugins=[
            SwaggerRenderPlugin(
                js_url=f"{ASSETS}/swagger-ui-bundle.js",
                css_url=f"{ASSETS}/swagger-ui.css",
                standalone_preset_js_url=f"{ASSETS}/swagger-ui-bundle.js",
                favicon='<link rel="icon" href="data:,">',
            )
        ],
    )


def _respond(request: Request[Any, Any, Any], error: errors.PaymentsError) -> Response[Any]:
    document = problem_document(error, request_id=request.scope.get("request_id"))  # type: ignore[arg-type] # a str
    headers = problem_headers(error)
    return Response(document, status_code=error.status, media_type=headers.pop("content-type"), headers=headers)


def _payments_error(request: Request[Any, Any, Any], error: errors.PaymentsError) -> Response[Any]:
    return _respond(request, error)


def _http_exception(request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
    """Map what Litestar itself refuses: unknown routes, methods, query parameters."""
    if isinstance(error, ValidationException):
        listed = [
            {"field": str(item.get("key", "")), "message": str(item.get("message", ""))}
            for item in error.extra or []
            if isinstance(item, dict)
        ]
        return _respond(request, errors.BadRequest("The request has invalid parameters: see errors", errors=listed))
    kind = _BY_STATUS.get(error.status_code)
    if kind is None:
        return _unexpected(request, error)
    mapped = kind()
    if kind is errors.MethodNotAllowed:
        mapped.extra["allow"] = ", ".join(_allowed_methods(request))
    return _respond(request, mapped)


def _allowed_methods(request: Request[Any, Any, Any]) -> list[str]:
    """Return what the path takes: RFC 9110, section 15.5.6 asks for the Allow header."""
    path = request.scope["path"].rstrip("/")
    return sorted(
        method
        for route in request.app.routes
        if isinstance(route, HTTPRoute) and re.fullmatch(re.sub(r"\{[^}]+\}", "[^/]+", route.path_format), path)
        for method in route.methods
    )


def _unexpected(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """Answer 503 or 500; what went wrong goes to the log, not to the caller."""
    return _respond(request, to_problem(error))
