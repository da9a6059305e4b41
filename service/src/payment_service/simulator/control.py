"""The control interface: faults, the clock, the ledger, and a page that shows the state."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any, Final

import msgspec

from payment_service.platform.clock import MovableClock
from payment_service.platform.responses import read_body, respond
from payment_service.simulator.faults import Fault, WebhookFault

if TYPE_CHECKING:
    from litestar.types import Receive, Send

    from payment_service.simulator.simulator import Simulator

MAXIMUM_BYTES: Final = 65536
_PAGE: Final = (
    "<!doctype html><meta charset=utf-8><title>Stripe simulator</title>"
    "<style>body{{font:15px system-ui;margin:2rem;max-width:70rem}}td,th{{padding:.2rem .8rem;text-align:left}}</style>"
    "<h1>Stripe simulator</h1><p>{summary}</p>{tables}"
)


class ControlApi:
    """`PUT /faults`, `DELETE /faults`, `POST /clock/advance`, `GET /ledger`, `GET /`."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        body = await read_body(receive, limit=MAXIMUM_BYTES)
        call = (scope["method"], scope["path"])
        if call == ("GET", "/"):
            await respond(send, 200, self._page().encode(), content_type=b"text/html; charset=utf-8")
            return
        try:
            status, answer = self._answer(call, body)
        except (msgspec.DecodeError, ValueError) as error:
            status, answer = 400, {"error": str(error)}
        await respond(send, status, msgspec.json.encode(answer))

    def _answer(self, call: tuple[str, str], body: bytes) -> tuple[int, Any]:
        faults = self._simulator.faults
        match call:
            case ("GET", "/ledger"):
                return 200, ledger(self._simulator)
            case ("POST", "/faults/calls"):
                faults.calls.append(msgspec.json.decode(body, type=Fault))
            case ("POST", "/faults/webhooks"):
                faults.webhooks.append(msgspec.json.decode(body, type=WebhookFault))
            case ("DELETE", "/faults"):
                faults.clear()
            case ("POST", "/clock/advance"):
                self._advance(msgspec.json.decode(body)["seconds"])
            case _:
                return 404, {"error": "no such control call"}
        return 200, {"ok": True}

    def _advance(self, seconds: float) -> None:
        clock = self._simulator.state.clock
        if not isinstance(clock, MovableClock):
            raise ValueError("this simulator runs on the wall clock")  # noqa: TRY004 - an answer to the caller
        clock.advance(seconds)
        self._simulator.tick()

    def _page(self) -> str:
        state = self._simulator.state
        counts = {kind: len(found) for kind, found in state.by_kind.items() if not kind.startswith("_")}
        summary = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items())) or "nothing yet"
        rows = [
            (sub["id"], sub["status"], sub["customer"], sub["items"]["data"][0]["price"]["id"])
            for sub in state.all("subscription")[:50]
        ]
        events = [(event["id"], event["type"], event["pending_webhooks"]) for event in state.all("event")[:50]]
        tables = _table("Subscriptions", ("id", "status", "customer", "price"), rows)
        return _PAGE.format(
            summary=html.escape(summary), tables=tables + _table("Events", ("id", "type", "pending"), events)
        )


def ledger(simulator: Simulator) -> dict[str, Any]:
    """Return the money that moved: every successful charge, and sums by customer."""
    charges = [
        {
            "id": charge["id"],
            "amount": charge["amount"],
            "currency": charge["currency"],
            "customer": charge["customer"],
            "payment_intent": charge["payment_intent"],
            "subscription": _subscription_of(simulator, charge["payment_intent"]),
        }
        for charge in reversed(simulator.state.all("charge"))
        if charge["paid"]
    ]
    totals: dict[str, int] = {}
    for charge in charges:
        totals[charge["customer"]] = totals.get(charge["customer"], 0) + charge["amount"]
    return {"charges": charges, "total_by_customer": totals}


def _subscription_of(simulator: Simulator, intent_id: str) -> str | None:
    intent = simulator.state.objects[intent_id]
    invoice = simulator.state.objects.get(intent.get("_invoice") or "")
    return invoice["_subscription"] if invoice else None


def _table(title: str, names: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(str(value))}</td>" for value in row) + "</tr>" for row in rows)
    return f"<h2>{html.escape(title)}</h2><table><tr>{head}</tr>{body}</table>"
