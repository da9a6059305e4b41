"""Stripe's idempotency as a state machine (docs.stripe.com/api/idempotent_requests)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule
from tests.examples import examples
from tests.unit.simulator.calling import Reply, Stripe

from stripe_simulator.faults import Fault

EMAILS = st.sampled_from(["ada@example.com", "grace@example.com", "no address", ""])
KEYS = st.sampled_from(["k1", "k2", "k3"])
UNSAVED = st.sampled_from(["429", "409", "500_before"])
SAVED = st.sampled_from(["500_saved", "500_saved_after"])
DAY = 86400


@dataclass(frozen=True)
class Saved:
    """What the model expects under a key."""

    params: dict[str, Any]
    reply: Reply
    at: float


class Idempotency(RuleBasedStateMachine):
    """Creates customers and confirms payments under few keys, with faults and time; a model says what must come."""

    used = Bundle("used")

    def __init__(self) -> None:
        super().__init__()
        self.stripe = Stripe()
        self.saved: dict[str, Saved] = {}
        self.executed = 0

    def _post(self, path: str, key: str | None, params: dict[str, Any]) -> Reply:
        return asyncio.run(self.stripe.call("POST", path, key=key, **params))

    def _known(self, key: str) -> Saved | None:
        found = self.saved.get(key)
        if found is not None and found.at + DAY < int(self.stripe.clock.timestamp()):
            return None
        return found

    @rule(target=used, key=KEYS, email=EMAILS)
    def create(self, key: str, email: str) -> tuple[str, str]:
        known = self._known(key)
        reply = self._post("customers", key, {"email": email})
        if known is not None:
            self._check_repeat(known, {"email": email}, reply)
        elif email == "no address":
            assert reply.status == 400
            assert "idempotent-replayed" not in reply.headers
        else:
            assert reply.status == 200
            self._executed(key, {"email": email}, reply)
        return key, email

    @rule(request=used)
    def repeat(self, request: tuple[str, str]) -> None:
        self.create(*request)

    def _check_repeat(self, known: Saved, params: dict[str, Any], reply: Reply) -> None:
        if known.params == params:
            assert (reply.status, reply.body) == (known.reply.status, known.reply.body)
            assert reply.headers["idempotent-replayed"] == "true"
        else:
            assert (reply.status, reply.error["type"]) == (400, "idempotency_error")

    def _executed(self, key: str, params: dict[str, Any], reply: Reply) -> None:
        self.executed += 1
        self.saved[key] = Saved(params, reply, int(self.stripe.clock.timestamp()))

    @rule(key=KEYS, email=st.sampled_from(["ada@example.com", "grace@example.com"]), kind=UNSAVED)
    def refused_before_execution(self, key: str, email: str, kind: Any) -> None:
        self.stripe.simulator.faults.calls.append(Fault(kind=kind))
        reply = self._post("customers", key, {"email": email})
        assert reply.status in {429, 409, 500}
        assert "idempotent-replayed" not in reply.headers

    @rule(key=KEYS, email=st.sampled_from(["ada@example.com", "grace@example.com"]), kind=SAVED)
    def broken_in_execution(self, key: str, email: str, kind: Any) -> None:
        known = self._known(key)
        fault = Fault(kind=kind)
        self.stripe.simulator.faults.calls.append(fault)
        reply = self._post("customers", key, {"email": email})
        if known is not None:
            self._check_repeat(known, {"email": email}, reply)
        else:
            assert reply.status == 500
            self._executed(key, {"email": email}, reply)
            self.executed -= kind == "500_saved"

    @rule(key=KEYS)
    def unknown_key_of_the_account_is_not_saved(self, key: str) -> None:
        own, self.stripe.key = self.stripe.key, "sk_wrong"
        try:
            assert self._post("customers", key, {"email": "ada@example.com"}).status == 401
        finally:
            self.stripe.key = own

    @rule(key=KEYS)
    def a_get_takes_no_notice(self, key: str) -> None:
        reply = asyncio.run(self.stripe.call("GET", "customers", key=key))
        assert reply.status == 200
        assert "idempotent-replayed" not in reply.headers

    @rule(hours=st.sampled_from([1, 12, 25]))
    def time_passes(self, hours: int) -> None:
        self.stripe.advance(hours=hours)

    @rule()
    def another_account_has_keys_of_its_own(self) -> None:
        live = self.stripe.simulator.worlds.of("acct_other").world
        assert live.state.count("customer") == 0
        assert live.state.count("_idempotency_key") == 0

    @invariant()
    def each_execution_made_one_customer(self) -> None:
        assert self.stripe.simulator.state.count("customer") == self.executed


TestIdempotency = Idempotency.TestCase
TestIdempotency.settings = settings(max_examples=examples(60), stateful_step_count=25, deadline=None)


async def test_a_second_request_while_the_first_runs_is_409() -> None:
    stripe = Stripe()
    stripe.simulator.faults.calls.append(Fault(kind="latency", seconds=0.05))
    first = asyncio.create_task(stripe.call("POST", "customers", key="k", email="ada@example.com"))
    await asyncio.sleep(0.01)
    second = await stripe.call("POST", "customers", key="k", email="ada@example.com")
    assert (second.status, second.error["code"]) == (409, "idempotency_key_in_use")
    answered = await first
    third = await stripe.call("POST", "customers", key="k", email="ada@example.com")
    assert (third.status, third.body) == (200, answered.body)


async def test_a_declined_card_is_saved() -> None:
    stripe = Stripe()
    params = {"amount": 100, "currency": "usd", "payment_method": "pm_card_chargeCustomerFail", "confirm": "true"}
    first = await stripe.call("POST", "payment_intents", key="k", **params)
    second = await stripe.call("POST", "payment_intents", key="k", **params)
    assert (first.status, second.status, second.headers["idempotent-replayed"]) == (402, 402, "true")
    assert stripe.simulator.state.count("charge") == 1


async def test_a_delete_is_not_replayed() -> None:
    stripe = Stripe()
    made = await stripe.subscription()
    assert (await stripe.call("DELETE", f"subscriptions/{made['id']}", key="k")).status == 200
    assert (await stripe.call("DELETE", f"subscriptions/{made['id']}", key="k")).status == 404


async def test_a_key_that_is_too_long_is_refused() -> None:
    assert (await Stripe().call("POST", "customers", key="k" * 256)).status == 400


async def test_the_replay_of_an_endpoint_may_leave_the_secret_out() -> None:
    stripe = Stripe()
    params = {"url": "https://example.com", "enabled_events[]": "*"}
    first = await stripe.call("POST", "webhook_endpoints", key="k", **params)
    assert (await stripe.call("POST", "webhook_endpoints", key="k", **params)).body["secret"] == first.body["secret"]
    await stripe.control("PUT", "/settings", {"replay_hides_secret": True})
    replayed = await stripe.call("POST", "webhook_endpoints", key="k", **params)
    assert replayed.body == {name: value for name, value in first.body.items() if name != "secret"}
