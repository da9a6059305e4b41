"""The API keeps to its own OpenAPI document."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance
from tests.contract.openapi_document import document
from tests.servers.process import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
CHECKED_IN = ROOT / "docs" / "openapi.json"
API = schemathesis.openapi.from_dict(json.loads(CHECKED_IN.read_text()))


@pytest.fixture(scope="module")
def base_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The demo as a process of its own, without the limit of ten a minute."""
    port = free_port()
    process = subprocess.Popen(
        [Path(sys.executable).with_name("payments"), "demo", "--port", str(port)],
        cwd=tmp_path_factory.mktemp("demo"),
        env={"PATH": os.environ["PATH"], "PAYMENTS_CREATE_LIMIT_PER_MINUTE": "0", "LOG_LEVEL": "ERROR"},
        stdout=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_until_ready(url)
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=40) == 0


def _wait_until_ready(url: str) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{url}/health/ready").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise TimeoutError(url)


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
        "createCustomer",
        "getCustomer",
        "listPrices",
        "listEvents",
        "getEvent",
        "retryEvent",
        "replayEvents",
        "reconcile",
        "listOperations",
        "getOperation",
    }


def test_the_docs_page_loads_nothing_from_another_host(base_url: str) -> None:
    page = httpx.get(f"{base_url}/docs").text
    loaded = re.findall(r"(?:src|href)=\"([^\"]+)\"", page)
    assert loaded
    assert all(address.startswith(("/", "data:")) for address in loaded)
    for address in loaded:
        if address.startswith("/"):
            assert httpx.get(base_url + address).status_code == 200


def test_the_example_of_create_subscription_works(base_url: str) -> None:
    paths = json.loads(CHECKED_IN.read_text())["paths"]
    body = paths["/api/v1/payments/create-subscription"]["post"]["requestBody"]["content"]["application/json"]
    example: dict[str, Any] = body["schema"]["examples"][0]
    answer = httpx.post(f"{base_url}/api/v1/payments/create-subscription", json=example | {"allow_multiple": True})
    assert answer.status_code == 201


# A schema cannot say which prices exist or which keys were used, so a valid body may be refused with 4xx.
@API.parametrize()
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_request_is_a_server_error_or_breaks_the_document(case: Any, base_url: str) -> None:
    case.call_and_validate(base_url=base_url, excluded_checks=[positive_data_acceptance])
