"""Giving money back: once for a request, and never more than was paid."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from payment_service.mirror.refund import refunds
from payment_service.storage.tables import audit_log, outbox
from payment_service.stripe_api.metadata import OPERATION
from stripe_simulator.faults import Fault

if TYPE_CHECKING:
    import httpx
    from tests.servers.stack import Stack

    from stripe_simulator.faults import FaultKind

PATH = "/api/v1/refunds"
AT_STRIPE = "/v1/refunds"
AMOUNT = 2900
KEY = {"Idempotency-Key": "refund-1"}
DAY = 86_400.0


async def paid(stack: Stack, card: str = "pm_card_visa") -> dict[str, Any]:
    """Let a customer pay, and return the charge."""
    answer = await stack.create(email="ada@example.com", payment_method_id=card)
    assert answer.status_code == 201, answer.text
    (charge,) = stack.simulator.state.all("charge")
    assert charge["amount"] == AMOUNT
    found: dict[str, Any] = charge
    return found


async def refund(stack: Stack, charge: dict[str, Any], headers: dict[str, str] | None = None, /, **body: Any) -> Any:
    body = {"payment_id": charge["payment_intent"]} | body
    return await stack.client.post(PATH, json=body, headers=headers)


def made(stack: Stack) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = stack.simulator.state.all("refund")
    return found


async def finish(stack: Stack, charge: dict[str, Any], seconds: float, **body: Any) -> httpx.Response:
    """Send the request again until it is answered for good, while the clock moves on."""

    async def answered() -> Any:
        stack.clock.advance(seconds)
        answer = await refund(stack, charge, KEY, **body)
        return answer if answer.status_code not in {409, 503, 504} else None

    found: httpx.Response = await stack.until(answered)
    return found


@pytest.mark.parametrize("named", ["payment_intent", "charge", "invoice"])
async def test_a_payment_is_refunded_whole_by_each_of_its_names(stack: Stack, named: str) -> None:
    charge = await paid(stack)
    (invoice,) = stack.simulator.state.all("invoice")
    body = {
        "payment_intent": {"payment_id": charge["payment_intent"]},
        "charge": {"payment_id": charge["id"]},
        "invoice": {"invoice_id": invoice["id"]},
    }[named]
    answer = await stack.client.post(PATH, json=body)
    assert answer.status_code == 201, answer.text
    shown = answer.json()
    assert (shown["amount"], shown["status"], shown["charge_id"]) == (AMOUNT, "succeeded", charge["id"])
    assert (charge["amount_refunded"], charge["refunded"]) == (AMOUNT, True)


async def test_a_part_is_refunded_with_its_reason_and_recorded_everywhere(stack: Stack) -> None:
    charge = await paid(stack)
    answer = await refund(stack, charge, amount=500, reason="duplicate", metadata={"ticket": "7"})
    shown = answer.json()
    assert (shown["amount"], shown["reason"], shown["metadata"]) == (500, "duplicate", {"ticket": "7"})
    (row,) = await stack.rows(refunds)
    assert (row["id"], row["amount"], row["livemode"]) == (shown["id"], 500, False)
    audited = [entry for entry in await stack.rows(audit_log) if entry["action"] == "refund.create"]
    assert [(entry["object_type"], entry["object_id"]) for entry in audited] == [("refund", shown["id"])]
    assert shown["id"] in [entry["object_id"] for entry in await stack.rows(outbox)]

    async def told() -> list[dict[str, Any]]:
        page = (await stack.client.get("/api/v1/events", params={"types": "refund.*"})).json()
        return [event["data"]["object"] for event in page["data"]]

    assert OPERATION not in str(await stack.until(told))


async def test_what_is_left_is_refunded_when_no_amount_is_named(stack: Stack) -> None:
    charge = await paid(stack)
    for amount, left in ((500, AMOUNT - 500), (None, 0)):
        body = {} if amount is None else {"amount": amount}
        answer = await refund(stack, charge, None, **body)
        assert answer.status_code == 201, answer.text
        assert charge["amount"] - charge["amount_refunded"] == left


async def test_more_than_is_left_is_refused_with_what_is_left(stack: Stack) -> None:
    charge = await paid(stack)
    await refund(stack, charge, amount=AMOUNT - 100)
    answer = await refund(stack, charge, amount=101)
    body = answer.json()
    assert (answer.status_code, body["amount_refundable"], body["errors"][0]["field"]) == (422, 100, "amount")
    await refund(stack, charge)
    answer = await refund(stack, charge, amount=1)
    assert (answer.status_code, answer.json()["code"]) == (409, "payment_not_refundable")
    assert answer.json()["amount_refundable"] == 0


@pytest.mark.parametrize("amount", [None, 2000])
async def test_refunds_at_the_same_moment_give_back_no_more_than_was_paid(stack: Stack, amount: int | None) -> None:
    charge = await paid(stack)
    body = {} if amount is None else {"amount": amount}
    answers = await asyncio.gather(*(refund(stack, charge, None, **body) for _ in range(4)))
    assert {answer.status_code for answer in answers} <= {201, 409, 422}
    assert sum(answer.status_code == 201 for answer in answers) == 1
    assert sum(each["amount"] for each in made(stack)) == charge["amount_refunded"] <= AMOUNT


async def test_copies_of_a_request_at_the_same_moment_are_one_refund(stack: Stack) -> None:
    charge = await paid(stack)
    answers = await asyncio.gather(*(refund(stack, charge, KEY, amount=100) for _ in range(4)))
    assert {answer.status_code for answer in answers} <= {201, 409}
    again = await refund(stack, charge, KEY, amount=100)
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (201, "true")
    assert [each["id"] for each in made(stack)] == [again.json()["id"]]


@pytest.mark.parametrize(
    "kind", ["reset_before", "reset_after", "500_before", "500_after", "500_saved", "500_saved_after", "429", "409"]
)
async def test_a_lost_or_failed_answer_of_stripe_ends_in_one_refund(stack: Stack, kind: FaultKind) -> None:
    charge = await paid(stack)
    stack.simulator.faults.calls.append(Fault(kind=kind, method="POST", path=AT_STRIPE, count=3))
    await refund(stack, charge, KEY, amount=700)
    answer = await finish(stack, charge, 60, amount=700)
    assert (answer.status_code, answer.json()["amount"]) == (201, 700)
    assert [each["amount"] for each in made(stack)] == [700]


@pytest.mark.parametrize("body", [{}, {"amount": 700}])
async def test_beyond_stripes_memory_of_keys_the_refund_is_found_by_its_mark(
    stack: Stack, body: dict[str, int]
) -> None:
    charge = await paid(stack)
    stack.simulator.faults.calls.append(Fault(kind="reset_after", method="POST", path=AT_STRIPE, count=3))
    assert (await refund(stack, charge, KEY, **body)).status_code == 503
    for saved in stack.simulator.state.all("_idempotency_key"):
        stack.simulator.state.remove(saved)
    answer = await finish(stack, charge, DAY, **body)
    assert answer.status_code == 201, answer.text
    assert [each["id"] for each in made(stack)] == [answer.json()["id"]]


async def test_keys_that_stripe_forgot_early_are_no_refusal_of_what_was_done(stack: Stack) -> None:
    """The retry is refused, for the whole is refunded: by this operation itself."""
    charge = await paid(stack)
    stack.simulator.faults.calls.append(Fault(kind="reset_after", method="POST", path=AT_STRIPE, count=3))
    assert (await refund(stack, charge, KEY)).status_code == 503
    for saved in stack.simulator.state.all("_idempotency_key"):
        stack.simulator.state.remove(saved)
    answer = await finish(stack, charge, 60)
    assert answer.status_code == 201, answer.text
    assert len(made(stack)) == 1


@pytest.mark.parametrize(("card", "status"), [("pm_card_pendingRefund", "pending"), ("pm_card_refundFail", "failed")])
async def test_the_status_of_a_refund_that_takes_days_or_fails_is_told(stack: Stack, card: str, status: str) -> None:
    charge = await paid(stack, card)
    answer = await refund(stack, charge)
    assert (answer.status_code, answer.json()["status"]) == (201, status)


async def test_a_disputed_payment_is_refused(stack: Stack) -> None:
    charge = await paid(stack, "pm_card_createDispute")
    answer = await refund(stack, charge)
    assert (answer.status_code, answer.json()["code"]) == (409, "payment_not_refundable")
    assert "disputed" in answer.json()["detail"]
    assert made(stack) == []


async def test_a_payment_that_has_not_succeeded_is_refused(stack: Stack) -> None:
    await stack.create(email="ada@example.com")
    (intent,) = stack.simulator.state.all("payment_intent")
    answer = await stack.client.post(PATH, json={"payment_id": intent["id"]})
    assert (answer.status_code, answer.json()["code"]) == (409, "payment_not_refundable")
    (invoice,) = stack.simulator.state.all("invoice")
    answer = await stack.client.post(PATH, json={"invoice_id": invoice["id"]})
    assert (answer.status_code, answer.json()["code"]) == (409, "payment_not_refundable")


async def test_a_payment_of_the_other_mode_is_none(stack: Stack) -> None:
    charge = await paid(stack)
    charge["livemode"] = True
    answer = await refund(stack, charge)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "payment_id")
    assert made(stack) == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "payment_id"),
        ({"payment_id": "pi_1", "invoice_id": "in_1"}, "payment_id"),
        ({"payment_id": "pi_unknown"}, "payment_id"),
        ({"payment_id": "ch_unknown"}, "payment_id"),
        ({"payment_id": "re_1"}, "payment_id"),
        ({"invoice_id": "in_unknown"}, "invoice_id"),
        ({"payment_id": "pi_1", "amount": 0}, "amount"),
        ({"payment_id": "pi_1", "amount": -1}, "amount"),
        ({"payment_id": "pi_1", "amount": 1.5}, "amount"),
        ({"payment_id": "pi_1", "reason": "expired_uncaptured_charge"}, "reason"),
        ({"payment_id": "pi_1", "refund_application_fee": True}, "refund_application_fee"),
    ],
)
async def test_what_names_no_payment_or_amount_is_refused(stack: Stack, body: dict[str, Any], field: str) -> None:
    answer = await stack.client.post(PATH, json=body)
    assert answer.status_code == 422, answer.text
    assert field in [error["field"] for error in answer.json()["errors"]]
