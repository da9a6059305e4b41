"""Webhook endpoints as a resource."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import select, text

from payment_service.endpoints import queue, service, testing
from payment_service.storage.tables import audit_log
from payment_service.storage.webhook_tables import webhook_deliveries, webhook_endpoints

if TYPE_CHECKING:
    from tests.servers.stack import Stack

ENDPOINTS = "/api/v1/webhook-endpoints"
URL = "https://shop.example.com/hooks"


async def create(stack: Stack, status: int = 201, *, key: str | None = None, **body: Any) -> dict[str, Any]:
    headers = {} if key is None else {"Idempotency-Key": key}
    answer = await stack.client.post(ENDPOINTS, json={"url": URL, **body}, headers=headers)
    assert answer.status_code == status, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def test_the_secret_is_shown_by_its_answer_alone_and_stands_in_no_table(stack: Stack) -> None:
    made = await create(stack, key="one", event_types=["invoice.*"], description="shop")
    assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{43}=", made["secret"])
    shown = (await stack.client.get(f"{ENDPOINTS}/{made['id']}")).json()
    assert "secret" not in shown
    assert shown == {name: value for name, value in made.items() if name != "secret"}
    listed = (await stack.client.get(ENDPOINTS)).json()
    assert listed == {"data": [shown], "has_more": False}
    assert await create(stack, key="one", event_types=["invoice.*"], description="shop") == made
    async with stack.parts.database.read() as connection:
        for table in ("webhook_endpoints", "operations", "audit_log", "outbox", "idempotency_keys"):
            for row in await connection.execute(text(f"SELECT * FROM {table}")):
                assert made["secret"][6:] not in str(row)


async def test_a_rotated_secret_is_another_one_and_an_older_answer_shows_none(stack: Stack) -> None:
    made = await create(stack, key="one")
    path = f"{ENDPOINTS}/{made['id']}/rotate-secret"
    rotated = (await stack.client.post(path, json={"overlap_hours": 2})).json()
    assert rotated["secret"] != made["secret"]
    assert rotated["secret_fingerprint"] != made["secret_fingerprint"]
    assert rotated["former_secret_until"] is not None
    assert (await create(stack, key="one"))["secret"] is None
    again = (await stack.client.post(path, json={"overlap_hours": 0})).json()
    assert again["former_secret_until"] is None


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"url": "https://ada:pw@shop.example.com/"}, "user or a password"),
        ({"url": "https://shop.example.com/#there"}, "fragment"),
        ({"url": "ftp://shop.example.com/"}, "begins with"),
        ({"url": "https://10.0.0.1/"}, "not sent to"),
        ({"url": f"https://shop.example.com/{'a' * 2048}"}, "2048"),
        ({"event_types": ["invoice.payed"]}, "did you mean invoice.paid?"),
        ({"event_types": ["invoices.*"]}, "did you mean invoice.*?"),
        ({"customer_metadata": {"lean_payments_x": "1"}}, "metadata"),
        ({"secret": "whsec_mine"}, "unknown field"),
    ],
)
async def test_what_is_no_address_or_type_is_refused_by_name(stack: Stack, body: dict[str, Any], told: str) -> None:
    refused = await create(stack, 422, **body)
    assert [error["field"] for error in refused["errors"]] == list(body)
    assert told in str(refused["errors"])
    assert await stack.rows(webhook_endpoints) == []


async def test_a_change_is_made_once_and_audited(stack: Stack) -> None:
    made = await create(stack)
    path = f"{ENDPOINTS}/{made['id']}"
    changed = await stack.client.patch(path, json={"enabled": False, "description": None, "event_types": ["payment.*"]})
    assert changed.status_code == 200, changed.text
    body = changed.json()
    assert (body["enabled"], body["disabled_reason"], body["event_types"]) == (False, "asked", ["payment.*"])
    assert body["disabled_at"] is not None
    assert (await stack.client.post(f"{path}/test", json={})).status_code == 409
    enabled = (await stack.client.patch(path, json={"enabled": True})).json()
    assert (enabled["enabled"], enabled["disabled_reason"], enabled["disabled_at"]) == (True, None, None)
    gone = await stack.client.delete(path)
    assert gone.json() == {"id": made["id"], "deleted": True}
    assert (await stack.client.get(path)).status_code == 404
    assert (await stack.client.delete(path)).status_code == 404
    actions = [row["action"] for row in await stack.rows(audit_log)]
    assert actions == [f"webhook_endpoint.{verb}" for verb in ("create", "update", "update", "delete")]


async def test_there_are_no_more_endpoints_than_may_be(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "MAXIMUM_ENDPOINTS", 2)
    for _ in range(2):
        await create(stack)
    assert (await create(stack, 409))["code"] == "too_many_webhook_endpoints"


async def test_a_test_event_waits_for_the_worker_and_can_be_skipped(stack: Stack) -> None:
    stack.parts.worker.set_claiming(claim=False)
    made = await create(stack)
    waiting = await stack.client.post(f"{ENDPOINTS}/{made['id']}/test", json={})
    assert waiting.status_code == 202, waiting.text
    delivery = waiting.json()
    assert (delivery["state"], delivery["event_type"]) == ("pending", "webhook_endpoint.test")
    path = f"/api/v1/webhook-deliveries/{delivery['id']}"
    assert (await stack.client.post(f"{path}/skip", json={})).json()["state"] == "skipped"
    assert (await stack.client.post(f"{path}/skip", json={})).status_code == 409
    assert (await stack.client.post(f"{path}/retry", json={})).json()["state"] == "pending"
    await stack.client.delete(f"{ENDPOINTS}/{made['id']}")
    await stack.parts.deliverer.tend()
    async with stack.parts.database.read() as connection:
        assert (await connection.execute(select(webhook_deliveries))).all() == []


async def test_few_test_events_may_wait_for_an_endpoint(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(testing, "MAXIMUM_TESTS", 2)
    stack.parts.worker.set_claiming(claim=False)
    made, other = await create(stack), await create(stack)
    path = f"{ENDPOINTS}/{made['id']}/test"
    waiting = [(await stack.client.post(path, json={})).json() for _ in range(2)]
    refused = await stack.client.post(path, json={})
    assert (refused.status_code, refused.json()["code"]) == (409, "too_many_webhook_tests")
    assert made["id"] in refused.json()["detail"]
    assert (await stack.client.post(f"{ENDPOINTS}/{other['id']}/test", json={})).status_code == 202
    first, second = (f"/api/v1/webhook-deliveries/{one['id']}" for one in waiting)
    assert (await stack.client.post(f"{first}/skip", json={})).status_code == 200
    assert (await stack.client.post(path, json={})).status_code == 202
    again = await stack.client.post(f"{first}/retry", json={})
    assert (again.status_code, again.json()["code"]) == (409, "too_many_webhook_tests")
    assert (await stack.client.get(first)).json()["state"] == "skipped"
    assert (await stack.client.post(f"{second}/retry", json={})).status_code == 200  # it waits already
    async with stack.parts.database.read() as connection:
        assert await queue.backlog(connection, made["id"], limit=10) == 0  # tests stop no event
