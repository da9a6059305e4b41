"""The API keeps to its own OpenAPI document."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance
from tests.contract.openapi_document import document

from payment_service.http.id_types import FORMS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.postgres import PostgresServer

ROOT = Path(__file__).parents[2]
CHECKED_IN = ROOT / "docs" / "openapi.json"
EXAMPLES = int(os.environ.get("PAYMENTS_TEST_EXAMPLES", "10"))
API = schemathesis.openapi.from_dict(json.loads(CHECKED_IN.read_text()))


def test_the_checked_in_document_is_the_codes() -> None:
    assert CHECKED_IN.read_text() == document(), "run: make openapi"


def test_the_document_is_openapi_3_1() -> None:
    assert json.loads(CHECKED_IN.read_text())["openapi"].startswith("3.1")


def test_the_operations_are_those_we_promise() -> None:
    paths = json.loads(CHECKED_IN.read_text())["paths"]
    names = {operation["operationId"] for methods in paths.values() for operation in methods.values()}
    assert names == {
        "createSubscription",
        "getSubscription",
        "listSubscriptions",
        "cancelSubscription",
        "changeSubscription",
        "previewSubscriptionChange",
        "previewSubscriptionCancellation",
        "previewSubscriptionCreation",
        "createCustomer",
        "getCustomer",
        "getCustomerByReference",
        "createSetupIntent",
        "getSetupIntent",
        "listPaymentMethods",
        "getPaymentMethod",
        "setDefaultPaymentMethod",
        "detachPaymentMethod",
        "createRefund",
        "listCustomers",
        "listPrices",
        "listFeedEvents",
        "getFeedEvent",
        "createWebhookEndpoint",
        "listWebhookEndpoints",
        "getWebhookEndpoint",
        "updateWebhookEndpoint",
        "rotateWebhookEndpointSecret",
        "deleteWebhookEndpoint",
        "testWebhookEndpoint",
        "listWebhookDeliveries",
        "getWebhookDelivery",
        "retryWebhookDelivery",
        "skipWebhookDelivery",
        "replayWebhooks",
        "listWebhookReplays",
        "getWebhookReplay",
        "cancelWebhookReplay",
        "listEvents",
        "getEvent",
        "retryEvent",
        "discardEvent",
        "restoreEvent",
        "replayEvents",
        "reconcile",
        "listOperations",
        "getOperation",
    }


def test_every_text_in_a_path_or_query_has_a_form_and_a_length() -> None:
    for path, methods in json.loads(CHECKED_IN.read_text())["paths"].items():
        for operation in methods.values():
            for parameter in operation.get("parameters", ()):
                schema = parameter["schema"]
                for kind in schema.get("oneOf", [schema]):
                    told = schema | kind
                    limited = "enum" in told or {"pattern", "maxLength"} <= told.keys()
                    assert kind.get("type") != "string" or limited or parameter["in"] == "header", (path, parameter)


def patterns(drawn: Any) -> Iterator[str]:
    """Yield every pattern of a part of the document."""
    for name, found in drawn.items() if isinstance(drawn, dict) else enumerate(drawn):
        if name == "pattern" and isinstance(found, str):
            yield found
        elif isinstance(found, dict | list):
            yield from patterns(found)


def test_every_pattern_has_words_for_whom_it_refuses() -> None:
    found = set(patterns(json.loads(CHECKED_IN.read_text())))
    assert len(found) > 5
    assert found <= FORMS.keys()


def test_the_docs_page_loads_nothing_from_another_host(base_url: str) -> None:
    page = httpx.get(f"{base_url}/docs").text
    loaded = re.findall(r"(?:src|href)=\"([^\"]+)\"", page)
    assert loaded
    assert all(address.startswith(("/", "data:")) for address in loaded)
    for address in loaded:
        if address.startswith("/"):
            assert httpx.get(base_url + address).status_code == 200


def test_the_served_document_is_the_checked_in_one(base_url: str) -> None:
    # drawn when it is first asked for, which takes its time on a crowded machine
    assert httpx.get(f"{base_url}/docs/openapi.json", timeout=60).json() == json.loads(CHECKED_IN.read_text())


def test_the_example_of_create_subscription_works(base_url: str) -> None:
    paths = json.loads(CHECKED_IN.read_text())["paths"]
    body = paths["/api/v1/payments/create-subscription"]["post"]["requestBody"]["content"]["application/json"]
    example: dict[str, Any] = next(iter(body["examples"].values()))["value"]
    answer = httpx.post(f"{base_url}/api/v1/payments/create-subscription", json=example | {"allow_multiple": True})
    assert answer.status_code == 201


@pytest.fixture(scope="module")
def production_url(postgres_server: PostgresServer) -> Iterator[tuple[str, str]]:
    """The service by the rules of production as a process of its own, and a key of the scope admin."""
    command = [sys.executable, "-m", "tests.servers.production", postgres_server.new_database()]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        words = next(line for line in process.stdout if line.startswith("serving ")).split()
        yield words[1], words[2]
    finally:
        process.stdin.close()
        process.stdout.close()
        assert process.wait(timeout=60) == 0


# A schema cannot say which prices exist or which keys were used, so a valid body may be refused with 4xx.
@API.parametrize()
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_request_is_a_server_error_or_breaks_the_document(case: Any, production_url: tuple[str, str]) -> None:
    url, key = production_url
    headers = {"Authorization": f"Bearer {key}"}
    answer = case.call(base_url=url, headers=headers)
    sent = {name for name, _ in parse_qsl(urlsplit(answer.request.url).query, keep_blank_values=True)}
    excluded = [positive_data_acceptance]
    if set(case.query or {}) - sent:  # an unknown parameter that is an empty list is not on the wire: nothing is wrong
        excluded.append(negative_data_rejection)
    case.validate_response(answer, excluded_checks=excluded)


def test_everything_is_described() -> None:
    drawn = json.loads(CHECKED_IN.read_text())
    operations = [operation for methods in drawn["paths"].values() for operation in methods.values()]
    assert all(operation["summary"] and operation["description"] and operation["security"] for operation in operations)
    assert all(parameter["description"] for operation in operations for parameter in operation.get("parameters", ()))
    nameless = [
        f"{name}.{member}"
        for name, schema in drawn["components"]["schemas"].items()
        for member, described in schema["properties"].items()
        if not described["description"]
    ]
    assert nameless == []


def answers() -> dict[str, Any]:
    """The schemas of what is answered, by name."""
    drawn = json.loads(CHECKED_IN.read_text())
    operations = [operation for methods in drawn["paths"].values() for operation in methods.values()]
    asked = re.findall(r"schemas/(\w+)", json.dumps([operation.get("requestBody") for operation in operations]))
    return {name: schema for name, schema in drawn["components"]["schemas"].items() if name not in asked}


def test_a_member_of_an_answer_says_what_null_means_where_it_may_be_null_and_only_there() -> None:
    told = {
        f"{name}.{member}": (
            {"type": "null"} in described.get("anyOf", ()),
            bool(re.search(r"(?i)\bnull\b", described["description"])),
        )
        for name, schema in answers().items()
        for member, described in schema["properties"].items()
    }
    assert {member for member, (may_be, says) in told.items() if may_be != says} == set()


def test_clients_need_not_ask_whether_a_member_of_an_answer_is_there() -> None:
    absent = {
        f"{name}.{member}"
        for name, schema in answers().items()
        for member in schema["properties"].keys() - schema["required"]
    }
    assert absent == {"Problem.errors"}


def test_every_operation_stands_under_a_described_heading() -> None:
    drawn = json.loads(CHECKED_IN.read_text())
    used = {tag for methods in drawn["paths"].values() for operation in methods.values() for tag in operation["tags"]}
    assert used == {tag["name"] for tag in drawn["tags"]}


def test_every_answer_of_an_error_names_its_codes() -> None:
    drawn = json.loads(CHECKED_IN.read_text())
    known = set(drawn["components"]["schemas"]["Problem"]["properties"]["code"]["enum"])
    told = [
        answer["content"]["application/problem+json"]["schema"]["allOf"][1]["properties"]["code"]["enum"]
        for answer in drawn["components"]["responses"].values()
    ]
    assert all(codes and set(codes) <= known for codes in told)
