"""JSON bodies: decoded strictly, and refused with every bad field at once.

Litestar and msgspec stop at the first problem; a person who corrects a request wants all of them. So each field is
converted by itself. `JsonBody` plugs this into Litestar as a DTO, which also keeps the model in the OpenAPI document.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from litestar.dto import AbstractDTO
from litestar.openapi.spec import Reference

from payment_service.errors import BadRequest, Unprocessable, UnsupportedMediaType

if TYPE_CHECKING:
    from collections.abc import Generator

    from litestar._openapi.schema_generation import SchemaCreator
    from litestar.dto.data_structures import DTOFieldDefinition
    from litestar.openapi.spec import Schema
    from litestar.typing import FieldDefinition

ModelT = TypeVar("ModelT", bound=msgspec.Struct)
_JSON = msgspec.json.Decoder()


def decode_body(raw: bytes, model: type[ModelT]) -> ModelT:
    """Decode a JSON object into `model`.

    Raises:
        BadRequest: it is not JSON, or not an object.
        Unprocessable: fields are missing, unknown or invalid; `errors` lists each with the reason.
    """
    if b"\\u0000" in raw:
        raise BadRequest("The body holds the character U+0000, which cannot be stored")
    try:
        content = _JSON.decode(raw) if raw else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest("The body is not valid JSON") from error
    if not isinstance(content, dict):
        raise BadRequest("The body must be a JSON object")
    try:
        return msgspec.convert(content, model)
    except (msgspec.ValidationError, OverflowError):
        errors = field_errors(content, model)
        raise Unprocessable("The request has invalid fields: see errors", errors=errors) from None


def field_errors(content: dict[str, Any], model: type[msgspec.Struct]) -> list[dict[str, str]]:
    """Return what is wrong with each field of `content`, as `field` and `message`."""
    fields = {field.encode_name: field for field in msgspec.structs.fields(model)}
    errors = [
        {"field": name, "message": "unknown field; remove it or correct its name"}
        for name in content
        if name not in fields
    ]
    good: dict[str, Any] = {}
    for name, field in fields.items():
        if name not in content:
            if field.required:
                errors.append({"field": name, "message": "required"})
            continue
        try:
            good[name] = msgspec.convert(content[name], field.type)
        except (msgspec.ValidationError, OverflowError) as error:
            errors.append({"field": name, "message": str(error)})
    return errors or _cross_errors(content, model)


def _cross_errors(content: dict[str, Any], model: type[msgspec.Struct]) -> list[dict[str, str]]:
    """Return what `__post_init__` says of fields that are each valid."""
    try:
        msgspec.convert(content, model)
    except (msgspec.ValidationError, OverflowError) as error:
        field, _, message = str(error).partition(": ")
        return [{"field": field, "message": message}] if message else [{"field": "", "message": field}]
    return []


class JsonBody(AbstractDTO[ModelT]):
    """Decodes a request body with `decode_body`."""

    def decode_bytes(self, value: bytes) -> ModelT:
        """Decode; refuses other content types than JSON (RFC 9110, section 15.5.16)."""
        content_type = self.asgi_connection.headers.get("content-type", "application/json")
        if content_type.partition(";")[0].strip().lower() != "application/json":
            raise UnsupportedMediaType
        return decode_body(value, self.model_type)

    @classmethod
    def create_for_field_definition(cls, *_: Any, **__: Any) -> None:
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
        schema = (
            schema_creator.schema_registry.from_reference(described).schema
            if isinstance(described, Reference)
            else described
        )
        schema.additional_properties = False
        return described

    @classmethod
    def generate_field_definitions(cls, model_type: type[Any]) -> Generator[DTOFieldDefinition, None, None]:
        """Yield nothing: there is no transfer model."""
        _ = model_type
        yield from ()

    @classmethod
    def detect_nested_field(cls, field_definition: FieldDefinition) -> bool:
        """Nothing is nested in a transfer model that does not exist."""
        _ = field_definition
        return False
