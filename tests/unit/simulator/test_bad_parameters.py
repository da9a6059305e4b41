"""No parameter breaks the simulator: it answers what Stripe answers, and a refused call changes nothing."""

from __future__ import annotations

import asyncio
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.examples import examples
from tests.unit.simulator.calling import Stripe

from stripe_simulator import Simulator
from stripe_simulator.routes import build_table

ROUTES = sorted(build_table(Simulator().routes).routes.items(), key=lambda entry: entry[0])
WRITES = [((method, shape), route.accepts) for (method, shape), route in ROUTES if method != "GET"]
READS = [((method, shape), route.accepts) for (method, shape), route in ROUTES if method == "GET"]
VALUES = st.sampled_from(["", "x", "-1", "0", "7", "99999999999", "true", "now", "pm_card_visa", "cus_no", "é"])
NAMES = st.sampled_from(
    ["{}", "{}", "{}[0]", "{}[a]", "{}[0][price]", "{}[0][id]", "{}[behavior]", "{}[gt]", "{}[0][x][y]"]
)

Drawn = tuple[str, str, int, dict[str, Any]]
"""Method, address, the number of the object that is meant, parameters."""


@cache
def filled() -> Stripe:
    """A simulator that holds something of most kinds."""
    stripe = Stripe()

    async def fill() -> None:
        made = await stripe.subscription(metadata="")
        await stripe.subscription("pm_card_authenticationRequired")
        await stripe.make("coupons", id="HALF", percent_off=50)
        price = made["items"]["data"][0]["price"]["id"]
        await stripe.make(
            "checkout/sessions", mode="subscription", success_url="https://a.b", **{"line_items[0][price]": price}
        )
        await stripe.make("webhook_endpoints", url="https://example.com", **{"enabled_events[]": "*"})
        await stripe.make("setup_intents")
        charge = stripe.simulator.state.all("charge")[0]["id"]
        await stripe.make("refunds", charge=charge, amount=1)
        await stripe.control("POST", f"/charges/{charge}/dispute")

    asyncio.run(fill())
    return stripe


@st.composite
def calls(draw: st.DrawFn, routes: list[tuple[tuple[str, str], frozenset[str]]]) -> Drawn:
    (method, shape), accepts = draw(st.sampled_from(routes))
    names = draw(st.lists(st.sampled_from(sorted(accepts)), max_size=4, unique=True))
    params = {draw(NAMES).format(name): draw(VALUES) for name in names}
    return method, shape, draw(st.integers(0, 999)), params


def _call(call: Drawn) -> int:
    method, shape, number, params = call
    objects = [*filled().simulator.state.objects, "no_such", "pm_card_visa"]
    kind = shape.partition("/")[0].removesuffix("s")
    fitting = [name for name, obj in filled().simulator.state.objects.items() if obj["object"] == kind]
    pool = fitting if fitting and number % 3 else objects
    path = shape.replace("{id}", pool[number % len(pool)]).replace("checkout.sessions", "checkout/sessions")
    reply = asyncio.run(filled().call(method, path, **params))
    assert reply.status in {200, 400, 402, 403, 404}, (call, reply.body)
    if reply.status != 200:
        assert reply.error["message"]
    return reply.status


@settings(max_examples=examples(300))
@given(call=calls(READS))
def test_a_read_never_fails(call: Drawn) -> None:
    _call(call)


@settings(max_examples=examples(600))
@given(call=calls(WRITES))
def test_a_write_never_fails_and_a_refused_one_changes_nothing(call: Drawn) -> None:
    state = filled().simulator.state
    before = {kind: len(found) for kind, found in state.by_kind.items()}
    if _call(call) in {400, 404}:
        after = {kind: len(found) for kind, found in state.by_kind.items() if found or kind in before}
        assert after == before


@pytest.mark.parametrize("path", ["customers", "subscriptions", "checkout/sessions", "webhook_endpoints"])
async def test_a_call_without_parameters_names_the_missing_one_or_works(path: str) -> None:
    reply = await Stripe().call("POST", path)
    assert reply.status == 200 or reply.error["code"] == "parameter_missing"
