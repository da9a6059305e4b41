"""Completes the OpenAPI document: types as they are validated, errors by code, headers, and who may call what.

Litestar knows the routes and their parameters. Of the types it knows less than msgspec, which decodes them, so those
are msgspec's own schemas. What neither can know stands here: fields' docstrings, codes of errors, headers, keys.

Two deviations from what is validated help the generators of clients. A member of a request that may be left out has no
`default`, for the common generators make such a member required (openapi-typescript: `--default-non-nullable`); its
description names it. A parameter is never `null`: a URL cannot say that.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import re
import textwrap
from datetime import datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, get_args

import msgspec
from litestar.openapi.plugins import JsonRenderPlugin, SwaggerRenderPlugin
from litestar.routes import HTTPRoute
from litestar.types import Empty

from payment_service.errors import PaymentsError
from payment_service.http.openapi import Problem
from payment_service.http.problems import CONTENT_TYPE
from payment_service.http.route_access import declared

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from litestar import Litestar, Request
    from litestar.datastructures import State
    from litestar.handlers import HTTPRouteHandler

_REFERENCE: Final = "#/components/{kind}/{name}"
_SECURITY: Final = "api_key"
_SECURITY_SCHEME: Final = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "lp_…",
    "description": "An API key of this service (`payments keys create`), never Stripe's. Its scope is "
    "`events:read`, `read`, `endpoints:write`, `write` or `admin`; each includes the ones before it. Keys are not "
    "tenants: each reaches every customer. In development the server may run without keys.",
}
_TAGS: Final = {
    "subscriptions": "What customers are subscribed to, as last heard from Stripe.",
    "payment methods": "What customers have saved to pay with, and how they save it.",
    "refunds": "Money of a payment that goes back to who paid.",
    "customers": "Whom subscriptions are for, by our id, Stripe's id or your own reference.",
    "webhook endpoints": "Whom events are sent to, and how that goes.",
    "events": "What has changed, in one order without gaps.",
    "catalogue": "Prices of Stripe's catalogue that can be ordered.",
    "administration": "For operators: events received from Stripe, operations, and reconciliation with Stripe.",
}
_HEADERS: Final[dict[str, tuple[str, dict[str, object]]]] = {
    "X-Request-ID": ("Of this request, also in the server's log lines.", {"type": "string"}),
    "RateLimit-Policy": (
        "The limit with the least left: name, quota `q`, window `w` in s (draft-ietf-httpapi-ratelimit-headers).",
        {"type": "string", "examples": ['"key";q=600;w=60']},
    ),
    "RateLimit": (
        "What is left of it: requests `r`, and seconds `t` until there are more.",
        {"type": "string", "examples": ['"key";r=599;t=1']},
    ),
    "Retry-After": (
        "Seconds after which trying again makes sense (RFC 9110, section 10.2.3).",
        {"type": "integer", "minimum": 1},
    ),
    "Idempotent-Replayed": (
        "`true`: the answer of an earlier request with this Idempotency-Key, given again.",
        {"const": "true"},
    ),
    "WWW-Authenticate": ("`Bearer` (RFC 9110, section 11.6.1).", {"const": "Bearer"}),
}
WEBHOOKS: Final = "webhooks"
"""In the application's state: what it tells others unasked, by the type of event."""
TOLD_MODELS: Final = "told_models"
"""In the same: the types that these hold."""
_LATER: Final = frozenset({429, 502, 503, 504})
"""Statuses whose answers may say when to try again; 409 does while another request runs."""


def completed(drawn: dict[str, object], *, api: Litestar) -> dict[str, object]:
    """Return the document that people and generators get.

    Args:
        drawn: Litestar's own document.
        api: the application that it describes.
    """
    described: dict[str, Any] = msgspec.to_builtins(drawn)
    answers = {int(code) for path in described["paths"].values() for of in path.values() for code in of["responses"]}
    refusals = sorted(status for status in answers if status >= HTTPStatus.BAD_REQUEST)
    components = {
        "schemas": _schemas(api, api.state.get(TOLD_MODELS, ())),
        "responses": {_answer_name(status): _problem_answer(status) for status in refusals},
        "headers": {name: {"description": text, "schema": schema} for name, (text, schema) in _HEADERS.items()},
        "securitySchemes": {_SECURITY: _SECURITY_SCHEME},
    }
    handlers = {handler.operation_id: handler for handler in _handlers(api)}
    for path in described["paths"].values():
        for operation in path.values():
            handler = handlers[operation["operationId"]]
            access = declared(handler)
            assert access is not None, operation
            operation["security"] = [{_SECURITY: [access.scope]}] if access.scope else []
            _complete_operation(operation)
            if "requestBody" in operation:
                body = handler.parsed_data_field
                operation["requestBody"]["required"] = body is not None and body.default is Empty
    tags = [{"name": name, "description": text} for name, text in _TAGS.items()]
    webhooks = {"webhooks": api.state.get(WEBHOOKS, {})}
    return described | webhooks | {"components": components, "tags": tags}


def _handlers(api: Litestar) -> Iterator[HTTPRouteHandler]:
    """Yield the handlers that the document describes."""
    for route in api.routes:
        for handler in route.route_handlers if isinstance(route, HTTPRoute) else ():
            if handler.operation_id:
                yield handler


def _schemas(api: Litestar, told: Iterable[type[msgspec.Struct]]) -> dict[str, Any]:
    """Return msgspec's schemas of all types on the wire, with the docstrings of their fields."""
    models = {model.__name__: model for known in told for model in _models(known)}
    asked: set[str] = set()
    for handler in _handlers(api):
        asked |= {model.__name__ for model in _models(getattr(handler.parsed_data_field, "annotation", None))}
        fields = [field for field in (handler.parsed_data_field, handler.parsed_return_field) if field is not None]
        answers = [answer.data_container for answer in (handler.responses or {}).values()]
        for annotation in [*(field.annotation for field in fields), *answers]:
            models |= {model.__name__: model for model in _models(annotation)}
    _, schemas = msgspec.json.schema_components(
        models.values(), ref_template=_REFERENCE.format(kind="schemas", name="{name}")
    )
    for name, model in models.items():
        texts = _field_docs(model)
        types = {field.encode_name: field.type for field in msgspec.structs.fields(model)}
        for field, schema in schemas[name]["properties"].items():
            schemas[name]["properties"][field] = _described(_timestamp(schema, types[field]), texts.get(field, ""))
        if name not in asked | {Problem.__name__}:  # an answer says all of its members, whatever their defaults
            schemas[name]["required"] = list(types)
    codes = {error.code: error.status for error in _errors()}
    schemas["Problem"]["properties"]["status"]["enum"] = sorted(set(codes.values()))
    schemas["Problem"]["properties"]["code"]["enum"] = sorted(codes)
    return schemas


def _models(annotation: object) -> Iterator[type[msgspec.Struct]]:
    """Yield the structs in an annotation, and in their fields."""
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        yield annotation
        for field in msgspec.structs.fields(annotation):
            yield from _models(field.type)
    for part in get_args(annotation):
        yield from _models(part)


def _timestamp(schema: dict[str, Any], annotation: Any) -> dict[str, Any]:
    """Return a member's schema with the format of moments, which msgspec gives only to those that it checks for one."""
    if annotation is datetime:
        return schema | {"format": "date-time"}
    if datetime in get_args(annotation) and "anyOf" in schema:
        kinds = [kind | {"format": "date-time"} if kind == {"type": "string"} else kind for kind in schema["anyOf"]]
        return schema | {"anyOf": kinds}
    return schema


def _field_docs(model: type) -> dict[str, str]:
    """Return the docstrings below a class's fields, in one line each; Python keeps them in the source alone."""
    inherited = [_field_docs(base) for base in model.__bases__ if base not in {object, msgspec.Struct}]
    found = {name: text for texts in inherited for name, text in texts.items()}
    (drawn,) = ast.parse(textwrap.dedent(inspect.getsource(model))).body
    assert isinstance(drawn, ast.ClassDef)
    for field, text in itertools.pairwise(drawn.body):
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
            assert isinstance(field.target, ast.Name)
            found[field.target.id] = re.sub(r"\s+", " ", str(text.value.value)).strip()
    return found


def _described(schema: dict[str, Any], text: str) -> dict[str, Any]:
    """Return a member's schema with its docstring, and its default said in words."""
    default = schema.pop("default", None)
    said = f" Default: `{msgspec.json.encode(default).decode()}`." if default not in (None, {}, []) else ""
    return schema | {"description": (text or schema.get("description", "")) + said}


def _errors(kind: type[PaymentsError] = PaymentsError) -> Iterator[type[PaymentsError]]:
    """Yield the error tree."""
    yield kind
    for below in kind.__subclasses__():
        yield from _errors(below)


def _answer_name(status: int) -> str:
    return re.sub(r"\W", "", HTTPStatus(status).phrase.title())


def _problem_answer(status: int) -> dict[str, object]:
    """Return the answer for one status: its codes, and its headers."""
    kinds = sorted((error for error in _errors() if error.status == status), key=lambda error: error.code)
    codes = list(dict.fromkeys(error.code for error in kinds))
    meanings = "; ".join(f"`{error.code}`: {error.title[0].lower()}{error.title[1:]}" for error in kinds)
    own = {"type": "object", "properties": {"status": {"const": status}, "code": {"enum": codes}}}
    later = {"Retry-After"} if status in _LATER or status == HTTPStatus.CONFLICT else set()
    challenge = {"WWW-Authenticate"} if status == HTTPStatus.UNAUTHORIZED else set()
    return {
        "description": f"{HTTPStatus(status).phrase}. {meanings}.",
        "headers": _references({"X-Request-ID", "RateLimit-Policy", "RateLimit"} | later | challenge),
        "content": {CONTENT_TYPE: {"schema": {"allOf": [_reference("schemas", Problem.__name__), own]}}},
    }


def _reference(kind: str, name: str) -> dict[str, str]:
    return {"$ref": _REFERENCE.format(kind=kind, name=name)}


def _references(headers: set[str]) -> dict[str, object]:
    return {name: _reference("headers", name) for name in _HEADERS if name in headers}


def _complete_operation(operation: dict[str, Any]) -> None:
    operation.pop("deprecated")
    mutating = False
    for parameter in operation.get("parameters", ()):
        mutating = mutating or parameter["name"] == "Idempotency-Key"
        parameter.pop("deprecated")
        parameter["schema"] = _parameter_schema(parameter["schema"])
    for content in operation.get("requestBody", {}).get("content", {}).values():
        schema = content["schema"]
        if "allOf" in schema:
            content["schema"] = schema["allOf"][0]
            content["examples"] = {
                f"example-{number}": {"value": value} for number, value in enumerate(schema["examples"], 1)
            }
    for status, answer in operation["responses"].items():
        if int(status) >= HTTPStatus.BAD_REQUEST:
            operation["responses"][status] = _reference("responses", _answer_name(int(status)))
        else:
            replayed = {"Idempotent-Replayed"} if mutating else set()
            answer["headers"] = _references({"X-Request-ID", "RateLimit-Policy", "RateLimit"} | replayed)


def _parameter_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a parameter's schema without null, and without what stands on the parameter itself."""
    kinds: list[dict[str, Any]] = [kind for kind in schema.get("oneOf", ()) if kind.get("type") != "null"]
    alone = {name: value for name, value in schema.items() if name not in {"description", "examples", "oneOf"}}
    if len(kinds) == 1:
        return alone | kinds[0]
    return alone | ({"oneOf": kinds} if kinds else {})


class DocumentPage(SwaggerRenderPlugin):
    """The document as a page to try things out; drawn once, for strangers ask for it too."""

    _drawn: bytes | None = None

    def render(self, request: Request[object, object, State], openapi_schema: dict[str, object]) -> bytes:
        """Render the completed document."""
        if self._drawn is None:
            self._drawn = super().render(request, completed(openapi_schema, api=request.app))
        return self._drawn


class DocumentFile(JsonRenderPlugin):
    """The document itself, for generators of clients; drawn once, as the page."""

    _drawn: bytes | None = None

    def render(self, request: Request[object, object, State], openapi_schema: dict[str, object]) -> bytes:
        """Render the completed document."""
        if self._drawn is None:
            self._drawn = super().render(request, completed(openapi_schema, api=request.app))
        return self._drawn
