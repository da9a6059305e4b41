"""No body says what `{}` says, on every route that asks for nothing in it, and the document says which those are."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from sqlalchemy import update
from tests.documented import DOCUMENT

from payment_service.endpoints import queue
from payment_service.endpoints.testing import TEST
from payment_service.storage.tables import events
from payment_service.storage.webhook_tables import webhook_endpoints

if TYPE_CHECKING:
    from tests.servers.stack import Stack

SUBSCRIPTIONS = "/api/v1/subscriptions"
NONE: list[dict[str, str]] = [
    {},
    {"Content-Type": "application/json"},
    {"Content-Type": "application/x-www-form-urlencoded"},
]
"""What clients say of a body that they do not send; the last is `curl -d ''`."""


def routes(*, required: bool) -> dict[str, str]:
    """Return the paths, each with its method."""
    return {
        path: method
        for path, operations in DOCUMENT["paths"].items()
        for method, operation in operations.items()
        if operation.get("requestBody", {}).get("required") is required
    }


async def settled(stack: Stack) -> list[dict[str, Any]]:
    """Return the events once the worker has left them all: what is answered about one that waits changes meanwhile."""
    found = await stack.rows(events)
    return found if all(event["state"] in {"applied", "ignored"} for event in found) else []


async def filled(path: str, stack: Stack) -> str:
    """Return a path of the route at which something is."""
    stack.parts.worker.set_claiming(claim=True)
    made = (await stack.create(email="ada@example.com", payment_method_id="pm_card_visa", allow_multiple=True)).json()
    found = await stack.until(partial(settled, stack))
    event = min(found, key=itemgetter("state", "id"))  # the same at each call: what is ignored is answered otherwise
    cards = (await stack.client.get("/api/v1/payment-methods", params={"customer_id": made["customer_id"]})).json()
    stack.parts.worker.set_claiming(claim=False)  # else it may end the replay, which cannot be canceled then
    hook = (await stack.client.post("/api/v1/webhook-endpoints", json={"url": "https://shop.example.com/"})).json()
    async with stack.parts.database.transaction() as connection:
        later = update(webhook_endpoints).where(webhook_endpoints.c.id == hook["id"])
        await connection.execute(later.values(resume_at=stack.clock.now() + timedelta(days=1)))
        delivery_id = await queue.add_test(connection, hook["id"], event_type=TEST, now=stack.clock.now())
    asked = {"since": "2010-01-01T00:00:00Z"}
    replay = (await stack.client.post(f"/api/v1/webhook-endpoints/{hook['id']}/replay", json=asked)).json()
    return path.format(
        subscription_id=made["id"],
        event_id=event["id"],
        payment_method_id=cards["data"][0]["id"],
        webhook_endpoint_id=hook["id"],
        webhook_delivery_id=delivery_id,
        webhook_replay_id=replay["id"],
    )


def test_the_document_knows_routes_of_both_kinds() -> None:
    assert set(routes(required=False)) == {
        "/api/v1/admin/inbox/{event_id}/restore",
        "/api/v1/admin/inbox/{event_id}/retry",
        "/api/v1/subscriptions/{subscription_id}/cancel/preview",
        "/api/v1/admin/reconcile",
        "/api/v1/customers",
        "/api/v1/payment-methods/{payment_method_id}/detach",
        "/api/v1/payment-methods/{payment_method_id}/set-default",
        "/api/v1/subscriptions/{subscription_id}/cancel",
        "/api/v1/webhook-endpoints/{webhook_endpoint_id}",
        "/api/v1/webhook-endpoints/{webhook_endpoint_id}/rotate-secret",
        "/api/v1/webhook-endpoints/{webhook_endpoint_id}/test",
        "/api/v1/webhook-deliveries/{webhook_delivery_id}/retry",
        "/api/v1/webhook-deliveries/{webhook_delivery_id}/skip",
        "/api/v1/webhook-replays/{webhook_replay_id}/cancel",
    }
    assert set(routes(required=True)) == {
        "/api/v1/admin/inbox/replay",
        "/api/v1/admin/inbox/{event_id}/discard",
        "/api/v1/payments/create-subscription",
        "/api/v1/refunds",
        "/api/v1/setup-intents",
        "/api/v1/subscriptions/{subscription_id}",
        "/api/v1/subscriptions/preview",
        "/api/v1/subscriptions/{subscription_id}/preview",
        "/api/v1/webhook-endpoints",
        "/api/v1/webhook-endpoints/{webhook_endpoint_id}/replay",
    }


async def test_no_body_is_answered_as_an_empty_object_is(stack: Stack) -> None:
    for path, method in routes(required=False).items():
        asked: list[dict[str, Any]] = [{"json": {}}, *({"headers": told} for told in NONE)]
        answers = [await stack.client.request(method, await filled(path, stack), **request) for request in asked]
        outcomes = {(answer.status_code, answer.json().get("code")) for answer in answers}
        assert len(outcomes) == 1, (path, outcomes)
        assert not {status for status, _ in outcomes} & {400, 415, 422}, (path, outcomes)


async def test_no_body_is_refused_where_one_is_needed(stack: Stack) -> None:
    for path, method in routes(required=True).items():
        where = await filled(path, stack)
        assert (await stack.client.request(method, where)).status_code == 400, path
        assert (await stack.client.request(method, where, json={})).status_code == 422, (
            path
        )  # so it is rightly required


async def test_a_cancellation_without_a_body_is_the_default_and_the_same_request_as_an_empty_one(stack: Stack) -> None:
    path: Any = await filled(f"{SUBSCRIPTIONS}/{{subscription_id}}/cancel", stack)
    key = {"Idempotency-Key": "k"}
    first = await stack.client.post(path, headers=key)
    again = await stack.client.post(path, headers=key, json={})
    assert first.status_code == 200
    assert first.json()["cancel_at_period_end"]
    assert (again.headers.get("Idempotent-Replayed"), again.content) == ("true", first.content)


async def test_a_body_that_is_there_must_be_json_still(stack: Stack) -> None:
    path = await filled(f"{SUBSCRIPTIONS}/{{subscription_id}}/cancel", stack)
    form = await stack.client.post(path, data={"at_period_end": "false"})
    blank = await stack.client.post(path, content=b" ")
    null = await stack.client.post(path, content=b"null")
    assert [form.status_code, blank.status_code, null.status_code] == [415, 400, 400]
