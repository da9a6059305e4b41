"""API keys: account, mode, permissions, revocation."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from tests.unit.simulator.calling import Stripe


@pytest.fixture
def stripe() -> Stripe:
    return Stripe()


async def register(stripe: Stripe, key: str, **more: Any) -> None:
    reply = await stripe.control("PUT", "/keys", {"key": key, **more})
    assert reply.status == 200, reply.body


@pytest.mark.parametrize("key", ["", "nonsense", "sk_testt_1", "sk_live_unregistered", "sk_test_with space"])
async def test_an_unknown_key_is_401(stripe: Stripe, key: str) -> None:
    stripe.key = key
    reply = await stripe.call("GET", "balance")
    assert (reply.status, reply.error["type"]) == (401, "invalid_request_error")


async def test_a_refused_key_is_shown_masked(stripe: Stripe) -> None:
    stripe.key = "sk_live_abcdefghijklmnop"
    message = (await stripe.call("GET", "balance")).error["message"]
    assert message == "Invalid API Key provided: sk_live_************mnop"


async def test_a_revoked_key_is_401(stripe: Stripe) -> None:
    await register(stripe, "sk_test_old", revoked=True)
    stripe.key = "sk_test_old"
    reply = await stripe.call("GET", "account")
    assert (reply.status, reply.error["code"]) == (401, "api_key_expired")


async def test_a_publishable_key_is_403(stripe: Stripe) -> None:
    stripe.key = "pk_test_1"
    assert (await stripe.call("GET", "account")).error["code"] == "secret_key_required"


async def test_a_key_of_another_account_sees_that_account(stripe: Stripe) -> None:
    made = await stripe.make("customers", email="ada@example.com")
    await register(stripe, "sk_test_other", account="acct_other")
    stripe.key = "sk_test_other"
    assert (await stripe.call("GET", "account")).body["id"] == "acct_other"
    assert (await stripe.call("GET", f"customers/{made['id']}")).status == 404


async def test_a_live_key_sees_live_mode(stripe: Stripe) -> None:
    await register(stripe, "sk_live_registered")
    stripe.key = "sk_live_registered"
    assert (await stripe.call("GET", "balance")).body["livemode"] is True
    assert (await stripe.make("customers"))["livemode"] is True
    assert stripe.simulator.state.count("customer") == 0


@pytest.mark.parametrize(
    ("method", "path", "permission"),
    [
        ("POST", "customers", "rak_customer_write"),
        ("GET", "subscriptions", "rak_subscription_read"),
        ("GET", "prices", "rak_plan_read"),
        ("POST", "checkout/sessions", "rak_checkout_session_write"),
        ("DELETE", "webhook_endpoints/we_1", "rak_webhook_write"),
        ("GET", "account", "rak_accounts_kyc_basic_read"),
    ],
)
async def test_a_restricted_key_without_the_permission_is_403(
    stripe: Stripe, method: str, path: str, permission: str
) -> None:
    await register(stripe, "rk_test_few", permissions=["customer_read"])
    stripe.key = "rk_test_few"
    reply = await stripe.call(method, path)
    assert (reply.status, reply.error["type"]) == (403, "invalid_request_error")
    assert f"Having the '{permission}' permission would allow this request to continue." in reply.error["message"]


async def test_write_implies_read(stripe: Stripe) -> None:
    await register(stripe, "rk_test_few", permissions=["customer_write"])
    stripe.key = "rk_test_few"
    made = await stripe.make("customers")
    assert (await stripe.call("GET", f"customers/{made['id']}")).status == 200


async def test_the_header_of_another_account_is_403(stripe: Stripe) -> None:
    reply = await stripe.call("GET", "balance", headers={"stripe-account": "acct_other"})
    assert (reply.status, reply.error["code"]) == (403, "account_invalid")


async def test_only_registered_keys_open_when_so_set(stripe: Stripe) -> None:
    await stripe.control("PUT", "/settings", {"registered_keys_only": True})
    assert (await stripe.call("GET", "balance")).status == 401
    await register(stripe, stripe.key)
    assert (await stripe.call("GET", "balance")).status == 200
    await stripe.control("DELETE", "/keys", {"key": stripe.key})
    assert (await stripe.call("GET", "balance")).status == 401


async def test_a_bad_registration_is_refused_and_listed_keys_are_masked(stripe: Stripe) -> None:
    assert (await stripe.control("PUT", "/keys", {"key": "nonsense"})).status == 400
    assert (await stripe.control("PUT", "/keys", {"key": "sk_test_1", "permissions": []})).status == 400
    await register(stripe, "rk_test_abcdefgh", permissions=[])
    (listed,) = (await stripe.control("GET", "/keys")).body["keys"]
    assert listed["key"] == "rk_test_****efgh"


@pytest.mark.parametrize(("user", "status"), [("sk_test_unit:", 200), ("sk_live_unregistered:", 401), (":", 401)])
async def test_a_key_may_be_the_user_of_basic_authentication(stripe: Stripe, user: str, status: int) -> None:
    basic = base64.b64encode(user.encode()).decode()
    assert (await stripe.call("GET", "account", headers={"authorization": f"Basic {basic}"})).status == status


@pytest.mark.parametrize("header", ["Basic !", "Basic /w==", "Digest sk_test_unit", "Basic", "sk_test_unit"])
async def test_a_header_without_a_key_is_401(stripe: Stripe, header: str) -> None:
    assert (await stripe.call("GET", "account", headers={"authorization": header})).status == 401
