"""Every request of ours is one that Stripe's description accepts: a running stripe-mock says so."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.contract.simulator.description import VERSION
from tests.contract.simulator.mock import stripe_mock
from tests.contract.simulator.recording import KEY
from tests.contract.simulator.scenario import drive
from tests.servers.stack import Stack, development_settings, migrate_async, running_stack

from payment_service.errors import PaymentsError
from payment_service.stripe_api import calls, change_calls
from payment_service.stripe_api.gateway import StripeGateway, StripeRejected
from stripe_simulator.state import API_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SAMPLES: dict[str, Any] = {
    "behavior": "always_invoice",
    "by": "lookup_key",
    "collection": "invoices",
    "email": "ada@example.com",
    "payment_method": "pm_card_visa",
    "params": {"description": "Ten seats", "metadata": {"a": "b", "c": ""}, "cancel_at": ""},
    "quantity": 2,
    "trial_days": 7,
    "trial_end": "now",
    "usage": "off_session",
    "metadatum": ("lean_payments_operation", "lpk_1"),
}
TYPES: dict[str, Any] = {
    "str": "id_123",
    "int": 1,
    "bool": True,
    "float": 1.0,
    "Mapping": {"a": "b"},
    "dict": {"a": "b"},
}
CALLS = {
    name: value
    for module in (calls, change_calls)
    for name, value in sorted(vars(module).items())
    if inspect.iscoroutinefunction(value) or inspect.isasyncgenfunction(value)
    if value.__module__ == module.__name__ and not name.startswith("_")
}


@pytest.fixture(scope="module")
def mock_url() -> Iterator[str]:
    with stripe_mock() as url:
        yield url


def _sample(name: str, annotation: Any) -> Any:
    """Return a value for a parameter: by its name, else by its type."""
    if name in SAMPLES:
        return SAMPLES[name]
    text = str(getattr(annotation, "__forward_arg__", getattr(annotation, "__name__", annotation)))
    terms = getattr(calls, text, None) or getattr(change_calls, text, None)
    if terms is not None and hasattr(terms, "_fields"):
        return terms(**{field: _sample(field, terms.__annotations__[field]) for field in terms._fields})
    for kind, value in TYPES.items():
        if text.startswith(kind):
            return value
    raise AssertionError(f"no sample for {name}: {text}; add one to SAMPLES")


def _gateway(url: str) -> StripeGateway:
    patience = {"PAYMENTS_STRIPE_TIMEOUT_SECONDS": "60"}
    return StripeGateway(development_settings(database_url="sqlite:///unused", stripe_url=url, **patience).stripe)


@pytest.mark.parametrize("name", CALLS)
async def test_stripe_mock_accepts_the_call(mock_url: str, name: str) -> None:
    call = CALLS[name]
    gateway = _gateway(mock_url)
    arguments, named = [], {}
    for parameter in list(inspect.signature(call).parameters.values())[1:]:
        if parameter.kind is parameter.VAR_KEYWORD:
            continue
        value = _sample(parameter.name, parameter.annotation)
        if parameter.kind is parameter.KEYWORD_ONLY:
            named[parameter.name] = value
        else:
            arguments.append(value)
    try:
        answer = call(gateway, *arguments, **named)
        if inspect.isasyncgen(answer):
            await anext(answer, None)
            await answer.aclose()
        else:
            await answer
    finally:
        await gateway.close()


async def test_stripe_mock_refuses_a_wrong_parameter(mock_url: str) -> None:
    gateway = _gateway(mock_url)
    with pytest.raises(StripeRejected):
        await gateway.request("wrong", "post", "customers", params={"colour": "red"}, idempotency_key="k")
    await gateway.close()


async def _use_the_service(stack: Stack) -> None:
    """Do what users do: pay, be declined, be asked for authentication, try, resume, cancel; and let the worker work."""
    paid = await stack.create(email="a@example.com", payment_method_id="pm_card_visa")
    await stack.create(email="b@example.com", payment_method_id="pm_card_chargeCustomerFail")
    await stack.create(email="c@example.com", payment_method_id="pm_card_authenticationRequired")
    await stack.create(email="c@example.com", payment_method_id="pm_card_visa")
    await stack.create(email="d@example.com", trial_days=7)
    await stack.create(email="e@example.com", quantity=3)
    for at_period_end in (True, False):
        path = f"/api/v1/subscriptions/{paid.json()['id']}/cancel"
        await stack.client.post(path, json={"at_period_end": at_period_end})
    made = await stack.client.post("/api/v1/setup-intents", json={"customer_id": paid.json()["customer_id"]})
    method = stack.simulator.routes.setups.confirm(
        stack.simulator.state.get("setup_intent", made.json()["id"]), {"payment_method": "pm_card_visa"}
    )["payment_method"]
    for verb in ("set-default", "detach"):
        assert (await stack.client.post(f"/api/v1/payment-methods/{method}/{verb}", json={})).status_code == 200
    await stack.client.get("/api/v1/prices")
    await stack.client.get("/health")


async def test_stripe_mock_accepts_what_the_running_service_sends(
    mock_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[str, str, dict[str, Any]]] = []
    original = StripeGateway._once

    async def once(self: StripeGateway, method: str, path: str, params: dict[str, Any], key: str | None) -> Any:
        sent.append((method, path, params))
        return await original(self, method, path, params, key)

    database_url = f"sqlite:///{tmp_path / 'payments.sqlite3'}"
    await migrate_async(development_settings(database_url=database_url, stripe_url="http://127.0.0.1:1"))
    with monkeypatch.context() as patch:
        patch.setattr(StripeGateway, "_once", once)
        async with running_stack(database_url) as stack:
            await _use_the_service(stack)
    assert len(sent) >= 15
    refused: dict[str, str] = {}
    gateway = _gateway(mock_url)
    for method, path, params in sent:
        try:
            await gateway.request(
                "again", method, *path.removeprefix("/v1/").split("/"), params=params, idempotency_key="k"
            )
        except PaymentsError as error:
            refused[f"{method} {path}"] = str(error)
    await gateway.close()
    assert refused == {}


def test_stripe_mock_accepts_what_the_simulator_accepts(mock_url: str) -> None:
    """The simulator takes no parameter that Stripe does not know; the version is the one known difference."""
    refused: dict[str, str] = {}
    with httpx.Client(base_url=mock_url, headers={"Authorization": f"Bearer {KEY}"}, timeout=60) as client:
        for call in asyncio.run(drive()).calls:
            if call.status == 200:
                headers = {"Content-Type": "application/x-www-form-urlencoded"}
                url = f"{call.path}?{call.query}" if call.query else call.path
                body = call.body.replace(API_VERSION.encode(), VERSION.encode())
                answer = client.request(call.method, url, content=body, headers=headers)
                if answer.status_code != 200:
                    refused[call.name] = answer.text
    assert refused == {}
