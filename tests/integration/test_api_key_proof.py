"""An API key is tried at Stripe before it is used: the operator against the simulator over HTTP."""

from __future__ import annotations

import copy
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from tests.servers.laboratory import laboratory
from tests.servers.stack import running_stack
from tests.unit.operator.world import SPEC

from payment_operator.api.api_key import NEEDED
from payment_operator.api.environment import Environment
from payment_operator.clients.key_proof import prove
from payment_operator.clients.stripe_http import StripeHttp
from payment_operator.clients.stripe_probe import StripeProbe
from payment_service.http.server import Servers, listen
from payment_service.observability.metrics import STRIPE_REQUESTS
from stripe_simulator import Simulator
from stripe_simulator.faults import Fault
from stripe_simulator.keys import Key
from stripe_simulator.state import DEFAULT_ACCOUNT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from payment_operator.model.key_proof import KeyCheck

OURS, EXACT = "sk_test_ours", "rk_test_exact"
NOW = datetime(2026, 11, 25, tzinfo=UTC)


class Stripe:
    """The simulator on a port, and the operator's way to it."""

    def __init__(self, simulator: Simulator, base: str, http: StripeHttp) -> None:
        self.simulator, self.base, self.http = simulator, base, http

    def register(self, key: str, **properties: Any) -> str:
        self.simulator.keys.register(Key(key=key, **properties))
        return key

    async def prove(self, key: str, *, mode: str = "Test", in_use: str = OURS, managed: bool = False) -> KeyCheck:
        spec: dict[str, Any] = copy.deepcopy(SPEC)
        spec["stripe"] |= {"mode": mode, "apiBase": self.base}
        if managed:
            spec["stripe"]["webhook"] = {"provider": "Managed", "url": "https://shop.example/api/v1/webhooks/stripe"}
        environment = msgspec.convert(spec, Environment)
        probe = StripeProbe(self.http)
        return await prove(probe, key, spec=environment, in_use=in_use, account="", fingerprint="mark", now=NOW)


@asynccontextmanager
async def served() -> AsyncIterator[Stripe]:
    simulator, servers, listener, http = Simulator(), Servers(), listen("127.0.0.1", 0), StripeHttp()
    await servers.start(simulator.api, listener)
    try:
        async with simulator:
            yield Stripe(simulator, f"http://127.0.0.1:{listener.getsockname()[1]}", http)
    finally:
        await http.close()
        await servers.stop()


@pytest.fixture
async def stripe() -> AsyncIterator[Stripe]:
    async with served() as found:
        yield found


async def test_a_key_of_the_same_account_and_mode_is_good(stripe: Stripe) -> None:
    found = await stripe.prove("sk_test_next")
    assert (found.state, found.account, found.message) == ("Valid", DEFAULT_ACCOUNT, "")


async def test_a_restricted_key_needs_exactly_what_is_asked_for_and_tells_its_account(stripe: Stripe) -> None:
    found = await stripe.prove(stripe.register(EXACT, permissions=list(NEEDED)))
    assert (found.state, found.account) == ("Valid", DEFAULT_ACCOUNT)


@pytest.mark.parametrize("missing", NEEDED)
async def test_a_key_without_a_permission_is_refused_and_the_permission_named(stripe: Stripe, missing: str) -> None:
    weaker = [missing.replace("_write", "_read")] if missing.endswith("_write") else []
    given = [name for name in NEEDED if name != missing] + weaker
    found = await stripe.prove(stripe.register("rk_test_less", permissions=given))
    assert (found.state, found.reason, found.message) == ("Refused", "MissingPermission", f"it lacks rak_{missing}")


async def test_a_key_that_makes_webhook_endpoints_needs_their_permission(stripe: Stripe) -> None:
    stripe.register(EXACT, permissions=list(NEEDED))
    found = await stripe.prove(EXACT, managed=True)
    assert (found.reason, found.message) == ("MissingPermission", "it lacks rak_webhook_write")
    stripe.register(EXACT, permissions=[*NEEDED, "webhook_write"])
    assert (await stripe.prove(EXACT, managed=True)).state == "Valid"


@pytest.mark.parametrize("properties", [{}, {"permissions": list(NEEDED)}])
async def test_a_key_of_another_account_is_refused_restricted_or_not(
    stripe: Stripe, properties: dict[str, Any]
) -> None:
    key = stripe.register("rk_test_other" if properties else "sk_test_other", account="acct_other", **properties)
    found = await stripe.prove(key)
    assert (found.reason, found.account) == ("OtherAccount", "acct_other")
    assert DEFAULT_ACCOUNT in found.message


async def test_a_revoked_key_is_refused(stripe: Stripe) -> None:
    found = await stripe.prove(stripe.register("sk_test_gone", revoked=True))
    assert (found.reason, found.message) == ("Revoked", "it was revoked or has expired at Stripe")


async def test_a_key_that_stripe_does_not_know_is_refused(stripe: Stripe) -> None:
    stripe.register(OURS)
    stripe.simulator.keys.only_registered = True
    found = await stripe.prove("sk_test_typo")
    assert (found.reason, found.message) == ("Revoked", "Stripe does not know it")


@pytest.mark.parametrize(
    ("key", "mode", "reason"),
    [
        ("sk_live_real", "Test", "OtherMode"),
        ("rk_live_real", "Test", "OtherMode"),
        ("sk_test_ours", "Live", "OtherMode"),
        ("sk_test_with space", "Test", "Malformed"),
        ("sk_test_two\nlines", "Test", "Malformed"),
        ("pk_test_public", "Test", "Malformed"),
        ("whsec_secret", "Test", "Malformed"),
        ("", "Test", "Malformed"),
    ],
)
async def test_a_key_whose_form_is_wrong_is_refused_without_a_word_to_stripe(
    stripe: Stripe, key: str, mode: str, reason: str
) -> None:
    stripe.simulator.faults.calls.append(Fault(kind="429", count=1))
    found = await stripe.prove(key, mode=mode)
    assert (found.state, found.reason) == ("Refused", reason)
    assert stripe.simulator.faults.calls[0].count == 1


async def test_a_key_that_is_dead_leaves_the_account_to_be_confirmed(stripe: Stripe) -> None:
    stripe.register(OURS, revoked=True)
    found = await stripe.prove("sk_test_next")
    assert found.reason == "AccountUnknown"
    assert f"set spec.stripe.accountId to {DEFAULT_ACCOUNT}" in found.message


@pytest.mark.parametrize("kind", ["429", "500_before", "reset_before"])
@pytest.mark.parametrize("path", ["/v1/account", "/v1/customers/.*"])
async def test_what_stripe_does_not_answer_refuses_no_key(stripe: Stripe, kind: Any, path: str) -> None:
    stripe.simulator.faults.calls.append(Fault(kind=kind, path=path, count=9))
    found = await stripe.prove("sk_test_next")
    assert (found.state, found.reason) == ("Unknown", "StripeUnavailable")
    stripe.simulator.faults.calls.clear()
    assert (await stripe.prove("sk_test_next")).state == "Valid"


async def test_trying_a_key_changes_nothing_at_stripe(stripe: Stripe) -> None:
    stripe.simulator.ensure_price(
        price_id="price", lookup_key="pro", unit_amount=100, currency="usd", interval="month", product_name="pro"
    )
    kinds = ("customer", "event", "invoice", "payment_method", "price", "product", "subscription")
    before = {kind: copy.deepcopy(list(stripe.simulator.state.all(kind))) for kind in kinds}
    assert (await stripe.prove("sk_test_next", managed=True)).state == "Valid"
    assert {kind: list(stripe.simulator.state.all(kind)) for kind in kinds} == before


def refused() -> float:
    """Calls of the service that Stripe has refused for its key."""
    samples = (sample for metric in STRIPE_REQUESTS.collect() for sample in metric.samples)
    return sum(sample.value for sample in samples if sample.labels.get("outcome") == "stripe_misconfigured")


async def test_the_service_sells_with_a_key_that_has_exactly_these_permissions(database_url: str) -> None:
    before = refused()
    async with running_stack(database_url, STRIPE_SECRET_KEY=EXACT) as stack:
        stack.simulator.keys.register(Key(key=EXACT, permissions=list(NEEDED)))
        made = await stack.create(email="ada@example.com", payment_method_id="pm_card_visa")
        assert made.status_code == 201, made.text
        path = f"/api/v1/subscriptions/{made.json()['id']}/cancel"
        assert (await stack.client.post(path, json={"at_period_end": False})).json()["status"] == "canceled"
    assert refused() == before


async def test_the_service_reconciles_with_a_key_that_has_exactly_these_permissions(database_url: str) -> None:
    before = refused()
    async with laboratory(database_url, STRIPE_SECRET_KEY=EXACT) as lab:
        lab.simulator.keys.register(Key(key=EXACT, permissions=list(NEEDED)))
        await lab.parts.reconciler.run(full=True)
    assert refused() == before
