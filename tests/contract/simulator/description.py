"""Stripe's own OpenAPI description, from the pinned Go module of stripe-mock, as validators."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012
from tests.cluster.node.layout import TOOLS
from tests.contract.simulator.differences import ADDED
from tests.requirements import require

MODULE = "github.com/stripe/stripe-mock"
VERSION = "2026-08-26.dahlia"
BASE = "stripe:description"


@cache
def description() -> dict[str, Any]:
    """Return the description; skips without Go."""
    require(shutil.which("go"), what="Go (for Stripe's OpenAPI description)", command="apt-get install golang-go")
    command = ["go", "mod", "download", "-json", MODULE]
    answer = subprocess.run(command, cwd=TOOLS / "stripe-mock", check=True, capture_output=True)
    file = Path(json.loads(answer.stdout)["Dir"]) / "embedded" / "openapi" / "spec3.json"
    found: dict[str, Any] = json.loads(file.read_bytes())
    return found


def _closed(node: Any) -> Any:
    """Return JSON Schema of an OpenAPI 3.0 schema: null where it is nullable, no members beside those described."""
    if isinstance(node, list):
        return [_closed(item) for item in node]
    if not isinstance(node, dict):
        return node
    schema = {name: _closed(value) for name, value in node.items() if name not in {"nullable", "example"}}
    if schema.get("type") == "object" and schema.get("properties") and "additionalProperties" not in schema:
        schema["additionalProperties"] = False
    if node.get("nullable") is True:
        return {"anyOf": [schema, {"type": "null"}]}
    return schema


@cache
def _registry() -> Registry[Any]:
    schemas = json.loads(json.dumps(description()["components"]["schemas"]))
    for name, member in ADDED:
        assert member not in schemas[name]["properties"], f"{name}.{member} is described by now: remove the difference"
        schemas[name]["properties"][member] = {}
    content = {"components": {"schemas": {name: _closed(schema) for name, schema in schemas.items()}}}
    resource = Resource.from_contents(content, default_specification=DRAFT202012)
    registry: Registry[Any] = Registry().with_resource(BASE, resource)
    return registry


def _problems(value: Any, schema: dict[str, Any]) -> list[str]:
    validator = jsonschema.Draft202012Validator(_absolute(schema), registry=_registry())
    return [_explain(error) for error in validator.iter_errors(value)]


def _absolute(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {
            name: f"{BASE}{value}" if name == "$ref" and value.startswith("#") else _absolute(value)
            for name, value in schema.items()
        }
    return [_absolute(item) for item in schema] if isinstance(schema, list) else schema


def _explain(error: jsonschema.ValidationError) -> str:
    deepest = jsonschema.exceptions.best_match([error])
    while deepest is not None and deepest.context:
        deepest = min(deepest.context, key=lambda below: (-len(below.absolute_path), len(below.message)))
    assert deepest is not None
    return f"{deepest.json_path}: {deepest.message[:200]}"


def object_problems(kind: str, value: Any) -> list[str]:
    """Return what is wrong with an object of a kind."""
    return _problems(value, {"$ref": f"#/components/schemas/{kind}"})


def answer_problems(method: str, path: str, value: Any) -> list[str]:
    """Return what is wrong with the answer of a call."""
    operation = _operation(method, path)
    if operation is None:
        return [f"Stripe describes no {method} {path}"]
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    return _problems(value, _closed(schema))


def error_problems(value: Any) -> list[str]:
    """Return what is wrong with an error."""
    return object_problems("error", value)


@cache
def _patterns() -> list[tuple[re.Pattern[str], int, dict[str, Any]]]:
    found = []
    for template, operations in description()["paths"].items():
        pattern = re.compile(re.sub(r"\{[^}]+\}", "[^/]+", template))
        found.append((pattern, template.count("{"), operations))
    return sorted(found, key=lambda entry: entry[1])


def _operation(method: str, path: str) -> dict[str, Any] | None:
    for pattern, _, operations in _patterns():
        if pattern.fullmatch(path) and method.lower() in operations:
            operation: dict[str, Any] = operations[method.lower()]
            return operation
    return None
