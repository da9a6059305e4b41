"""Whose subscription it is: every customer of the account counts, and an address alone charges nobody's card."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from tests.servers.stack import OTHER_PRICE, PRICE

from payment_service.mirror.kind import IMPORT
from payment_service.storage.cursors import drop_cursor, read_cursor
from payment_service.storage.tables import customers, events, subscriptions
from stripe_simulator.faults import Fault

if TYPE_CHECKING:
    from tests.servers.stack import Stack

CARD = "pm_card_visa"
ADDRESS = "ada@example.com"
SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def check_out(stack: Stack, email: str = ADDRESS, price: str = PRICE) -> dict[str, Any]:
    """Subscribe as a person does on a page of Stripe's; each time as a new customer."""
    items = [{"price": price, "quantity": "1"}]
    params = {"mode": "subscription", "success_url": "https://shop.example", "line_items": items}
    session = stack.simulator.routes.checkout.create({**params, "customer_email": email})
    return stack.simulator.routes.checkout.complete(session, CARD)


def make_customer(stack: Stack, email: str = ADDRESS, *, card: bool = False) -> dict[str, Any]:
    """Make a customer as a person at the Dashboard does, with a default card if asked."""
    made = stack.simulator.routes.customers.create({"email": email})
    if card:
        method = stack.simulator.routes.methods.attach(CARD, made["id"])
        settings = {"default_payment_method": method["id"]}
        stack.simulator.routes.customers.update(made, {"invoice_settings": settings})
    return made


async def applied(stack: Stack) -> None:
    """Wait until no event waits."""

    async def none_waits() -> bool:
        rows = await stack.rows(events)
        return bool(rows) and all(row["state"] != "pending" for row in rows)

    stack.clock.advance(5)
    await stack.until(none_waits)


def deaf(stack: Stack) -> None:
    """Lose every event from now on."""
    for endpoint in stack.simulator.state.all("webhook_endpoint"):
        stack.simulator.routes.endpoints.delete(endpoint)


async def forget_import(stack: Stack) -> None:
    """Let the account count as not imported, as at the first start on one with history."""
    async with stack.parts.database.transaction() as connection:
        await drop_cursor(connection, IMPORT)
    stack.parts.selection._history._complete = stack.parts.importer._done = False


async def idle(stack: Stack) -> None:
    """Let the worker do nothing by itself: its import could be faster than the test."""
    stack.parts.worker.claiming = False
    await asyncio.sleep(0.2)


@pytest.mark.parametrize("lost", [False, True], ids=["told", "lost"])
async def test_who_subscribed_through_checkout_is_not_charged_again(stack: Stack, lost: bool) -> None:  # noqa: FBT001
    if lost:
        deaf(stack)
    session = check_out(stack)
    if not lost:
        await applied(stack)
    answer = await stack.create(email="Ada@EXAMPLE.com" if not lost else ADDRESS, payment_method_id=CARD)
    assert (answer.status_code, answer.json()["code"]) == (409, "subscription_exists")
    assert len(stack.charges()) == 1
    shown = (await stack.client.get(f"/api/v1/subscriptions/{answer.json()['subscription_id']}")).json()
    assert shown["stripe_subscription_id"] == session["subscription"]
    assert {row["status"] for row in await stack.rows(subscriptions)} == {"active"}


async def test_a_customer_made_elsewhere_is_selected_by_address(stack: Stack) -> None:
    made = make_customer(stack)
    answer = await stack.create(email=ADDRESS, payment_method_id=CARD)
    assert (answer.status_code, answer.json()["stripe_customer_id"]) == (201, made["id"])


async def test_an_address_of_several_customers_selects_none_and_names_them(stack: Stack) -> None:
    made = {make_customer(stack)["id"] for _ in range(2)}
    answer = await stack.create(email=ADDRESS, payment_method_id=CARD)
    assert (answer.status_code, answer.json()["code"]) == (409, "customer_ambiguous")
    named = answer.json()["customer_ids"]
    assert {row["stripe_customer_id"] for row in await stack.rows(customers) if row["id"] in named} == made
    assert stack.charges() == []
    assert (await stack.create(customer_id=named[0], payment_method_id=CARD)).status_code == 201


@SQLITE
async def test_two_people_of_a_company_share_an_address_by_reference(stack: Stack) -> None:
    for reference in ("user-1", "user-2"):
        answer = await stack.create(customer_reference=reference, email=ADDRESS, payment_method_id=CARD)
        assert answer.status_code == 201, answer.text
    assert (await stack.create(customer_reference="user-2", payment_method_id=CARD)).status_code == 409


@pytest.mark.parametrize("more", [{}, {"trial_days": 1}], ids=["now", "trial"])
async def test_an_address_alone_charges_no_card_that_it_does_not_name(stack: Stack, more: dict[str, Any]) -> None:
    made = make_customer(stack, card=True)
    answer = await stack.create(email=ADDRESS, **more)
    assert (answer.status_code, answer.json()["code"]) == (409, "payment_method_required")
    assert stack.simulator.state.all("subscription") == []
    assert await stack.rows(subscriptions) == []
    assert answer.json()["customer_id"] in answer.json()["detail"]
    named = await stack.create(customer_id=made["id"], **more)
    assert named.status_code == 201


@SQLITE
async def test_a_trial_of_a_known_customer_by_address_needs_a_card_although_there_is_none_yet(stack: Stack) -> None:
    make_customer(stack)
    answer = await stack.create(email=ADDRESS, trial_days=7)
    assert answer.json()["code"] == "payment_method_required"
    assert (await stack.create(email=ADDRESS, trial_days=7, payment_method_id=CARD)).status_code == 201


@SQLITE
async def test_a_card_that_became_the_default_since_is_not_charged_by_resuming(stack: Stack) -> None:
    first = (await stack.create(email=ADDRESS)).json()
    customer = stack.simulator.state.objects[first["stripe_customer_id"]]
    method = stack.simulator.routes.methods.attach(CARD, customer["id"])
    stack.simulator.routes.customers.update(customer, {"invoice_settings": {"default_payment_method": method["id"]}})
    answer = await stack.create(email=ADDRESS)
    assert answer.json()["code"] == "payment_method_required"
    assert (await stack.create(customer_id=first["customer_id"])).json()["id"] == first["id"]


@pytest.mark.parametrize("lost", [False, True], ids=["told", "lost"])
async def test_an_address_changed_at_stripe_moves_the_key(stack: Stack, lost: bool) -> None:  # noqa: FBT001
    made = (await stack.create(email=ADDRESS, payment_method_id=CARD)).json()
    await applied(stack)
    if lost:
        deaf(stack)
    customer = stack.simulator.state.objects[made["stripe_customer_id"]]
    stack.simulator.routes.customers.update(customer, {"email": "grace@example.com"})
    if not lost:
        await applied(stack)
    answer = await stack.create(email="Grace@example.com" if not lost else "grace@example.com", payment_method_id=CARD)
    assert answer.json()["subscription_id"] == made["id"]
    other = await stack.create(email=ADDRESS, payment_method_id=CARD)
    assert other.status_code == 201
    assert other.json()["customer_id"] != made["customer_id"]
    assert len(stack.charges()) == 2


async def test_requests_by_one_new_address_at_the_same_moment_make_one_customer(stack: Stack) -> None:
    answers = await asyncio.gather(
        *(stack.create(email=spelling, payment_method_id=CARD) for spelling in (ADDRESS, "ADA@example.com") * 3)
    )
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 5
    assert len(stack.simulator.state.all("customer")) == len(stack.charges()) == 1


async def test_until_the_import_is_complete_an_address_without_a_match_is_no_proof(stack: Stack) -> None:
    await idle(stack)
    deaf(stack)
    check_out(stack, "Ada@Example.com")
    await forget_import(stack)
    answer = await stack.create(email=ADDRESS, payment_method_id=CARD)
    assert (answer.status_code, answer.json()["code"]) == (409, "import_required")
    assert (await stack.create(email="Ada@Example.com", payment_method_id=CARD)).json()["code"] == "subscription_exists"
    assert (await stack.create(customer_reference="u-1", create=True, payment_method_id=CARD)).status_code == 201
    await stack.parts.importer.run()
    answer = await stack.create(email=ADDRESS, payment_method_id=CARD)
    assert answer.json()["code"] == "subscription_exists"
    assert len(stack.charges()) == 2


@SQLITE
async def test_an_account_without_customers_needs_no_import(stack: Stack) -> None:
    await forget_import(stack)
    assert (await stack.create(email=ADDRESS, payment_method_id=CARD)).status_code == 201
    assert await stack.parts.selection._history.is_imported()


async def test_an_interrupted_import_goes_on_and_a_worker_does_it_by_itself(stack: Stack) -> None:
    deaf(stack)
    made = [check_out(stack, f"ada{number}@example.com") for number in range(120)]
    await forget_import(stack)
    stack.simulator.faults.calls.append(Fault(kind="500_before", path="/v1/subscriptions", count=99))
    with pytest.raises(Exception, match="Stripe cannot be reached"):
        await stack.parts.importer.run()
    async with stack.parts.database.read() as connection:
        place = await read_cursor(connection, IMPORT)
    assert place is not None
    assert (place["kind"], place["counts"]) == ("subscription", {"customer": 120})
    stack.simulator.faults.clear()
    stack.stripe_calls.clear()
    stack.clock.advance(61)
    await stack.until(stack.parts.selection._history.is_imported)
    assert not [path for _, path in stack.stripe_calls if path.startswith("/v1/customers")]
    rows = await stack.rows(subscriptions)
    assert {row["stripe_subscription_id"] for row in rows} == {session["subscription"] for session in made}


@SQLITE
async def test_an_object_that_cannot_be_written_costs_the_import_no_other(stack: Stack) -> None:
    deaf(stack)
    bad, good = make_customer(stack, "bad@example.com"), make_customer(stack)
    bad["metadata"] = "no object"
    await forget_import(stack)
    await stack.parts.importer.run()

    async def brought() -> bool:
        return good["id"] in {row["stripe_customer_id"] for row in await stack.rows(customers)}

    await stack.until(brought)
    waiting = [row for row in await stack.rows(events) if row["object_id"] == bad["id"]]
    assert len(waiting) == 1


@SQLITE
async def test_a_subscription_that_only_stripe_shows_is_found_before_the_charge(stack: Stack) -> None:
    made = (
        await stack.create(customer_reference="u-1", create=True, price_id=OTHER_PRICE, payment_method_id=CARD)
    ).json()
    deaf(stack)
    params = {"customer": made["stripe_customer_id"], "items": [{"price": PRICE}]}
    method = stack.simulator.routes.methods.attach(CARD, made["stripe_customer_id"])
    other = stack.simulator.routes.billing.create(params | {"default_payment_method": method["id"]})
    answer = await stack.create(customer_reference="u-1", payment_method_id=CARD)
    assert (answer.status_code, answer.json()["code"]) == (409, "subscription_exists")
    assert len(stack.charges()) == 2
    shown = (await stack.client.get(f"/api/v1/subscriptions/{answer.json()['subscription_id']}")).json()
    assert shown["stripe_subscription_id"] == other["id"]
    again = await stack.create(customer_reference="u-1", payment_method_id=CARD, allow_multiple=True)
    assert again.status_code == 201
