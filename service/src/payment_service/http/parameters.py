"""Query, path and header values, looked at before any handler: by the declaration of the handler that matched.

A handler need not know of it, so no new parameter gets past. What cannot be read (not UTF-8, control characters) is
400. What nobody declared, what is given twice, what holds a card number and an integer that is not written as one (the
router takes `1e1`, `1.0` and `+1`) is 422 with the parameter's name. Forms and limits of a value are the handler's own
annotation, which `http/id_types.py` has for ids.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal, get_args, get_origin
from urllib.parse import unquote_to_bytes

import msgspec
from litestar.enums import ParamType
from litestar.handlers import HTTPRouteHandler
from litestar.params import ParameterKwarg

from payment_service.errors import BadRequest, Unprocessable
from payment_service.http.card_refusal import refusal
from payment_service.http.wording import in_plain_words, unknown
from payment_service.observability.card_numbers import holds_card_number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from litestar.handlers import BaseRouteHandler
    from litestar.types import ASGIApp, Receive, Scope, Send
    from litestar.typing import FieldDefinition

_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f]")
_INTEGER: Final = re.compile("-?[0-9]+")
_HEADER_CONTROL: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
"""RFC 9110, section 5.5: a field value holds visible characters, spaces and tabs."""
_OURS: Final = {b"idempotency-key": "Idempotency-Key", b"x-request-id": "X-Request-ID"}
"""Headers whose value this service stores or repeats."""


def checking_parameters(app: ASGIApp) -> ASGIApp:
    """Wrap a handler of Litestar's, which sets `route_handler` before."""

    async def checked(scope: Scope, receive: Receive, send: Send) -> None:
        check_parameters(scope)
        await app(scope, receive, send)

    return checked


def check_parameters(scope: Scope) -> None:
    """Check the values of a request whose handler is known.

    Raises:
        BadRequest: a value cannot be read.
        Unprocessable: a parameter is not declared, stands twice, or holds a card number.
    """
    check_headers(scope)
    handler = scope["route_handler"]
    integers = declared_integers(handler)
    for name, value in scope.get("path_params", {}).items():
        _check_value(name, str(value), integer=name in integers)
    if scope["query_string"]:
        described = isinstance(handler, HTTPRouteHandler) and handler.resolve_include_in_schema()
        _check_query(scope["query_string"], declared_query(handler) if described else None, integers)


def check_headers(scope: Scope) -> None:
    """Check the values of all headers.

    Raises:
        BadRequest: a value holds a control character, or a header of which there is one stands twice.
        Unprocessable: a header of ours holds a card number.
    """
    seen: set[bytes] = set()
    for name, value in scope["headers"]:
        if _HEADER_CONTROL.search(value):
            raise _unreadable(name.decode("latin-1"), "holds a control character; remove it")
        if name in _OURS:
            if name in seen:
                raise _unreadable(_OURS[name], "is sent twice; send it once")
            seen.add(name)
            if holds_card_number(value.decode("latin-1")):
                raise refusal(_OURS[name])


@lru_cache(maxsize=256)
def declared_query(handler: BaseRouteHandler) -> tuple[str, ...]:
    """Return the names of the query parameters that a handler and what it depends on declare."""
    return tuple(
        _name(field)
        for field in _fields(handler).values()
        if not field.is_di_field
        and isinstance(field.kwarg_definition, ParameterKwarg)
        and field.kwarg_definition.param_type == ParamType.QUERY
    )


@lru_cache(maxsize=256)
def declared_integers(handler: BaseRouteHandler) -> frozenset[str]:
    """Return the names of the parameters of the query and the path that are integers."""
    return frozenset(_name(field) for field in _fields(handler).values() if int in (field.raw, *_parts(field.raw)))


def _parts(annotation: object) -> Iterator[object]:
    """Yield what an annotation is made of: of `Annotated[int | None, …]` also `int`."""
    for part in get_args(annotation):
        yield part
        yield from _parts(part)


@lru_cache(maxsize=256)
def declared_words(handler: BaseRouteHandler) -> frozenset[str]:
    """Return the names of all parameters and members of the body that a handler declares."""
    body = getattr(handler.parsed_fn_signature.parameters.get("data"), "annotation", None)
    members = body.__struct_fields__ if isinstance(body, type) and issubclass(body, msgspec.Struct) else ()
    return frozenset((*map(_name, _fields(handler).values()), *members, *_OURS.values(), "query", "body"))


def _fields(handler: BaseRouteHandler) -> dict[str, FieldDefinition]:
    """Return the arguments of a handler and of the dependencies that it asks for."""
    own = handler.parsed_fn_signature.parameters
    providers = handler.resolve_dependencies()
    asked = [providers[name].parsed_fn_signature.parameters for name in own if name in providers]
    return dict(own) | {name: field for parameters in asked for name, field in parameters.items()}


def invalid_parameter(handler: BaseRouteHandler, key: str, message: str) -> dict[str, str]:
    """Return what a caller is told of a parameter whose value does not match its annotation.

    Args:
        handler: that matched.
        key: the name of the handler's argument.
        message: the decoder's.
    """
    field = _fields(handler).get(key)
    if field is None:
        return {"field": key, "message": in_plain_words(message)}
    choices = [choice for choice in _choices(field.raw) if isinstance(choice, str)]
    told = f"Expected one of {', '.join(choices)}" if choices else in_plain_words(message)
    return {"field": _name(field), "message": told.removesuffix(", got string")}


def _name(field: FieldDefinition) -> str:
    declaration = field.kwarg_definition
    return (declaration.name if isinstance(declaration, ParameterKwarg) else None) or field.name


def _choices(annotation: object) -> Iterator[object]:
    """Yield the values of a Literal, wherever it stands in the annotation."""
    for part in get_args(annotation):
        if get_origin(annotation) is Literal:
            yield part
        else:
            yield from _choices(part)


def _check_query(query: bytes, declared: tuple[str, ...] | None, integers: frozenset[str]) -> None:
    """Check the query; None: of a page, whose address may carry anything."""
    seen: set[str] = set()
    for name, value in _pairs(query):
        if declared is None:
            _check_value(_shown(name), value)
            continue
        if holds_card_number(name):
            raise refusal("query")
        if name not in declared:
            raise _invalid(_shown(name), _unknown(name, declared))
        if name in seen:
            raise _invalid(name, "is given twice; give it once")
        seen.add(name)
        _check_value(name, value, integer=name in integers)


def _pairs(query: bytes) -> Iterator[tuple[str, str]]:
    """Yield names and values as the router will read them (url.spec.whatwg.org/#urlencoded-parsing)."""
    for pair in query.split(b"&"):
        if not pair:
            continue
        raw_name, _, raw_value = pair.replace(b"+", b" ").partition(b"=")
        name = _decode(raw_name, field="query")
        yield name, _decode(raw_value, field=_shown(name))


def _decode(raw: bytes, *, field: str) -> str:
    try:
        return unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        raise _unreadable(field, "is not UTF-8 when it is decoded; encode it as UTF-8") from None


def _check_value(name: str, value: str, *, integer: bool = False) -> None:
    if _CONTROL.search(value):
        raise _unreadable(name, "holds a control character; remove it")
    if holds_card_number(value):
        raise refusal(name)
    if integer and not _INTEGER.fullmatch(value):
        raise _invalid(name, "Expected integer in digits")


def _unknown(name: str, declared: tuple[str, ...]) -> str:
    return unknown("parameter", name, declared) if declared else "unknown parameter; this route takes none"


def _shown(name: str) -> str:
    """Return a name as it may be repeated to who sent it."""
    return "query" if _CONTROL.search(name) or holds_card_number(name) else name[:64]


def _unreadable(field: str, message: str) -> BadRequest:
    return BadRequest(f"{field}: {message}", errors=[{"field": field, "message": message}])


def _invalid(field: str, message: str) -> Unprocessable:
    return Unprocessable(f"{field}: {message}", errors=[{"field": field, "message": message}])
