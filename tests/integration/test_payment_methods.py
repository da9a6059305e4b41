"""Saving a payment method by a setup intent, and reading, choosing and detaching what is saved."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from payment_service.mirror.payment_method import LISTS, payment_methods
from payment_service.storage.cursors import write_cursor
from payment_service.storage.tables import audit_log, operations, outbox
from stripe_simulator.faults import Fault

if TYPE_CHECKING:
    import httpx
    from tests.servers.stack import Stack

PATH = "/api/v1/payment-methods"
SETUP = "/api/v1/setup-intents"
REFERENCE = "user-1815"


async def customer(stack: Stack, **more: Any) -> dict[str, Any]:
    answer = await stack.client.post("/api/v1/customers", json={"reference": REFERENCE, **more})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def setup_intent(stack: Stack, **body: Any) -> dict[str, Any]:
    answer = await stack.client.post(SETUP, json=body or {"customer_reference": REFERENCE})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def saved(stack: Stack, card: str = "pm_card_visa", **details: Any) -> dict[str, Any]:
    """Save a card as a customer's browser does, and return it once its event has come."""
    made = await setup_intent(stack)
    world = stack.simulator.routes
    intent = world.setups.confirm(stack.simulator.state.get("setup_intent", made["id"]), {"payment_method": card})
    if details:
        method = stack.simulator.state.get("payment_method", intent["payment_method"])
        world.methods.update(method, {"billing_details": details})
    stack.simulator.state.flush()
    return await told(stack, intent["payment_method"], **details)


async def told(stack: Stack, method_id: str, **details: Any) -> dict[str, Any]:
    async def known() -> dict[str, Any] | None:
        listed = await listing(stack, customer_reference=REFERENCE)
        found = [each for each in listed["data"] if each["id"] == method_id]
        shown = bool(found) and all(found[0]["billing_details"][name] == value for name, value in details.items())
        return found[0] if shown else None

    found: dict[str, Any] = await stack.until(known)
    return found


async def listing(stack: Stack, **query: str) -> dict[str, Any]:
    answer = await stack.client.get(PATH, params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def change(stack: Stack, method_id: str, verb: str, **headers: str) -> httpx.Response:
    return await stack.client.post(f"{PATH}/{method_id}/{verb}", json={}, headers=headers)


async def test_a_card_is_saved_by_a_setup_intent_and_shown_as_stripe_shows_it(stack: Stack) -> None:
    made = await customer(stack)
    setup = await setup_intent(stack, customer_id=made["id"], metadata={"flow": "settings"})
    assert setup["client_secret"].startswith(f"{setup['id']}_secret_")
    assert (setup["status"], setup["usage"], setup["metadata"]) == (
        "requires_payment_method",
        "off_session",
        {"flow": "settings"},
    )
    card = await saved(stack, name="Ada", email="ada@example.com")
    assert (card["customer_id"], card["type"], card["is_default"]) == (made["id"], "card", False)
    assert (card["card"]["brand"], card["card"]["last4"], card["card"]["exp_month"]) == ("visa", "4242", 12)
    assert card["billing_details"]["name"] == "Ada"
    read = (await stack.client.get(f"{PATH}/{card['id']}")).json()
    assert read == card


async def test_a_setup_intent_is_read_without_its_secret(stack: Stack) -> None:
    await customer(stack)
    made = await setup_intent(stack, customer_reference=REFERENCE, usage="on_session")
    answer = await stack.client.get(f"{SETUP}/{made['id']}")
    assert answer.json() == {name: value for name, value in made.items() if name != "client_secret"}
    world = stack.simulator.routes
    world.setups.confirm(stack.simulator.state.get("setup_intent", made["id"]), {"payment_method": "pm_card_visa"})

    async def succeeded() -> bool:
        body = (await stack.client.get(f"{SETUP}/{made['id']}")).json()
        return bool(body["status"] == "succeeded" and body["payment_method_id"].startswith("pm_"))

    await stack.until(succeeded)


async def test_the_secret_is_replayed_to_the_caller_and_stands_in_no_outbox(stack: Stack) -> None:
    await customer(stack)
    key = {"Idempotency-Key": "save-1"}
    body = {"customer_reference": REFERENCE}
    first, again = [await stack.client.post(SETUP, json=body, headers=key) for _ in range(2)]
    assert again.content == first.content
    assert again.headers["Idempotent-Replayed"] == "true"
    assert len(stack.simulator.state.all("setup_intent")) == 1
    secret = first.json()["client_secret"]
    for table in (outbox, audit_log):
        assert secret not in str(await stack.rows(table))


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "customer_id"),
        ({"customer_id": "lpc_1", "customer_reference": "x"}, "customer_id"),
        ({"customer_id": "lpc_unknown"}, "customer_id"),
        ({"customer_reference": "unknown"}, "customer_reference"),
        ({"customer_reference": REFERENCE, "usage": "never"}, "usage"),
        ({"customer_reference": REFERENCE, "card": "x"}, "card"),
    ],
)
async def test_a_setup_intent_of_nobody_or_for_nothing_is_refused(
    stack: Stack, body: dict[str, Any], field: str
) -> None:
    await customer(stack)
    answer = await stack.client.post(SETUP, json=body)
    assert answer.status_code == 422, answer.text
    assert field in [error["field"] for error in answer.json()["errors"]]


async def test_the_default_is_the_customers(stack: Stack) -> None:
    made = await customer(stack)
    first, second = await saved(stack), await saved(stack, "pm_card_mastercard")
    for chosen in (first, second):
        answer = await change(stack, chosen["id"], "set-default")
        assert (answer.status_code, answer.json()["is_default"]) == (200, True)
    shown = {card["id"]: card["is_default"] for card in (await listing(stack))["data"]}
    assert shown == {first["id"]: False, second["id"]: True}
    read = (await stack.client.get(f"/api/v1/customers/{made['id']}")).json()
    assert read["default_payment_method_id"] == second["id"]
    assert await actions(stack) == {"default_payment_method.set"}


async def actions(stack: Stack) -> set[str]:
    return {row["action"] for row in await stack.rows(audit_log)} - {"customer.create", "setup_intent.create"}


async def test_a_detached_card_is_nobodys_and_keeps_nothing_personal(stack: Stack) -> None:
    await customer(stack)
    card = await saved(stack, name="Ada")
    await change(stack, card["id"], "set-default")
    answer = await change(stack, card["id"], "detach")
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["detached"], body["customer_id"], body["is_default"]) == (True, None, False)
    assert (body["card"], body["billing_details"]) == (None, None)
    assert (await listing(stack, customer_reference=REFERENCE))["data"] == []
    (row,) = await stack.rows(payment_methods)
    assert (row["detached"], row["card"], row["billing_details"]) == (True, {}, {})
    assert await actions(stack) == {"payment_method.detach", "default_payment_method.set"}

    async def no_default() -> bool:
        found = (await stack.client.get(f"/api/v1/customers/by-reference/{REFERENCE}")).json()
        return found["default_payment_method_id"] is None

    await stack.until(no_default)


@pytest.mark.parametrize("verb", ["detach", "set-default"])
async def test_a_detached_card_cannot_be_changed(stack: Stack, verb: str) -> None:
    await customer(stack)
    card = await saved(stack)
    assert (await change(stack, card["id"], "detach")).status_code == 200
    answer = await change(stack, card["id"], verb)
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")


async def test_a_card_detached_elsewhere_meanwhile_is_a_conflict_to_choose_and_done_to_detach(stack: Stack) -> None:
    await customer(stack)
    chosen, detached = await saved(stack), await saved(stack)
    stack.simulator.routes.delivery.retry_seconds = (3600,)
    stack.simulator.faults.webhooks.clear()
    for card in (chosen, detached):
        stack.simulator.state.get("payment_method", card["id"])["customer"] = None  # no event told of it yet
    refused = await change(stack, chosen["id"], "set-default")
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    done = await change(stack, detached["id"], "detach")
    assert (done.status_code, done.json()["detached"]) == (200, True)


@pytest.mark.parametrize("verb", ["", "/detach", "/set-default"])
async def test_what_no_customer_has_is_404(stack: Stack, verb: str) -> None:
    for method_id in ("pm_unknown", "pm_card_visa"):
        path = f"{PATH}/{method_id}{verb}"
        answer = await (stack.client.post(path, json={}) if verb else stack.client.get(path))
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_a_list_is_newest_first_in_pages_both_ways_and_filtered(stack: Stack) -> None:
    made = await customer(stack)
    ids = []
    for _ in range(3):
        ids.append((await saved(stack))["id"])
        stack.clock.advance(1)
    first = await listing(stack, customer_id=made["stripe_customer_id"], limit="2")
    assert ([card["id"] for card in first["data"]], first["has_more"]) == (ids[:0:-1], True)
    rest = await listing(stack, limit="2", starting_after=ids[1])
    assert [card["id"] for card in rest["data"]] == ids[:1]
    back = await listing(stack, ending_before=ids[0])
    assert [card["id"] for card in back["data"]] == ids[:0:-1]
    assert (await listing(stack, type="sepa_debit"))["data"] == []
    assert len((await listing(stack, type="card"))["data"]) == 3


@pytest.mark.parametrize(
    "query", [{"type": "Card!"}, {"customer_id": "lpc_1", "customer_reference": "x"}, {"customer_id": "lpc_unknown"}]
)
async def test_a_bad_query_is_refused(stack: Stack, query: dict[str, str]) -> None:
    assert (await stack.client.get(PATH, params=query)).status_code == 422


async def test_cards_of_a_customer_made_elsewhere_are_taken_from_stripe_once(stack: Stack) -> None:
    world = stack.simulator.routes
    world.delivery.retry_seconds = ()
    stack.simulator.state.by_kind["webhook_endpoint"].clear()  # nothing tells of it
    made = world.customers.create({"email": "grace@example.com"})
    card = world.methods.attach("pm_card_visa", made["id"])
    world.customers.update(made, {"invoice_settings": {"default_payment_method": card["id"]}})
    stack.stripe_calls.clear()
    for _ in range(2):
        (shown,) = (await listing(stack, customer_id=made["id"]))["data"]
        assert (shown["id"], shown["is_default"]) == (card["id"], True)
    lists = [path for _, path in stack.stripe_calls if path.endswith("/payment_methods")]
    assert len(lists) == 1
    world.methods.detach(card)
    stack.clock.advance(5)
    async with stack.parts.database.transaction() as connection:
        now = stack.clock.now()
        await write_cursor(connection, LISTS, {"since": now.isoformat()}, now=now)
    assert (await listing(stack, customer_id=made["id"]))["data"] == []


async def test_a_change_that_stripe_did_not_answer_is_completed_once(stack: Stack) -> None:
    await customer(stack)
    card = await saved(stack)
    for verb in ("set-default", "detach"):
        stack.simulator.faults.calls.append(Fault(kind="reset_after", method="POST", count=99))
        key = f"again-{verb}"
        first = await change(stack, card["id"], verb, **{"Idempotency-Key": key})
        assert first.status_code == 503
        stack.simulator.faults.clear()
        stack.clock.advance(60)
        answer = await stack.until(partial(_answered, stack, card["id"], verb, key))
        assert answer.status_code == 200, answer.text
    kinds = [event["type"] for event in stack.simulator.state.all("event")]
    assert kinds.count("payment_method.detached") == 1


async def _answered(stack: Stack, method_id: str, verb: str, key: str) -> httpx.Response | None:
    answer = await change(stack, method_id, verb, **{"Idempotency-Key": key})
    return None if answer.is_error and answer.json()["code"] == "idempotency_key_in_use" else answer


async def test_what_an_operation_stores_of_a_person_is_found_by_the_customer(stack: Stack) -> None:
    made = await customer(stack)
    card = await saved(stack, name="Ada")
    await change(stack, card["id"], "set-default")
    facts = {row["kind"]: row["facts"] for row in await stack.rows(operations)}
    for kind in ("create_setup_intent", "set_default_payment_method"):
        assert facts[kind]["customer_id"] == made["id"]


def default_at_stripe(stack: Stack, made: dict[str, Any]) -> str:
    found = stack.simulator.state.get("customer", made["stripe_customer_id"])
    return str(found["invoice_settings"]["default_payment_method"])


async def test_a_choice_whose_answer_was_lost_does_not_undo_a_newer_one(stack: Stack) -> None:
    made = await customer(stack)
    former, newer = await saved(stack), await saved(stack, "pm_card_mastercard")
    path = f"/v1/customers/{made['stripe_customer_id']}"
    stack.simulator.faults.calls.append(Fault(kind="reset_before", method="POST", path=path, count=3))
    lost = await change(stack, former["id"], "set-default", **{"Idempotency-Key": "former"})
    assert lost.status_code == 503
    stack.simulator.faults.clear()

    async def chosen() -> bool:
        stack.clock.advance(5)
        answer = await change(stack, newer["id"], "set-default", **{"Idempotency-Key": "newer"})
        return answer.status_code == 200

    await stack.until(chosen)
    stack.clock.advance(60)
    answer = await stack.until(partial(_answered, stack, former["id"], "set-default", "former"))
    assert answer.status_code == 200
    assert default_at_stripe(stack, made) == newer["id"]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_choice_that_comes_a_day_late_leaves_what_was_chosen_since(stack: Stack) -> None:
    made = await customer(stack)
    former, newer = await saved(stack), await saved(stack, "pm_card_mastercard")
    path = f"/v1/customers/{made['stripe_customer_id']}"
    stack.simulator.faults.calls.append(Fault(kind="reset_before", method="POST", path=path, count=99))
    assert (await change(stack, former["id"], "set-default", **{"Idempotency-Key": "late"})).status_code == 503
    stack.simulator.faults.clear()
    found = stack.simulator.state.get("customer", made["stripe_customer_id"])
    stack.parts.worker.set_claiming(claim=False)
    stack.simulator.routes.customers.update(found, {"invoice_settings": {"default_payment_method": newer["id"]}})
    stack.clock.advance(24 * 3600)
    answer = await stack.until(partial(_answered, stack, former["id"], "set-default", "late"))
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert default_at_stripe(stack, made) == newer["id"]
