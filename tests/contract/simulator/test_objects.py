"""Everything that the simulator answers is what Stripe describes."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest
import stripe
from tests.contract.simulator.description import (
    VERSION,
    answer_problems,
    description,
    error_problems,
    object_problems,
)
from tests.contract.simulator.differences import ADDED
from tests.contract.simulator.scenario import drive

from stripe_simulator import Simulator
from stripe_simulator.routes import build_table
from stripe_simulator.state import API_VERSION

if TYPE_CHECKING:
    from tests.contract.simulator.recording import Recorded


@pytest.fixture(scope="module")
def calls() -> list[Recorded]:
    """Every operation, driven once by the official SDK."""
    return asyncio.run(drive()).calls


def _matches(key: tuple[str, str], call: Recorded) -> bool:
    parts = call.path.removeprefix("/v1/").replace("checkout/sessions", "checkout.sessions").split("/")
    wanted = key[1].split("/")
    return (
        key[0] == call.method
        and len(parts) == len(wanted)
        and all(want in {"{id}", part} for want, part in zip(wanted, parts, strict=True))
    )


def test_the_sdk_drives_every_operation(calls: list[Recorded]) -> None:
    table = build_table(Simulator().routes).routes
    undriven = {key for key in table if not any(_matches(key, call) for call in calls)}
    assert undriven == set()


def test_every_answer_validates_against_the_description_of_its_call(calls: list[Recorded]) -> None:
    problems: dict[str, set[str]] = defaultdict(set)
    seen: set[str] = set()
    for call in calls:
        content = json.dumps(call.answer, sort_keys=True)
        if call.status != 200 or content in seen:
            continue
        seen.add(content)
        for problem in answer_problems(call.method, call.path, call.answer):
            problems[call.name].add(problem)
    assert problems == {}


def test_every_error_validates(calls: list[Recorded]) -> None:
    errors = [call.answer for call in calls if call.status != 200]
    assert errors
    assert [problem for error in errors for problem in error_problems(error)] == []


def test_the_object_of_every_event_validates(calls: list[Recorded]) -> None:
    events: dict[str, dict[str, Any]] = {}
    for call in calls:
        if call.path == "/v1/events":
            events |= {event["id"]: event for event in call.answer["data"]}
    assert len(events) > 200
    problems: dict[str, set[str]] = defaultdict(set)
    checked: set[str] = set()
    for event in events.values():
        obj = event["data"]["object"]
        content = json.dumps(obj, sort_keys=True)
        if content not in checked:
            checked.add(content)
            problems[event["type"]] |= set(object_problems(obj["object"], obj))
    assert {kind: found for kind, found in problems.items() if found} == {}


def test_every_type_of_event_is_one_of_stripes(calls: list[Recorded]) -> None:
    paths = description()["paths"]
    body = paths["/v1/webhook_endpoints"]["post"]["requestBody"]["content"]["application/x-www-form-urlencoded"]
    known = set(body["schema"]["properties"]["enabled_events"]["items"]["enum"])
    sent = {event["type"] for call in calls if call.path == "/v1/events" for event in call.answer["data"]}
    assert sent - known == set()
    assert len(sent) >= 50


def test_each_difference_is_a_member_of_the_sdks_types() -> None:
    kinds = {"subscription": stripe.Subscription, "invoice": stripe.Invoice}
    assert {(kind, member) for kind, member in ADDED if member not in kinds[kind].__annotations__} == set()


def test_the_versions_are_the_ones_that_the_differences_are_between() -> None:
    assert description()["info"]["version"] == VERSION
    assert stripe.api_version == API_VERSION
