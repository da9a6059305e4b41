"""The Litestar application: features' routes, their dependencies, and the mapping of errors to problem documents."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from litestar import Litestar, Request, Response, Router
from litestar.datastructures import State
from litestar.di import Provide
from litestar.exceptions import HTTPException, ValidationException
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.spec import Contact, License
from litestar.response.file import async_file_iterator
from litestar.routes import HTTPRoute
from litestar.static_files import create_static_files_router

from payment_service import errors
from payment_service.catalog import routes as catalog
from payment_service.customers import routes as customers
from payment_service.document import TOLD_MODELS, WEBHOOKS, DocumentFile, DocumentPage
from payment_service.endpoints import delivery_routes, replay_routes
from payment_service.endpoints import routes as webhook_endpoints
from payment_service.events import admin_routes as inbox
from payment_service.feed import routes as feed
from payment_service.feed.document import models, webhooks
from payment_service.health.service import VERSION
from payment_service.http.failures import to_problem
from payment_service.http.paging import provide_page
from payment_service.http.parameters import checking_parameters, invalid_parameter
from payment_service.http.problems import problem_document, problem_headers
from payment_service.http.route_access import OPT, check_declared, public
from payment_service.http.scope import noted
from payment_service.operations import admin_routes as operations
from payment_service.operations.requests import Caller, read_caller
from payment_service.payment_methods import routes as payment_methods
from payment_service.reconcile import routes as reconcile
from payment_service.refunds import routes as refunds
from payment_service.stripe_api.reads import Asker  # noqa: TC001 - Litestar reads the provider's annotation
from payment_service.subscriptions import change_routes as subscription_changes
from payment_service.subscriptions import routes as subscriptions

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from litestar.types import ASGIApp, ControllerRouterHandler, Receive, Scope, Send

    from payment_service.config.settings import Settings

ASSETS = "/docs/assets"
FILE_PART_BYTES = 32_768
DOCS = public("the reference is the same for everybody and holds nothing of anybody", audience="browsers")
_SWAGGER_UI = Path(__file__).parent / "static" / "swagger-ui"
_DESCRIPTION = """Stripe subscription billing that runs in your own cluster.

**Keys.** `Authorization: Bearer lp_…` with every request.
**Trying again.** Send an `Idempotency-Key` with every mutating request: the same key and body get the same answer, and
nothing is done or charged twice.
**Errors** are RFC 9457 problem documents; `code` is stable, programs decide by it.
**Lists** are newest first, in pages: give the last id of a page as `starting_after`.
**Amounts** are integers in the currency's minor unit, **times** RFC 3339 in UTC.
"""
_BY_STATUS = {
    400: errors.BadRequest,
    401: errors.Unauthorized,
    403: errors.Forbidden,
    404: errors.RouteNotFound,
    405: errors.MethodNotAllowed,
    413: errors.PayloadTooLarge,
    415: errors.UnsupportedMediaType,
    429: errors.TooManyRequests,
}


def create_api(settings: Settings, *, services: dict[str, object], admission: Callable[[ASGIApp], ASGIApp]) -> Litestar:
    """Build the application.

    Args:
        settings: of the process.
        services: by the parameter name under which handlers ask for them.
        admission: wraps each handler in what lets its callers in.

    Raises:
        UndeclaredRoute: a route does not say who may call it, or not what counts that it changes something.
    """

    async def provide_caller(request: Request[object, object, State]) -> Caller:
        principal: str | None = request.scope.get("principal")  # type: ignore[assignment] # set by admission
        if principal is None:
            raise errors.Unauthorized
        return read_caller(
            request,
            principal=principal,
            livemode=settings.stripe.livemode,
            key_required=settings.http.require_idempotency_key,
        )

    async def provide_asker(request: Request[object, object, State]) -> Asker:
        return (await provide_caller(request)).asker

    methods: dict[str, Collection[str]] = {}
    api = Litestar(
        _handlers(),
        dependencies={
            "caller": Provide(provide_caller),
            "asker": Provide(provide_asker),
            "page": Provide(provide_page, sync_to_thread=False),
            **{name: Provide(_constant(service), sync_to_thread=False) for name, service in services.items()},
        },
        exception_handlers={
            errors.PaymentsError: _payments_error,
            HTTPException: _http_exception,
            Exception: _unexpected,
        },
        openapi_config=_openapi(),
        state=State({WEBHOOKS: webhooks(), TOLD_MODELS: models()}),
        middleware=[admission, checking_parameters, partial(_telling_methods, methods)],
        request_max_body_size=settings.http.max_body_bytes,
        debug=False,
        logging_config=None,
    )
    check_declared(api)
    methods.update({route.path_format: route.methods for route in api.routes if isinstance(route, HTTPRoute)})
    return api


def _handlers() -> list[ControllerRouterHandler]:
    """Return every feature's, and the static files of the API's page."""
    return [
        *subscriptions.HANDLERS,
        *subscription_changes.HANDLERS,
        *customers.HANDLERS,
        *payment_methods.HANDLERS,
        *refunds.HANDLERS,
        *catalog.HANDLERS,
        *feed.HANDLERS,
        *webhook_endpoints.HANDLERS,
        *delivery_routes.HANDLERS,
        *replay_routes.HANDLERS,
        *inbox.HANDLERS,
        *reconcile.HANDLERS,
        *operations.HANDLERS,
        create_static_files_router(
            path=ASSETS,
            directories=[_SWAGGER_UI],
            include_in_schema=False,
            opt={OPT: DOCS},
            after_request=_in_small_parts,
        ),
    ]


def _in_small_parts(response: Any) -> Any:
    """Have a file of more than a megabyte sent as it is taken: such parts for each of a crowd would fill a pod."""
    path, adapter = response.file_path, response.adapter
    response.iterator = async_file_iterator(file_path=path, chunk_size=FILE_PART_BYTES, adapter=adapter)
    return response


def _telling_methods(methods: Mapping[str, Collection[str]], app: ASGIApp) -> ASGIApp:
    """Answer OPTIONS: Litestar's own answer knows the first handler of a path only (RFC 9110, section 9.3.7)."""

    async def telling(scope: Scope, receive: Receive, send: Send) -> None:
        allowed = methods.get(scope["path_template"])
        if noted(scope)["method"] != "OPTIONS" or allowed is None:
            await app(scope, receive, send)
            return
        headers = [(b"allow", ", ".join(sorted(allowed)).encode())]
        await send({"type": "http.response.start", "status": 204, "headers": headers})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    return telling


def _constant(service: object) -> Any:
    def provide() -> Any:
        return service

    return provide


def _openapi() -> OpenAPIConfig:
    return OpenAPIConfig(
        title="Lean Payments",
        version=VERSION,
        description=_DESCRIPTION,
        use_handler_docstrings=True,
        contact=Contact(name="Lean Payments"),
        license=License(name="Apache-2.0", identifier="Apache-2.0"),
        openapi_router=Router("/docs", route_handlers=[], include_in_schema=False, opt={OPT: DOCS}),
        render_plugins=[
            DocumentPage(
                js_url=f"{ASSETS}/swagger-ui-bundle.js",
                css_url=f"{ASSETS}/swagger-ui.css",
                standalone_preset_js_url=f"{ASSETS}/swagger-ui-bundle.js",
                favicon='<link rel="icon" href="data:,">',
            ),
            DocumentFile(),
        ],
    )


def _respond(request: Request[object, object, State], error: errors.PaymentsError) -> Response[object]:
    document = problem_document(error, request_id=request.scope.get("request_id"))  # type: ignore[arg-type] # a str
    headers = problem_headers(error)
    return Response(document, status_code=error.status, media_type=headers.pop("content-type"), headers=headers)


def _payments_error(request: Request[object, object, State], error: errors.PaymentsError) -> Response[object]:
    return _respond(request, error)


def _http_exception(request: Request[object, object, State], error: HTTPException) -> Response[object]:
    """Map what Litestar itself refuses: unknown routes, methods, query parameters."""
    if isinstance(error, ValidationException):
        return _respond(request, _invalid(request, error))
    kind = _BY_STATUS.get(error.status_code)
    if kind is None:
        return _unexpected(request, error)
    mapped = kind()
    if kind is errors.MethodNotAllowed and error.headers:
        mapped.extra["allow"] = ", ".join(sorted(error.headers["allow"].split(", ")))
    return _respond(request, mapped)


def _invalid(request: Request[object, object, State], error: ValidationException) -> errors.PaymentsError:
    """Return what a caller is told of values that do not match; a bad header is 400, as its specification asks."""
    items = [item for item in error.extra or [] if isinstance(item, dict)]
    if any(item.get("key") == "data" for item in items):
        return errors.BadRequest("The body must be a JSON object")
    if isinstance(error.__cause__, KeyError):  # Litestar's look-up of a required parameter
        name = str(error.__cause__.args[0])
        return errors.Unprocessable(f"{name}: required", errors=[{"field": name, "message": "required"}])
    listed = [
        invalid_parameter(request.route_handler, str(item.get("key", "")), str(item.get("message", "")))
        for item in items
    ]
    kind = errors.BadRequest if any(item.get("source") == "header" for item in items) else errors.Unprocessable
    return kind("The request has invalid parameters: see errors", errors=listed)


def _unexpected(request: Request[object, object, State], error: Exception) -> Response[object]:
    """Answer 503 or 500; what went wrong goes to the log, not to the caller."""
    return _respond(request, to_problem(error))
