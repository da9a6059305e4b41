"""Lists, errors, parameters, faults, endpoints: what every client relies on."""

from __future__ import annotations

import asyncio
from typing import Any

import click
import pytest
from tests.unit.simulator.calling import Stripe

from stripe_simulator.faults import Fault
from stripe_simulator.forms import parse_form
from stripe_simulator.process import refuse_live
from stripe_simulator.versions import in_version


@pytest.fixture
def stripe() -> Stripe:
    return Stripe()


def test_brackets_nest() -> None:
    encoded = "a=1&b%5Bc%5D=x+y&d[0][e]=3&d[1][e]=4&f[]=5&f[]=6"
    assert parse_form(encoded) == {"a": "1", "b": {"c": "x y"}, "d": [{"e": "3"}, {"e": "4"}], "f": ["5", "6"]}


async def test_pages_follow_each_other_in_both_directions(stripe: Stripe) -> None:
    made = [(await stripe.make("customers"))["id"] for _ in range(5)]
    first = (await stripe.call("GET", "customers", limit=2)).body
    assert ([obj["id"] for obj in first["data"]], first["has_more"]) == ([made[4], made[3]], True)
    second = (await stripe.call("GET", "customers", limit=3, starting_after=made[3])).body
    assert ([obj["id"] for obj in second["data"]], second["has_more"]) == (made[2::-1], False)
    back = (await stripe.call("GET", "customers", limit=2, ending_before=made[0])).body
    assert ([obj["id"] for obj in back["data"]], back["has_more"]) == ([made[2], made[1]], True)


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 101}, "limit"),
        ({"limit": "x"}, "limit"),
        ({"starting_after": "cus_no"}, "starting_after"),
        ({"created[near]": 1}, "created"),
        ({"colour": "red"}, "colour"),
        ({"expand[]": "data.a.b.c.d.e"}, "expand"),
    ],
)
async def test_a_bad_parameter_of_a_list_is_named(stripe: Stripe, params: dict[str, Any], param: str) -> None:
    await stripe.make("customers")
    reply = await stripe.call("GET", "customers", **params)
    assert (reply.status, reply.error["param"]) == (400, param)


async def test_events_are_found_by_type_time_and_delivery(stripe: Stripe) -> None:
    await stripe.make("webhook_endpoints", url="http://127.0.0.1:9/", **{"enabled_events[]": "customer.created"})
    await stripe.make("customers")
    made = await stripe.make("products", name="Pro")

    async def found(**params: Any) -> list[str]:
        return [event["type"] for event in (await stripe.call("GET", "events", **params)).body["data"]]

    assert await found() == ["product.created", "customer.created"]
    assert await found(type="customer.*") == ["customer.created"]
    assert await found(**{"types[]": "product.created"}) == ["product.created"]
    assert await found(delivery_success="false") == ["customer.created"]
    assert await found(delivery_success="true") == ["product.created"]
    assert await found(**{"created[lt]": made["created"]}) == []
    assert (await stripe.call("GET", "events", type="a", **{"types[]": "b"})).status == 400
    stripe.advance(days=31)
    assert await found() == []


async def test_an_event_names_the_request_that_caused_it(stripe: Stripe) -> None:
    reply = await stripe.call("POST", "customers", key="mine")
    event = (await stripe.call("GET", "events")).body["data"][0]
    assert event["request"] == {"id": reply.headers["request-id"], "idempotency_key": "mine"}


async def test_unknown_objects_and_addresses_are_404(stripe: Stripe) -> None:
    assert (await stripe.call("GET", "customers/cus_no")).error["code"] == "resource_missing"
    assert (await stripe.call("POST", "payment_methods/pm_card_visa/attach", customer="cus_no")).status == 400
    assert "Unrecognized request URL" in (await stripe.call("GET", "unicorns")).error["message"]


async def test_what_cannot_be_expanded_is_refused(stripe: Stripe) -> None:
    made = await stripe.make("customers")
    reply = await stripe.call("GET", f"customers/{made['id']}", **{"expand[]": "unicorn"})
    assert reply.error["message"] == "This property cannot be expanded (unicorn)."


async def test_metadata_is_merged_and_removed(stripe: Stripe) -> None:
    made = await stripe.make("customers", **{"metadata[a]": "1", "metadata[b]": "2"})
    changed = await stripe.make(f"customers/{made['id']}", **{"metadata[a]": "", "metadata[c]": "3"})
    assert changed["metadata"] == {"b": "2", "c": "3"}
    assert (await stripe.call("POST", "customers", **{f"metadata[{'k' * 41}]": "1"})).status == 400


async def test_the_secret_of_an_endpoint_is_shown_once(stripe: Stripe) -> None:
    made = await stripe.make("webhook_endpoints", url="https://example.com", **{"enabled_events[]": "*"})
    assert made["secret"].startswith("whsec_")
    assert "secret" not in (await stripe.call("GET", f"webhook_endpoints/{made['id']}")).body
    assert "secret" not in (await stripe.make(f"webhook_endpoints/{made['id']}", disabled="true"))


async def test_sixteen_endpoints_are_the_limit(stripe: Stripe) -> None:
    params = {"url": "https://example.com", "enabled_events[]": "*"}
    for _ in range(16):
        await stripe.make("webhook_endpoints", **params)
    assert "maximum of 16" in (await stripe.call("POST", "webhook_endpoints", **params)).error["message"]


async def test_a_lookup_key_moves_only_when_told(stripe: Stripe) -> None:
    params = {"product_data[name]": "Pro", "unit_amount": 100, "currency": "usd", "lookup_key": "pro"}
    first = await stripe.make("prices", **params)
    assert (await stripe.call("POST", "prices", **params)).error["param"] == "lookup_key"
    second = await stripe.make("prices", **params, transfer_lookup_key="true")
    found = (await stripe.call("GET", "prices", **{"lookup_keys[]": "pro"})).body["data"]
    assert [price["id"] for price in found] == [second["id"]] != [first["id"]]


@pytest.mark.parametrize(
    ("kind", "status", "code", "made"),
    [
        ("429", 429, "rate_limit", 0),
        ("409", 409, "lock_timeout", 0),
        ("500_before", 500, None, 0),
        ("500_after", 500, None, 1),
    ],
)
async def test_a_fault_answers_as_stripe_does(
    stripe: Stripe, kind: str, status: int, code: str | None, made: int
) -> None:
    await stripe.control("POST", "/faults/calls", {"kind": kind, "path": "/v1/customers", "skip": 1})
    assert (await stripe.call("POST", "customers")).status == 200
    reply = await stripe.call("POST", "customers")
    assert (reply.status, reply.error.get("code")) == (status, code)
    assert stripe.simulator.state.count("customer") == 1 + made
    assert (await stripe.call("POST", "customers")).status == 200


async def test_faults_can_be_seen_and_cleared(stripe: Stripe) -> None:
    await stripe.control("POST", "/faults/calls", {"kind": "latency", "seconds": 1, "count": 9})
    await stripe.control("POST", "/faults/webhooks", {"kind": "drop"})
    shown = (await stripe.control("GET", "/faults")).body
    assert [fault["kind"] for fault in shown["calls"] + shown["webhooks"]] == ["latency", "drop"]
    assert (await stripe.control("POST", "/faults/calls", {"kind": "earthquake"})).status == 400
    await stripe.control("DELETE", "/faults")
    assert (await stripe.control("GET", "/faults")).body == {"calls": [], "webhooks": []}


async def test_latency_lets_other_calls_pass(stripe: Stripe) -> None:
    stripe.simulator.faults.calls.append(Fault(kind="latency", seconds=0.2))
    slow = asyncio.create_task(stripe.call("POST", "customers"))
    await asyncio.sleep(0)
    assert (await stripe.call("GET", "balance")).status == 200
    assert not slow.done()
    assert (await slow).status == 200


async def test_the_page_shows_the_state(stripe: Stripe) -> None:
    made = await stripe.subscription()
    page = (await stripe.control("GET", "/")).body
    assert made["id"] in page
    assert (await stripe.control("GET", "/nothing")).status == 404


async def test_an_old_endpoint_gets_the_old_shape(stripe: Stripe) -> None:
    await stripe.subscription()
    events = {event["type"]: event for event in (await stripe.call("GET", "events", limit=100)).body["data"]}
    subscription = in_version(events["customer.subscription.created"], "2024-06-20")["data"]["object"]
    assert subscription["current_period_end"] > subscription["current_period_start"]
    invoice = in_version(events["invoice.paid"], "2024-06-20")["data"]["object"]
    assert (invoice["subscription"], invoice["paid"]) == (subscription["id"], True)
    assert in_version(events["invoice.paid"], "2026-10-28.endive") == events["invoice.paid"]


@pytest.mark.parametrize("mode", [{}, {"PAYMENTS_STRIPE_MODE": "live"}])
def test_it_refuses_production_with_live_mode(mode: dict[str, str]) -> None:
    with pytest.raises(click.ClickException, match="PAYMENTS_STRIPE_MODE=test"):
        refuse_live({"ENVIRONMENT": "production", **mode})
    refuse_live({"ENVIRONMENT": "production", "PAYMENTS_STRIPE_MODE": "test"})
    refuse_live({})
