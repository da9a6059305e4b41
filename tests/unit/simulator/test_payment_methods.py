"""Payment methods and setup intents as Stripe documents them: what may be used, saved, chosen, and no more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.simulator.calling import Stripe

if TYPE_CHECKING:
    from tests.unit.simulator.calling import Reply

SPENT = "It may not be used again."


@pytest.fixture
def stripe() -> Stripe:
    return Stripe()


async def saved(stripe: Stripe) -> tuple[str, str]:
    """Return a customer, and the id of the card that is its default."""
    customer = await stripe.customer()
    found = (await stripe.call("GET", f"customers/{customer}")).body
    return customer, str(found["invoice_settings"]["default_payment_method"])


async def attach(stripe: Stripe, method: str, customer: str) -> Reply:
    return await stripe.call("POST", f"payment_methods/{method}/attach", customer=customer)


async def test_a_detached_card_is_nobodys_and_never_used_again(stripe: Stripe) -> None:
    customer, card = await saved(stripe)
    detached = await stripe.make(f"payment_methods/{card}/detach")
    assert detached["customer"] is None
    assert SPENT in (await attach(stripe, card, customer)).error["message"]
    again = await stripe.call("POST", f"payment_methods/{card}/detach")
    assert (again.status, "not attached" in again.error["message"]) == (400, True)
    terms: dict[str, Any] = {"amount": 700, "currency": "usd", "payment_method": card, "confirm": "true"}
    assert SPENT in (await stripe.call("POST", "payment_intents", **terms)).error["message"]
    setup = {"customer": customer, "payment_method": card, "confirm": "true"}
    assert SPENT in (await stripe.call("POST", "setup_intents", **setup)).error["message"]
    default = {"invoice_settings[default_payment_method]": card}
    assert (await stripe.call("POST", f"customers/{customer}", **default)).error["code"] == "resource_missing"


@pytest.mark.parametrize("named", ["pm_card_visa", None], ids=["test card", "id"])
async def test_a_customer_is_created_with_a_card_as_the_default_in_one_call(stripe: Stripe, named: str | None) -> None:
    card = named or (await stripe.make("payment_methods", type="card", **{"card[token]": "tok_visa"}))["id"]
    default = {"payment_method": card, "invoice_settings[default_payment_method]": card}
    made = await stripe.make("customers", **default, **{"expand[0]": "invoice_settings.default_payment_method"})
    method = made["invoice_settings"]["default_payment_method"]
    assert (method["object"], method["customer"], method["card"]["last4"]) == ("payment_method", made["id"], "4242")
    (listed,) = (await stripe.call("GET", f"customers/{made['id']}/payment_methods")).body["data"]
    assert listed["id"] == method["id"]
    assert (await stripe.event_types())[-2:] == ["payment_method.attached", "customer.created"]


@pytest.mark.parametrize("case", ["refused", "unknown", "another's", "another default"])
async def test_a_customer_whose_card_is_refused_is_not_created(stripe: Stripe, case: str) -> None:
    _, others = await saved(stripe)
    before = len((await stripe.call("GET", "customers")).body["data"])
    card = {"refused": "pm_card_chargeDeclined", "unknown": "pm_no", "another's": others}.get(case, "pm_card_visa")
    default = others if case == "another default" else card
    params = {"payment_method": card, "invoice_settings[default_payment_method]": default}
    reply = await stripe.call("POST", "customers", **params)
    assert reply.status == (402 if case == "refused" else 400), reply.body
    assert len((await stripe.call("GET", "customers")).body["data"]) == before
    assert (await stripe.call("GET", f"payment_methods/{others}")).body["customer"] is not None


async def test_detaching_the_default_changes_the_customer_and_says_so(stripe: Stripe) -> None:
    customer, card = await saved(stripe)
    await stripe.make(f"payment_methods/{card}/detach")
    found = (await stripe.call("GET", f"customers/{customer}")).body
    assert found["invoice_settings"]["default_payment_method"] is None
    assert (await stripe.event_types())[-2:] == ["payment_method.detached", "customer.updated"]


async def test_a_card_that_paid_once_without_a_customer_is_used_up(stripe: Stripe) -> None:
    card = (await stripe.make("payment_methods", type="card", **{"card[token]": "tok_visa"}))["id"]
    terms: dict[str, Any] = {"amount": 700, "currency": "usd", "payment_method": card, "confirm": "true"}
    await stripe.make("payment_intents", **terms)
    assert SPENT in (await stripe.call("POST", "payment_intents", **terms)).error["message"]
    assert SPENT in (await attach(stripe, card, await stripe.customer())).error["message"]


async def test_a_setup_intent_saves_a_card_for_its_customer_alone(stripe: Stripe) -> None:
    customer = (await stripe.make("customers"))["id"]
    made = await stripe.make("setup_intents", customer=customer)
    assert made["client_secret"].startswith(f"{made['id']}_secret_")
    card = (await stripe.make(f"setup_intents/{made['id']}/confirm", payment_method="pm_card_visa"))["payment_method"]
    assert (await stripe.call("GET", f"payment_methods/{card}")).body["customer"] == customer
    other = await stripe.customer()
    assert (await attach(stripe, card, other)).status == 400
    refused = await stripe.call("POST", "setup_intents", customer=other, payment_method=card, confirm="true")
    assert (refused.status, refused.error["param"]) == (400, "payment_method")


async def test_a_list_shows_one_customers_and_without_one_nobodys(stripe: Stripe) -> None:
    customer, card = await saved(stripe)
    await saved(stripe)
    shown = (await stripe.call("GET", f"customers/{customer}/payment_methods", type="card")).body["data"]
    assert [method["id"] for method in shown] == [card]
    assert (await stripe.call("GET", "payment_methods", type="card")).body["data"] == []
    none = await stripe.call("GET", "payment_methods", customer=customer, allow_redisplay="always")
    assert none.body["data"] == []


async def test_a_deleted_customers_cards_are_detached(stripe: Stripe) -> None:
    customer, card = await saved(stripe)
    await stripe.call("DELETE", f"customers/{customer}")
    assert (await stripe.call("GET", f"payment_methods/{card}")).body["customer"] is None
    assert "payment_method.detached" in await stripe.event_types()


async def test_a_detached_default_of_a_subscription_is_charged_no_more(stripe: Stripe) -> None:
    made = await stripe.subscription()
    customer = made["customer"]
    for method in (await stripe.call("GET", f"customers/{customer}/payment_methods")).body["data"]:
        await stripe.make(f"payment_methods/{method['id']}/detach")
    stripe.advance(days=32)
    found = (await stripe.call("GET", f"subscriptions/{made['id']}")).body
    assert found["status"] == "past_due"


async def test_a_card_that_the_bank_renews_lasts_longer(stripe: Stripe) -> None:
    _, card = await saved(stripe)
    world = stripe.simulator.routes
    before = (await stripe.call("GET", f"payment_methods/{card}")).body["card"]["exp_year"]
    world.methods.renew(stripe.simulator.state.get("payment_method", card))
    assert (await stripe.call("GET", f"payment_methods/{card}")).body["card"]["exp_year"] > before
    assert (await stripe.event_types())[-1] == "payment_method.automatically_updated"
