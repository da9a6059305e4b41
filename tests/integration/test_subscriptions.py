"""Reading, listing and cancelling subscriptions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.servers.stack import OTHER_PRICE

from payment_service.mirror.subscription import TERMINAL
from payment_service.storage.tables import outbox, subscriptions
from stripe_simulator.faults import Fault

if TYPE_CHECKING:
    from tests.servers.stack import Stack

CARD = "pm_card_visa"
PATH = "/api/v1/subscriptions"


async def created(stack: Stack, **body: Any) -> dict[str, str]:
    answer = await stack.create(**({"email": "ada@example.com", "payment_method_id": CARD} | body))
    assert answer.status_code == 201
    found: dict[str, str] = answer.json()
    return found


async def test_a_subscription_is_read_by_its_id(stack: Stack) -> None:
    made = await created(stack)
    body = (await stack.client.get(f"{PATH}/{made['id']}")).json()
    assert body["stripe_subscription_id"] == made["stripe_subscription_id"]
    assert body["status"] == "active"


async def test_an_unknown_subscription_is_404(stack: Stack) -> None:
    answer = await stack.client.get(f"{PATH}/lps_unknown")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


async def test_pages_follow_each_other_without_gap_or_overlap(stack: Stack) -> None:
    made = [(await created(stack, allow_multiple=True))["id"] for _ in range(5)]
    seen: list[str] = []
    after: dict[str, str] = {}
    while True:
        page = (await stack.client.get(PATH, params={"limit": "2"} | after)).json()
        seen += [item["id"] for item in page["data"]]
        if not page["has_more"]:
            break
        after = {"starting_after": seen[-1]}
    assert seen == made[::-1]


async def test_a_list_is_filtered_by_customer_and_status(stack: Stack) -> None:
    made = await created(stack)
    await created(stack, email="grace@example.com")
    await created(stack, price_id=OTHER_PRICE, trial_days=7)
    query = {"customer_id": made["customer_id"], "status": "active"}
    body = (await stack.client.get(PATH, params=query)).json()
    assert [item["id"] for item in body["data"]] == [made["id"]]


@pytest.mark.parametrize("query", [{"limit": "0"}, {"limit": "101"}, {"limit": "x"}, {"status": "cold"}])
async def test_a_bad_query_is_a_problem(stack: Stack, query: dict[str, str]) -> None:
    answer = await stack.client.get(PATH, params=query)
    assert answer.status_code == 422
    assert next(iter(query)) in [error["field"] for error in answer.json()["errors"]]


async def test_cancelling_lets_the_period_end(stack: Stack) -> None:
    made = await created(stack)
    answer = await stack.client.post(f"{PATH}/{made['id']}/cancel", json={})
    assert answer.status_code == 200
    assert answer.json()["status"] == "active"
    assert answer.json()["cancel_at_period_end"]


async def test_cancelling_now_ends_it(stack: Stack) -> None:
    made = await created(stack)
    answer = await stack.client.post(f"{PATH}/{made['id']}/cancel", json={"at_period_end": False})
    assert answer.json()["status"] == "canceled"


async def test_a_cancelled_one_makes_room_for_a_new_one(stack: Stack) -> None:
    made = await created(stack)
    await stack.client.post(f"{PATH}/{made['id']}/cancel", json={"at_period_end": False})
    assert (await created(stack))["id"] != made["id"]


async def test_cancelling_twice_is_a_conflict(stack: Stack) -> None:
    made = await created(stack)
    for expected in (200, 409):
        answer = await stack.client.post(f"{PATH}/{made['id']}/cancel", json={"at_period_end": False})
        assert answer.status_code == expected


async def test_an_incomplete_one_has_no_period_to_end_with_and_is_cancelled_now(stack: Stack) -> None:
    made = await created(stack, payment_method_id="pm_card_authenticationRequired")
    refused = await stack.client.post(f"{PATH}/{made['id']}/cancel", json={})
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert refused.json()["subscription_status"] == "incomplete"
    assert "at_period_end: false" in refused.json()["detail"]
    answer = await stack.client.post(f"{PATH}/{made['id']}/cancel", json={"at_period_end": False})
    assert answer.status_code == 200
    assert answer.json()["status"] in TERMINAL


async def test_cancelling_an_unknown_one_is_404(stack: Stack) -> None:
    assert (await stack.client.post(f"{PATH}/lps_unknown/cancel", json={})).status_code == 404


async def test_a_cancellation_whose_answer_was_lost_is_recognized_as_ours(stack: Stack) -> None:
    made = await created(stack)
    stack.simulator.faults.calls.append(Fault(kind="reset_after", method="DELETE", count=2))
    answer = await stack.client.post(f"{PATH}/{made['id']}/cancel", json={"at_period_end": False})
    assert (answer.status_code, answer.json()["status"]) == (200, "canceled")


async def test_a_cancellation_that_stripe_did_not_answer_is_completed_later(stack: Stack) -> None:
    made = await created(stack)
    stack.simulator.faults.calls.append(Fault(kind="reset_after", path="/v1/subscriptions/.*", count=99))
    answer = await stack.client.post(f"{PATH}/{made['id']}/cancel", json={"at_period_end": False})
    assert answer.status_code == 503
    stack.simulator.faults.clear()
    stack.clock.advance(60)

    async def cancelled() -> bool:
        return [row["status"] for row in await stack.rows(subscriptions)] == ["canceled"]

    await stack.until(cancelled)


async def test_each_change_of_state_is_in_the_outbox(stack: Stack) -> None:
    made = await created(stack)
    await stack.client.post(f"{PATH}/{made['id']}/cancel", json={"at_period_end": False})
    changes = [row for row in await stack.rows(outbox) if row["object_type"] == "subscriptions"]
    assert changes[-1]["after"]["status"] == "canceled"
    assert changes[-1]["before"]["status"] == "active"
