"""Holds what goes over the wire to docs/openapi.json: every answer, and every request that was accepted.

The document is OpenAPI 3.1, whose schemas are JSON Schema, draft 2020-12 (spec.openapis.org/oas/v3.1.1#schema-object).
"""

from __future__ import annotations

import json
import re
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from jsonschema import (  # type: ignore[import-untyped] # it has no types
    Draft202012Validator,
    FormatChecker,
)
from referencing import Registry
from referencing.jsonschema import DRAFT202012

if TYPE_CHECKING:
    import httpx

DOCUMENT: Final[dict[str, Any]] = json.loads((Path(__file__).parents[1] / "docs" / "openapi.json").read_text())
_NAME: Final = "urn:openapi"
_FORMATS: Final = FormatChecker()
_REGISTRY: Final = Registry().with_resource(_NAME, DRAFT202012.create_resource(DOCUMENT))


def check(request: httpx.Request, answer: httpx.Response) -> None:
    """Fail when an answer, or the request that it accepted, is not as documented; other routes are passed over.

    Raises:
        AssertionError: naming the member.
    """
    path = _documented(request.url.path)
    operation = DOCUMENT["paths"].get(path, {}).get(request.method.lower())
    if operation is None:
        return
    where = ("paths", path, request.method.lower())
    told = operation["responses"].get(str(answer.status_code))
    assert told is not None, f"{request.method} {path} answered {answer.status_code}, which is not documented"
    at = told["$ref"].split("/")[1:] if "$ref" in told else (*where, "responses", str(answer.status_code))
    kind = answer.headers.get("content-type", "").partition(";")[0]
    _validate((*at, "content", kind, "schema"), answer.content, f"{request.method} {path} {answer.status_code}")
    if answer.is_success and "requestBody" in operation:
        if not request.content:
            assert not operation["requestBody"]["required"], f"{request.method} {path} took no body"
            return
        schema = (*where, "requestBody", "content", "application/json", "schema")
        _validate(schema, request.content, f"the request of {request.method} {path}")


@_FORMATS.checks("date-time", raises=ValueError)  # type: ignore[untyped-decorator] # as above
def _is_moment(text: object) -> bool:
    """Tell whether a text is a moment with its offset (RFC 3339, section 5.6)."""
    return not isinstance(text, str) or datetime.fromisoformat(text).tzinfo is not None


@cache
def _templates() -> list[tuple[re.Pattern[str], str]]:
    """Return the paths of the document as patterns, those without a parameter first."""
    found = [(re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path))), path) for path in DOCUMENT["paths"]]
    return sorted(found, key=lambda pair: "{" in pair[1])


@cache
def _documented(path: str) -> str:
    return next((template for pattern, template in _templates() if pattern.fullmatch(path)), "")


@cache
def _validator(pointer: tuple[str, ...]) -> Draft202012Validator:
    escaped = "/".join(part.replace("~", "~0").replace("/", "~1") for part in pointer)
    closed = pointer[0] != "components"  # RFC 9457 lets problems have further members
    schema = {"$ref": f"{_NAME}#/{escaped}"} | ({"unevaluatedProperties": False} if closed else {})
    return Draft202012Validator(schema, registry=_REGISTRY, format_checker=_FORMATS)


def _validate(pointer: tuple[str, ...], body: bytes, whose: str) -> None:
    faults = [f"{fault.json_path}: {fault.message}" for fault in _validator(pointer).iter_errors(json.loads(body))]
    assert not faults, f"{whose}: {'; '.join(faults)[:1000]}"
