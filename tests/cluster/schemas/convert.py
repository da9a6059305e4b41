"""Turn Kubernetes' OpenAPI description and CRDs into strict JSON schemas, one for each kind and version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Schema = dict[str, Any]
_PREFIX = "#/definitions/"
_META = "io.k8s.apimachinery.pkg.apis.meta.v1"
_NUMBER_OR_STRING = {"type": ["integer", "string"]}
# Kinds of Go whose JSON is not what the description says.
_SPECIAL: Mapping[str, Schema] = {
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": _NUMBER_OR_STRING,
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {"type": ["number", "string"]},
    f"{_META}.Time": {"type": ["string", "null"], "format": "date-time"},  # `creationTimestamp: null` is everywhere
}
_NOISE = ("description", "default", "example", "externalDocs")


def _strict(schema: Any, *, names: bool = False) -> Any:
    """Close every object that lists its fields; `names` tells that the keys are field names, not keywords."""
    if isinstance(schema, list):
        return [_strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if names:
        return {key: _strict(value) for key, value in schema.items()}
    if schema.get("x-kubernetes-int-or-string") or schema.get("format") == "int-or-string":
        return _NUMBER_OR_STRING
    kept = {
        key: _strict(value, names=key in {"properties", "definitions", "patternProperties"})
        for key, value in schema.items()
        if key not in _NOISE and not key.startswith("x-kubernetes-") and key != "nullable"
    }
    open_ = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
    if "properties" in schema and not open_:
        kept["additionalProperties"] = False
    if schema.get("nullable") and isinstance(kept.get("type"), str):
        kept["type"] = [kept["type"], "null"]
    return kept


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"].removeprefix(_PREFIX)
        for value in schema.values():
            yield from _references(value)
    elif isinstance(schema, list):
        for item in schema:
            yield from _references(item)


def _closure(name: str, definitions: Mapping[str, Schema]) -> dict[str, Schema]:
    """Return the definition and all that it refers to."""
    found: dict[str, Schema] = {}
    todo = [name]
    while todo:
        current = todo.pop()
        if current not in found:
            found[current] = definitions[current]
            todo.extend(_references(definitions[current]))
    return found


def _identified(schema: Schema, *, api_version: str, kind: str) -> Schema:
    """Require exactly this kind and version."""
    own = {"apiVersion": {"const": api_version}, "kind": {"const": kind}}
    required = sorted({*schema.get("required", ()), "apiVersion", "kind"})
    return schema | {"properties": schema.get("properties", {}) | own, "required": required}


def of_description(description: Schema) -> Iterator[tuple[str, Schema]]:
    """Yield file name and schema of every kind in a swagger.json, as kubeconform's default location names them."""
    definitions = {name: _SPECIAL.get(name) or _strict(schema) for name, schema in description["definitions"].items()}
    for name, schema in description["definitions"].items():
        kinds = schema.get("x-kubernetes-group-version-kind", ())
        if len(kinds) != 1 or "kind" not in schema.get("properties", {}):
            continue  # options and events of a watch: no manifests
        group, version, kind = kinds[0]["group"], kinds[0]["version"], kinds[0]["kind"]
        api_version = f"{group}/{version}" if group else version
        suffix = "-".join(part for part in (group.partition(".")[0], version) if part)
        closure = _closure(name, definitions)
        root = _identified(closure.pop(name), api_version=api_version, kind=kind)
        yield f"{kind.lower()}-{suffix}.json", root | {"definitions": closure}


def of_definition(definition: Schema) -> Iterator[tuple[str, Schema]]:
    """Yield file name, below the group's folder, and schema of every version in a CustomResourceDefinition."""
    spec = definition["spec"]
    group, kind = spec["group"], spec["names"]["kind"]
    for version in spec["versions"]:
        schema = _strict(version["schema"]["openAPIV3Schema"])
        schema.setdefault("properties", {})["metadata"] = {"type": "object"}
        root = _identified(schema, api_version=f"{group}/{version['name']}", kind=kind)
        yield f"{group}/{kind.lower()}_{version['name']}.json", root
