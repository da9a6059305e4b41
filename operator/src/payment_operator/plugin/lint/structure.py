"""Compares a resource with a structural schema as the API server does: unknown fields, types, limits, defaults.

jsonschema needs rpds-py, compiled Rust, which the plugin's one file cannot hold; fastjsonschema is pure, but stops at
the first problem. Neither fills in defaults and leaves out nulls as Kubernetes does, or names the field that was meant.
"""

import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any, Final

Schema = dict[str, Any]

_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}


def with_defaults(value: Any, schema: Schema) -> Any:
    """Return the value as the API server stores it: defaults filled in, nulls left out."""
    if isinstance(value, list):
        return [with_defaults(item, schema.get("items", {})) for item in value]
    if not isinstance(value, dict):
        return value
    properties: dict[str, Schema] = schema.get("properties", {})
    filled = {name: inner for name, inner in value.items() if inner is not None or name not in properties}
    for name, field in properties.items():
        if name not in filled and "default" in field:
            filled[name] = deepcopy(field["default"])
    return {name: with_defaults(inner, properties.get(name, {})) for name, inner in filled.items()}


def problems(value: Any, schema: Schema, path: str = "") -> Iterator[str]:
    """Yield what is wrong, each with its field and its fix."""
    kind = schema.get("type")
    if kind is None:
        return
    if not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind != "boolean"):
        yield f"{path}: must be {_article(kind)}, is {json.dumps(value, ensure_ascii=False)}"
    elif isinstance(value, dict):
        yield from _object(value, schema, path)
    elif isinstance(value, list):
        yield from _list(value, schema, path)
    else:
        yield from _scalar(value, schema, path)


def _article(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"


def _object(value: dict[str, Any], schema: Schema, path: str) -> Iterator[str]:
    properties: dict[str, Schema] = schema.get("properties", {})
    for name in schema.get("required", []):
        if value.get(name) is None:
            what = properties.get(name, {}).get("description", "")
            yield f"{_join(path, name)}: is missing. {what}".rstrip()
    for name, inner in value.items():
        if name in properties:
            if inner is not None:
                yield from problems(inner, properties[name], _join(path, name))
        elif "additionalProperties" in schema:
            yield from problems(inner, schema["additionalProperties"], f"{path}[{name}]")
        elif properties and not schema.get("x-kubernetes-preserve-unknown-fields"):
            yield f"{_join(path, name)}: unknown field{_meant(name, properties)}"


def _meant(name: str, properties: dict[str, Schema]) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 - costs start-up time, needed for errors only

    close = get_close_matches(name, list(properties), n=1)
    return f"; did you mean {close[0]}?" if close else f"; there are {', '.join(properties)}"


def _list(value: list[Any], schema: Schema, path: str) -> Iterator[str]:
    limit = schema.get("maxItems")
    if limit is not None and len(value) > limit:
        yield f"{path}: has {len(value)} entries; {limit} are allowed"
    for index, item in enumerate(value):
        yield from problems(item, schema.get("items", {}), f"{path}[{index}]")


def _scalar(value: Any, schema: Schema, path: str) -> Iterator[str]:
    if "enum" in schema and value not in schema["enum"]:
        yield f"{path}: {json.dumps(value)} is not possible; use {' or '.join(schema['enum'])}"
    if "minimum" in schema and value < schema["minimum"]:
        yield f"{path}: {value} is too small; use {schema['minimum']} or more"
    if "maximum" in schema and value > schema["maximum"]:
        yield f"{path}: {value} is too large; use {schema['maximum']} or less"
    if "minLength" in schema and len(value) < schema["minLength"]:
        yield f"{path}: must not be empty"
    if "maxLength" in schema and len(value) > schema["maxLength"]:
        yield f"{path}: is longer than {schema['maxLength']} characters"


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
