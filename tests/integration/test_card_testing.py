"""Card testing: stolen cards are tried, each with a customer of its own. Declines bear the limits, nobody else does."""

from __future__ import annotations

import shutil
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.servers.stack import CREATE, PRICE, running_stack, two_pods

from payment_service.access.keys import ApiKeys
from payment_service.access.service import Access
from payment_service.bootstrap import create_app
from payment_service.config.settings import DEVELOPMENT_STRIPE_KEY, Settings
from payment_service.observability import metrics
from payment_service.storage.tables import audit_log, operations, outbox, subscriptions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.servers.stack import Stack
    from tests.servers.valkey import ValkeyServer

DECLINED = "pm_card_chargeCustomerFail"
NOT_ATTACHED = ("pm_card_chargeDeclined", "pm_card_chargeDeclinedLostCard", "pm_card_chargeDeclinedStolenCard")
HEADER = "X-FAPI-Customer-IP-Address"


class Shop:
    """A caller whose every request is a new customer's."""

    def __init__(self, stack: Stack, client: httpx.AsyncClient) -> None:
        self.stack = stack
        self.client = client
        self.customers = 0

    async def pay(self, card: str = DECLINED, *, headers: dict[str, str] | None = None, **body: Any) -> httpx.Response:
        self.customers += 1
        email = f"{self.customers}@example.com"
        content = {"price_id": PRICE, "email": email, "payment_method_id": card} | body
        return await self.client.post(CREATE, json=content, headers=headers)

    async def codes(self, *cards: str, headers: dict[str, str] | None = None) -> list[str]:
        """Return what became of a payment with each card."""
        answers = [await self.pay(card, headers=headers) for card in cards]
        return [answer.json().get("code", "paid") for answer in answers]

    async def new_method(self, token: str = "tok_chargeCustomerFail") -> str:
        """Return a new PaymentMethod, as Stripe.js makes one for each try of a card."""
        async with httpx.AsyncClient(base_url=self.stack.parts.settings.stripe.api_base) as stripe:
            answer = await stripe.post(
                "/v1/payment_methods",
                data={"type": "card", "card[token]": token},
                headers={"Authorization": f"Bearer {DEVELOPMENT_STRIPE_KEY}"},
            )
        return str(answer.json()["id"])

    def stripe_calls(self) -> int:
        return self.stack.simulator.api.requests


@pytest.fixture
def database(migrated_sqlite: Path, tmp_path: Path) -> Path:
    """Return a database of the test's own; no SQL differs here between SQLite and PostgreSQL."""
    return Path(shutil.copy(migrated_sqlite, tmp_path / "payments.sqlite3"))


@asynccontextmanager
async def shop(database: Path, **settings: str) -> AsyncIterator[Shop]:
    more = {f"PAYMENTS_{name.upper()}": value for name, value in settings.items()}
    async with running_stack(f"sqlite:///{database}", **more) as stack:
        yield Shop(stack, stack.client)


async def keyed(stack: Stack, *principals: str) -> list[Shop]:
    """Return a caller with an API key for each principal, in production."""
    parts = stack.parts
    parts.settings = replace(parts.settings, environment="production")
    parts.access = Access(parts.settings, parts.database, clock=stack.clock)
    keys = ApiKeys(parts.settings, parts.database, clock=stack.clock)
    made = []
    for principal in principals:
        key, _ = await keys.create(principal, scope="write", days=None, actor="cli:test")
        transport: Any = httpx.ASGITransport(app=create_app(parts), client=("203.0.113.7", 1))  # type: ignore[arg-type]
        client = httpx.AsyncClient(transport=transport, base_url="http://api")
        client.headers["Authorization"] = f"Bearer {key}"
        made.append(Shop(stack, client))
        made[-1].customers = 1000 * len(made)
    return made


def refused(dimension: str) -> float:
    """Return how many payments were refused for a dimension."""
    return metrics.REGISTRY.get_sample_value("payments_declines_refused_total", {"dimension": dimension}) or 0.0


async def test_a_card_that_is_declined_too_often_is_refused_without_a_call_to_stripe(database: Path) -> None:
    async with shop(database, card_declines_per_hour="3") as testing:
        before = refused("card")
        assert await testing.codes(*[DECLINED] * 3) == ["payment_declined"] * 3
        calls = testing.stripe_calls()
        answer = await testing.pay()
        assert (answer.status_code, answer.json()["code"]) == (429, "too_many_declines")
        assert 60 < int(answer.headers["retry-after"]) <= 3600
        assert testing.stripe_calls() == calls
        assert refused("card") == before + 1
        assert await testing.codes("pm_card_visa", "pm_card_mastercard") == ["paid", "paid"], "others pay"


async def test_a_card_stays_refused_whatever_paymentmethod_it_comes_in(database: Path) -> None:
    async with shop(database, card_declines_per_hour="2") as testing:
        methods = [await testing.new_method() for _ in range(3)]
        assert await testing.codes(*methods[:2]) == ["payment_declined"] * 2
        made = len(testing.stack.charges())
        key = {"Idempotency-Key": "third"}
        third = await testing.pay(methods[2], headers=key, email="third@example.com")
        assert (third.status_code, third.json()["code"]) == (429, "too_many_declines")
        assert int(third.headers["retry-after"]) > 60
        assert len(await testing.stack.rows(subscriptions)) == 2, "nothing was created, its place is given back"
        assert len(testing.stack.charges()) == made
        calls = testing.stripe_calls()
        replay = await testing.pay(methods[2], headers=key, email="third@example.com")
        assert (replay.status_code, replay.headers["idempotent-replayed"]) == (429, "true")
        assert "retry-after" not in replay.headers, "this answer never changes"
        assert await testing.codes(methods[2]) == ["too_many_declines"]
        assert testing.stripe_calls() == calls, "the PaymentMethod is known by now"
        assert (await testing.pay("pm_card_visa", email="third@example.com")).status_code == 201


async def test_cards_that_the_bank_does_not_let_be_attached_count_too(database: Path) -> None:
    async with shop(database, card_declines_per_hour="2") as testing:
        assert await testing.codes(*[NOT_ATTACHED[0]] * 3) == ["payment_declined"] * 2 + ["too_many_declines"]


async def test_a_declined_payment_of_a_resumed_subscription_counts_too(database: Path) -> None:
    async with shop(database, card_declines_per_hour="1") as testing:
        started = {"price_id": PRICE, "email": "ada@example.com"}
        assert (await testing.client.post(CREATE, json=started)).status_code == 201
        assert (await testing.pay(email="ada@example.com")).json()["code"] == "payment_declined"
        assert await testing.codes(DECLINED) == ["too_many_declines"]


async def test_an_end_users_address_bears_its_declines(database: Path) -> None:
    async with shop(database, end_user_declines_per_hour="2") as testing:
        tester, other = {HEADER: "2001:db8:1:2::7"}, {HEADER: "2001:db8:1:3::7"}
        assert await testing.codes(*NOT_ATTACHED[:2], headers=tester) == ["payment_declined"] * 2
        calls, before = testing.stripe_calls(), refused("end_user")
        neighbour = {HEADER: "2001:db8:1:2:ffff::1"}
        assert await testing.codes("pm_card_visa", headers=tester) == ["too_many_declines"]
        assert await testing.codes("pm_card_visa", headers=neighbour) == ["too_many_declines"], "the same /64"
        assert (testing.stripe_calls(), refused("end_user")) == (calls, before + 2)
        assert await testing.codes("pm_card_visa", headers=other) == ["paid"]
        assert await testing.codes("pm_card_visa") == ["paid"]


async def test_an_address_is_the_word_of_one_caller_and_refuses_nothing_of_another(database: Path) -> None:
    async with shop(database, end_user_declines_per_hour="1") as testing:
        hostile, honest = await keyed(testing.stack, "hostile", "honest")
        victim = {HEADER: "198.51.100.7"}
        assert await hostile.codes(NOT_ATTACHED[0], NOT_ATTACHED[1], headers=victim) == [
            "payment_declined",
            "too_many_declines",
        ]
        assert await honest.codes("pm_card_visa", headers=victim) == ["paid"]


async def test_a_key_is_slowed_down_when_most_of_its_payments_are_declined(database: Path) -> None:
    async with shop(database, key_declines_per_minute="3") as testing:
        tested, busy = await keyed(testing.stack, "tested", "busy")
        calls, before = 0, refused("key")
        assert await tested.codes(*NOT_ATTACHED) == ["payment_declined"] * 3
        calls = tested.stripe_calls()
        answer = await tested.pay("pm_card_visa")
        assert (answer.status_code, answer.json()["code"]) == (429, "too_many_declines")
        assert 1 <= int(answer.headers["retry-after"]) <= 60
        assert (tested.stripe_calls(), refused("key")) == (calls, before + 1)
        assert await busy.codes("pm_card_visa") == ["paid"]


async def test_a_busy_shop_with_the_usual_declines_is_never_refused(database: Path) -> None:
    async with shop(database, key_declines_per_minute="2") as testing:
        fifth = (*["pm_card_visa"] * 4, NOT_ATTACHED[0])
        assert set(await testing.codes(*fifth * 3)) == {"paid", "payment_declined"}


async def test_without_a_payment_method_nothing_is_looked_at(database: Path) -> None:
    async with shop(database, key_declines_per_minute="1") as testing:
        assert await testing.codes(NOT_ATTACHED[0], NOT_ATTACHED[0]) == ["payment_declined", "too_many_declines"]
        started = await testing.client.post(CREATE, json={"price_id": PRICE, "email": "ada@example.com"})
        assert started.status_code == 201


async def test_a_payment_needs_no_further_call_to_stripe_for_its_cards_fingerprint(database: Path) -> None:
    async with shop(database, card_declines_per_hour="5", key_declines_per_minute="5") as testing:
        assert await testing.codes("pm_card_visa") == ["paid"], "the price is known by now"
        before = testing.stripe_calls()
        assert await testing.codes("pm_card_visa") == ["paid"]
        assert testing.stripe_calls() - before == 3, "customers with the address, customer with its card, subscription"


async def test_in_development_test_cards_are_declined_all_day(database: Path) -> None:
    async with shop(database) as testing:
        assert set(await testing.codes(*[DECLINED] * 6)) == {"payment_declined"}


@pytest.mark.parametrize("written", ["unknown", "203.0.113", "198.51.100.7, 10.0.0.1", "example.com", "_x"])
async def test_an_end_user_that_is_no_address_is_refused_by_name(database: Path, written: str) -> None:
    async with shop(database, create_limit_per_minute="1") as testing:
        answer = await testing.pay("pm_card_visa", headers={HEADER: written})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, HEADER)
        assert written not in answer.json()["detail"]
        assert (await testing.pay("pm_card_visa")).status_code == 201, "it took nothing from the limit"


async def test_an_end_users_address_is_kept_nowhere(
    database: Path, capsys: pytest.CaptureFixture[str], valkey_server: ValkeyServer
) -> None:
    limits = {"end_user_declines_per_hour": "5", "card_declines_per_hour": "5"}
    more = {f"PAYMENTS_{name.upper()}": value for name, value in limits.items()}
    async with running_stack(f"sqlite:///{database}", REDIS_URL=valkey_server.url, **more) as stack:
        testing = Shop(stack, stack.client)
        assert (await testing.codes(DECLINED, "pm_card_visa", headers={HEADER: "198.51.100.77"}))[1] == "paid"
        rows = [await stack.rows(table) for table in (operations, audit_log, outbox, subscriptions)]
        redis: Any = stack.parts.redis
        kept = await redis.keys("*declines_end_user*")
        assert kept, "it was counted"
        everything = [rows, await redis.keys("*"), metrics.render(), capsys.readouterr()]
    assert "198.51.100.77" not in str(everything)


async def test_pods_share_the_declines(database: Path, valkey_server: ValkeyServer) -> None:
    limits = {"PAYMENTS_CARD_DECLINES_PER_HOUR": "2"}
    async with two_pods(f"sqlite:///{database}", valkey_server.url, **limits) as (stack, client):
        first, second = Shop(stack, stack.client), Shop(stack, client)
        second.customers = 100
        assert await first.codes(DECLINED) == await second.codes(DECLINED) == ["payment_declined"]
        assert await first.codes(DECLINED) == await second.codes(DECLINED) == ["too_many_declines"]


def test_production_has_limits_of_declines_and_development_none() -> None:
    development = Settings.from_env({}).declines
    assert (development.card_per_hour, development.end_user_per_hour, development.key_per_minute) == (0, 0, 0)
