"""Turns the resource's types into a structural schema, as the API server wants it.

``msgspec.json.schema`` writes ``$ref`` and ``anyOf``, which a CRD may not hold; this walks the same type
information and writes every object in place.
"""

from typing import Any

import msgspec
from msgspec import inspect

Schema = dict[str, Any]
Rules = dict[type, list[tuple[str, str]]]


def structural_schema(struct: type[msgspec.Struct], *, rules: Rules) -> Schema:
    """The schema of ``struct``; ``rules`` gives CEL rules, each with its message, by type.

    Raises:
        TypeError: the struct holds a type that has no place in a structural schema.
    """
    return _schema(inspect.type_info(struct), rules)


def _schema(info: inspect.Type, rules: Rules) -> Schema:
    match info:
        case inspect.Metadata():
            return _schema(info.type, rules) | dict(info.extra_json_schema or {})
        case inspect.UnionType():
            (only,) = [member for member in info.types if not isinstance(member, inspect.NoneType)]
            return _schema(only, rules)
        case inspect.StructType():
            return _object(info, rules)
        case inspect.ListType():
            return _constrained(
                {"type": "array", "items": _schema(info.item_type, rules)},
                maxItems=info.max_length,
                minItems=info.min_length,
            )
        case inspect.DictType():
            return _map(info, rules)
        case _:
            return _scalar(info)


def _scalar(info: inspect.Type) -> Schema:
    match info:
        case inspect.StrType():
            return _constrained(
                {"type": "string"}, maxLength=info.max_length, minLength=info.min_length, pattern=info.pattern
            )
        case inspect.IntType():
            return _constrained({"type": "integer", "format": "int64"}, minimum=info.ge, maximum=info.le)
        case inspect.BoolType():
            return {"type": "boolean"}
        case inspect.LiteralType():
            return {"type": "string", "enum": list(info.values)}
        case _:
            message = f"no structural schema for {info}"
            raise TypeError(message)


def _constrained(schema: Schema, **limits: int | str | None) -> Schema:
    return schema | {name: limit for name, limit in limits.items() if limit is not None}


def _map(info: inspect.DictType, rules: Rules) -> Schema:
    if isinstance(info.value_type, inspect.AnyType):
        return {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {"type": "object", "additionalProperties": _schema(info.value_type, rules)}


def _object(info: inspect.StructType, rules: Rules) -> Schema:
    schema: Schema = {
        "type": "object",
        "properties": {field.encode_name: _field(field, rules) for field in info.fields},
    }
    if required := [field.encode_name for field in info.fields if field.required]:
        schema["required"] = required
    if own := rules.get(info.cls):
        schema["x-kubernetes-validations"] = [{"rule": rule, "message": message} for rule, message in own]
    return schema


def _field(field: inspect.Field, rules: Rules) -> Schema:
    schema = _schema(field.type, rules)
    if field.default is not msgspec.NODEFAULT and field.default is not None:
        schema["default"] = _default(field.default, schema)
    elif field.default_factory is not msgspec.NODEFAULT and (made := field.default_factory()):
        schema["default"] = made
    return schema


def _default(default: object, schema: Schema) -> object:
    """The whole default: the API server runs CEL rules over a default before it fills in the fields inside."""
    inner = {name: value["default"] for name, value in schema.get("properties", {}).items() if "default" in value}
    return inner | msgspec.to_builtins(default) if isinstance(default, msgspec.Struct) else default
