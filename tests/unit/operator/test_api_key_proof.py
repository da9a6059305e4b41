"""What an API key is asked at Stripe before it is used, and what is said of it."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from tests.unit.operator.world import SPEC, World

from payment_operator.api.environment import Environment
from payment_operator.clients.key_proof import prove
from payment_operator.model.key_proof import Answer, KeyCheck
from payment_operator.observe.credentials import CredentialsWatch

NOW = datetime(2026, 11, 25, tzinfo=UTC)
OURS, OTHERS = "acct_ours", "acct_others"
OLD, NEW = "sk_test_1", "sk_test_2"
DEAD = Answer(401, message="Invalid API Key provided")


@dataclass
class Stripe:
    """Whose each key is; every permission is given."""

    accounts: dict[str, Answer] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)

    async def send(self, key: str, method: str, url: str) -> Answer:
        path = url.partition("/v1/")[2]
        self.asked.append((key, path))
        if path == "account":
            return self.accounts[key]
        return Answer(404 if method == "POST" else 200, livemode=False)


def of(account: str) -> Answer:
    return Answer(200, account)


async def proven(stripe: Stripe, *, in_use: str = OLD, remembered: str = "", account_id: str = "") -> KeyCheck:
    spec: dict[str, Any] = copy.deepcopy(SPEC)
    if account_id:
        spec["stripe"]["accountId"] = account_id
    environment = msgspec.convert(spec, Environment)
    return await prove(stripe, NEW, spec=environment, in_use=in_use, account=remembered, fingerprint="mark", now=NOW)


@pytest.mark.parametrize(
    ("present", "remembered", "account_id", "reason"),
    [
        (of(OURS), "", "", "Valid"),
        (of(OTHERS), "", "", "OtherAccount"),
        (of(OTHERS), OURS, "", "OtherAccount"),
        (of(OTHERS), "", OURS, "Valid"),
        (DEAD, OURS, "", "Valid"),
        (DEAD, OTHERS, "", "OtherAccount"),
        (DEAD, "", OURS, "Valid"),
        (DEAD, "", OTHERS, "OtherAccount"),
        (DEAD, "", "", "AccountUnknown"),
        (Answer(403, message="lacks rak_accounts_read"), "", "", "AccountUnknown"),
        (Answer(0), "", "", "StripeUnavailable"),
        (Answer(0), OURS, "", "Valid"),
    ],
)
async def test_a_new_key_is_compared_with_whatever_tells_the_account(
    present: Answer, remembered: str, account_id: str, reason: str
) -> None:
    found = await proven(Stripe({NEW: of(OURS), OLD: present}), remembered=remembered, account_id=account_id)
    assert found.reason == reason


async def test_a_key_that_nothing_can_be_compared_with_is_refused_with_the_field_to_set() -> None:
    found = await proven(Stripe({NEW: of(OURS), OLD: DEAD}))
    assert found.state == "Refused"
    assert f"set spec.stripe.accountId to {OURS}" in found.message


async def test_the_first_key_of_an_environment_needs_no_comparison() -> None:
    assert (await proven(Stripe({NEW: of(OURS)}), in_use="")).state == "Valid"


async def test_a_good_key_that_does_not_tell_its_account_is_taken_and_that_is_said() -> None:
    found = await proven(Stripe({NEW: Answer(403, message="no"), OLD: of(OURS)}))
    assert (found.state, found.message) == ("Valid", "Stripe does not tell its account, so that was not compared")


async def test_the_account_of_a_key_in_use_is_asked_for_until_it_is_known() -> None:
    world = World.serving()
    world.status["rotation"]["apiKey"].pop("account", None)
    stripe = Stripe({OLD: Answer(0)})
    watch = CredentialsWatch(stripe)
    assert (await watch.look(world.observe())).account == ""
    stripe.accounts[OLD] = of(OURS)
    world.now += timedelta(seconds=30)
    assert (await watch.look(world.observe())).account == ""
    world.now += timedelta(minutes=5)
    seen = await watch.look(world.observe())
    assert seen.account == OURS
    assert len(stripe.asked) == 2
    world.operate(seen=replace(world.observe(), api_key=seen))
    assert world.status["rotation"]["apiKey"]["account"] == OURS
    assert (await CredentialsWatch(Stripe()).look(world.observe())).account == OURS
