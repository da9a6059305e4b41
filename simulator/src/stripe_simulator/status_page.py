"""The page on which a person sees what the simulator holds."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from stripe_simulator.world import World

SHOWN: Final = 50
_PAGE: Final = (
    "<!doctype html><meta charset=utf-8><title>Stripe simulator</title>"
    "<style>body{{font:15px system-ui;margin:2rem;max-width:75rem}}td,th{{padding:.2rem .8rem;text-align:left}}"
    "table{{border-collapse:collapse}}tr+tr{{border-top:1px solid #ddd}}</style>"
    "<h1>Stripe simulator</h1><p>{summary}</p>{tables}"
)


def status_page(world: World) -> str:
    """Return the page of one account."""
    state = world.state
    counts = {kind: len(found) for kind, found in state.by_kind.items() if found and not kind.startswith("_")}
    summary = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items())) or "nothing yet"
    subscriptions = [
        (sub["id"], sub["status"], sub["customer"], sub["items"]["data"][0]["price"]["id"])
        for sub in state.all("subscription")[:SHOWN]
    ]
    charges = [
        (charge["id"], charge["status"], f"{charge['amount'] / 100:.2f} {charge['currency']}", charge["customer"])
        for charge in state.all("charge")[:SHOWN]
    ]
    endpoints = [
        (endpoint["id"], endpoint["status"], endpoint["url"], endpoint["api_version"] or "account's")
        for endpoint in state.all("webhook_endpoint")
    ]
    events = [
        (event["id"], event["type"], event["pending_webhooks"], "yes" if world.events.delivered(event) else "no")
        for event in state.all("event")[:SHOWN]
    ]
    tables = (
        _table("Subscriptions", ("id", "status", "customer", "price"), subscriptions)
        + _table("Charges", ("id", "status", "amount", "customer"), charges)
        + _table("Webhook endpoints", ("id", "status", "url", "API version"), endpoints)
        + _table("Events", ("id", "type", "pending", "delivered"), events)
    )
    return _PAGE.format(summary=html.escape(f"{state.name}: {summary}"), tables=tables)


def _table(title: str, names: tuple[str, ...], rows: list[Any]) -> str:
    head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(str(value))}</td>" for value in row) + "</tr>" for row in rows)
    return f"<h2>{html.escape(title)}</h2><table><tr>{head}</tr>{body}</table>"
