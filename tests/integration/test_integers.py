"""An integer is written as one, in every parameter and every body of every route."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from tests.integration.test_hostile_values import body_of, operations

from payment_service.bootstrap import create_app

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.stack import Stack

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

OTHER_TEXTS = ("1e1", "1.0", "1.", "+1", " 1", "1 ", "1_0", "0x1", "1e400", "", "true", "--1", "-", "\u0661", "\uff11")
OTHER_JSON = ("1.0", "1e1", "10e-1", '"1"', "true", "[1]")


def is_integer(schema: dict[str, Any]) -> bool:
    return any(kind.get("type") == "integer" for kind in (schema, *schema.get("anyOf", ())))


def parameters() -> Iterator[tuple[str, str, str]]:
    """Yield method, path and name of each integer in a query or a path."""
    for method, path, operation, _ in operations():
        for parameter in operation.get("parameters", ()):
            if is_integer(parameter["schema"]):
                yield method, path, parameter["name"]


def members() -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """Yield method, path and name of each integer in a body, and the body's example."""
    for method, path, operation, made in operations():
        properties, example = body_of(operation, made)
        for name, schema in properties.items():
            if is_integer(schema):
                yield method, path, name, example


def fields(answer: Any) -> list[str]:
    return [error["field"] for error in answer.json().get("errors", ())]


async def test_a_parameter_takes_digits_alone(stack: Stack) -> None:
    asked = list(parameters())
    assert {name for _, _, name in asked} == {"limit", "wait"}
    for method, path, name in asked:
        for text in OTHER_TEXTS:
            answer = await stack.client.request(method, f"{path}?{name}={quote(text)}")
            assert (answer.status_code, fields(answer)) == (422, [name]), (path, text)
        for text in ("1", "10", "100") if name == "limit" else ("0", "1"):
            assert (await stack.client.request(method, f"{path}?{name}={text}")).status_code == 200, (path, text)


async def test_the_router_converts_no_part_of_a_path(stack: Stack) -> None:
    """What it converted could not be looked at as it was written."""
    application: Any = create_app(stack.parts)
    while hasattr(application, "application") or hasattr(application, "_application"):
        application = getattr(application, "application", None) or application._application
    kinds = {kind.type for route in application.api.routes for kind in route.path_parameters.values()}
    assert int not in kinds
    assert str in kinds


async def test_a_member_of_a_body_takes_an_integer_alone(stack: Stack) -> None:
    asked = list(members())
    assert {name for _, _, name, _ in asked} >= {"quantity", "trial_days"}
    for method, path, name, example in asked:
        for value in OTHER_JSON:
            content = json.dumps({**example, name: "HOLE"}).replace('"HOLE"', value)
            headers = {"Content-Type": "application/json"}
            answer = await stack.client.request(method, path, content=content, headers=headers)
            assert (answer.status_code, fields(answer)) == (422, [name]), (path, name, value)
