"""JSON bodies: decoded strictly, and refused with every bad field at once.

Litestar and msgspec stop at the first problem; a person who corrects a request wants all of them. So each field is
converted by itself. `JsonBody` plugs this into Litestar as a DTO, which also keeps the model in the OpenAPI document.

Before any model is asked, every text in the body is looked at, names of members included: U+0000, which PostgreSQL
cannot store, is 400, a card's number 422. So a new field need not know of either.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec
from litestar.dto import AbstractDTO
from litestar.openapi.spec import Reference

from payment_service.errors import BadRequest, Unprocessable, UnsupportedMediaType
from payment_service.http.card_refusal import refusal as card_refusal
from payment_service.http.strict_json import Limits, NotStrictJson, decode
from payment_service.http.wording import in_plain_words, unknown
from payment_service.observability.card_numbers import holds_card_number

if TYPE_CHECKING:
    from collections.abc import Generator

    from litestar._openapi.schema_generation import SchemaCreator
    from litestar.dto.data_structures import DTOFieldDefinition
    from litestar.openapi.spec import Schema
    from litestar.typing import FieldDefinition

ModelT = TypeVar("ModelT", bound=msgspec.Struct)
LIMITS: Final = Limits(depth=16, members=2_000, unique_members=True, small_integers=True)
_SHOWN: Final = 64
_MOST_UNKNOWN: Final = 50
"""As many names that nobody declared are told: to find what each may mean takes a while."""
_NUL: Final = "\x00"
_NO_NUL: Final = "holds the character U+0000, which cannot be stored"
_TWICE: Final = "stands twice in the body; send it once"


def decode_body(raw: bytes, model: type[ModelT]) -> ModelT:
    """Decode a JSON object into `model`.

    Raises:
        BadRequest: it is not JSON, beyond a limit, says a member twice, holds U+0000, or is no object.
        CardNumberRefused: a text holds a card number.
        Unprocessable: fields are missing, unknown or invalid; `errors` lists each with the reason.
    """
    try:
        content = decode(raw, limits=LIMITS) if raw else None
    except NotStrictJson as error:
        raise _unreadable(error) from error
    check_texts(content)
    if not isinstance(content, dict):
        raise BadRequest("The body must be a JSON object")
    try:
        return msgspec.convert(content, model)
    except (msgspec.ValidationError, OverflowError):
        errors = field_errors(content, model)
        raise Unprocessable("The request has invalid fields: see errors", errors=errors) from None


def check_texts(content: object, *, field: str = "") -> None:
    """Look at every text in a body, down to `LIMITS.depth`.

    Raises:
        BadRequest: one holds U+0000.
        CardNumberRefused: one holds a card number.
    """
    if isinstance(content, str):
        if _NUL in content:
            raise BadRequest(f"{field or 'body'}: {_NO_NUL}", errors=_listed(field, _NO_NUL))
        if holds_card_number(content):
            raise card_refusal(field or "body")
    elif isinstance(content, dict):
        for name, value in content.items():
            check_texts(name, field=field)
            shown = name[:_SHOWN]  # a long name before thousands of others would be copied as often
            check_texts(value, field=f"{field}.{shown}" if field else shown)
    elif isinstance(content, list):
        for value in content:
            check_texts(value, field=field)


def _unreadable(error: NotStrictJson) -> BadRequest:
    """Return the answer; a member that stands twice is named, unless its name is itself not to be repeated."""
    if error.member is None:
        return BadRequest(f"The body is refused: {error}")
    check_texts(error.member)
    shown = error.member[:_SHOWN]
    return BadRequest(f"{shown}: {_TWICE}", errors=_listed(shown, _TWICE))


def _listed(field: str, message: str) -> list[dict[str, str]]:
    return [{"field": field, "message": message}]


def field_errors(content: dict[str, object], model: type[msgspec.Struct]) -> list[dict[str, str]]:
    """Return what is wrong with each field of `content`, as `field` and `message`."""
    fields = {field.encode_name: field for field in msgspec.structs.fields(model)}
    strange = (name for name in content if name not in fields)
    errors = [
        {"field": name[:_SHOWN], "message": unknown("field", name, fields)} for name in islice(strange, _MOST_UNKNOWN)
    ]
    if more := sum(1 for _ in strange):
        errors.append({"field": "", "message": f"{more} more fields are unknown"})
    good: dict[str, object] = {}
    for name, field in fields.items():
        if name not in content:
            if field.required:
                errors.append({"field": name, "message": "required"})
            continue
        try:
            good[name] = msgspec.convert(content[name], field.type)
        except (msgspec.ValidationError, OverflowError) as error:
            errors.append({"field": name, "message": in_plain_words(str(error))})
    return errors or _cross_errors(content, model)


def _cross_errors(content: dict[str, object], model: type[msgspec.Struct]) -> list[dict[str, str]]:
    """Return what `__post_init__` says of fields that are each valid."""
    try:
        msgspec.convert(content, model)
    except (msgspec.ValidationError, OverflowError) as error:
        field, _, message = str(error).partition(": ")
        return _listed(field, in_plain_words(message)) if message else _listed("", in_plain_words(field))
    return []


class JsonBody(AbstractDTO[ModelT]):
    """Decodes a request body with `decode_body`."""

    def decode_bytes(self, value: bytes) -> ModelT:
        """Decode; refuses other content types than JSON (RFC 9110, section 15.5.16)."""
        if self.asgi_connection.headers.get("content-encoding", "identity").lower() != "identity":
            raise UnsupportedMediaType("Send the body without a Content-Encoding")
        content_type = self.asgi_connection.headers.get("content-type", "application/json")
        if content_type.partition(";")[0].strip().lower() != "application/json":
            raise UnsupportedMediaType
        return decode_body(value, self.model_type)

    @classmethod
    def create_for_field_definition(cls, *_: object, **__: object) -> None:
        """Need no transfer model: the model itself is decoded."""

    @classmethod
    def create_openapi_schema(
        cls,
        field_definition: FieldDefinition,
        handler_id: str,  # noqa: ARG003 - Litestar's signature
        schema_creator: SchemaCreator,
    ) -> Reference | Schema:
        """Describe the model itself; unknown fields are refused, which the document says too."""
        described = schema_creator.for_field_definition(field_definition)
        parts = [described] if isinstance(described, Reference) else described.all_of or []
        model = next(part for part in parts if isinstance(part, Reference))  # beside examples it stands within `allOf`
        schema_creator.schema_registry.from_reference(model).schema.additional_properties = False
        return described

    @classmethod
    def generate_field_definitions(cls, model_type: type[object]) -> Generator[DTOFieldDefinition, None, None]:
        """Yield nothing: there is no transfer model."""
        _ = model_type
        yield from ()

    @classmethod
    def detect_nested_field(cls, field_definition: FieldDefinition) -> bool:
        """Nothing is nested in a transfer model that does not exist."""
        _ = field_definition
        return False
