"""Rows made in the database: what a service holds after months."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.bench.machine import Machine

_SUBSCRIPTIONS = """
INSERT INTO subscriptions (id, stripe_subscription_id, customer_id, stripe_customer_id, product_id, price_id, quantity,
    status, exclusive, metadata, livemode, current_period_start, current_period_end, created_at, updated_at)
SELECT 'lps_' || lpad(n::text, 12, '0'), 'sub_filled' || n, 'lpc_' || n, 'cus_filled' || n, 'prod_x', 'price_x', 1,
    'active', true, '{{}}', false, now(), now(), now(), now()
FROM generate_series({first}, {last}) n
"""
_EVENTS = """
INSERT INTO events (id, type, object_id, group_key, livemode, stripe_created, payload, source, state, available_at,
    received_at, settled_at)
SELECT 'evt_{state}' || n, 'customer.subscription.updated', 'sub_filled' || n, 'sub_filled' || n, false, 1700000000,
    '{{}}', 'webhook', '{state}', now(), now(), now()
FROM generate_series({first}, {last}) n
"""


def fill_subscriptions(machine: Machine, database: str, *, count: int, first: int = 1) -> list[str]:
    """Add subscriptions number `first` to `count` and return their ids."""
    machine.query(database, _SUBSCRIPTIONS.format(first=first, last=count))
    machine.query(database, "ANALYZE subscriptions")
    return [f"lps_{number:012d}" for number in range(first, count + 1)]


def fill_events(machine: Machine, database: str, *, count: int, first: int = 1, state: str = "applied") -> None:
    """Add settled events number `first` to `count`."""
    machine.query(database, _EVENTS.format(first=first, last=count, state=state))
    machine.query(database, "ANALYZE events")
