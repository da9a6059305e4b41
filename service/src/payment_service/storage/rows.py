"""What the rows of the tables hold, for those who read them: SQLAlchemy's own type tells nothing of their columns.

`tests/unit/service/storage/test_rows.py` holds them to the tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.engine import RowMapping

Values = Mapping[str, Any]
"""Of columns, by their names."""
WholeRow = dict[str, Any]
"""A value for every column, by their names."""


class MappedRow(Protocol):
    """A row of whichever table."""

    @property
    def _mapping(self) -> RowMapping:
        """By the columns' names: SQLAlchemy's public name, needed where a column has the name of a row's method."""


class CustomerRow(MappedRow, Protocol):
    """A row of `customers`; `metadata` is in its mapping."""

    id: str
    stripe_customer_id: str | None
    reference: str | None
    email: str | None
    address_key: str | None
    email_key: str | None
    name: str | None
    default_payment_method_id: str | None
    payment_methods_at: datetime | None
    origin: str
    livemode: bool
    deleted: bool
    stripe_updated: int
    address_since: datetime | None
    erased_at: datetime | None
    created_at: datetime
    updated_at: datetime


class SubscriptionRow(MappedRow, Protocol):
    """A row of `subscriptions`; `items` and `metadata` are in its mapping."""

    id: str
    stripe_subscription_id: str | None
    customer_id: str | None
    stripe_customer_id: str | None
    product_id: str
    ordered_product_id: str | None
    price_id: str
    quantity: int | None
    status: str
    pause_behavior: str | None
    pause_resumes_at: datetime | None
    paused_reason: str | None
    exclusive: bool
    operation_id: str | None
    joined: dict[str, float | None]
    joined_at: datetime | None
    cancel_at_period_end: bool
    cancel_at: datetime | None
    canceled_at: datetime | None
    ended_at: datetime | None
    trial_end: datetime | None
    current_period_start: datetime | None
    current_period_end: datetime | None
    latest_invoice_id: str | None
    livemode: bool
    stripe_updated: int
    created_at: datetime
    updated_at: datetime


class PriceRow(MappedRow, Protocol):
    """A row of `prices`; `metadata` is in its mapping."""

    id: str
    product_id: str
    lookup_key: str | None
    currency: str
    unit_amount: int | None
    recurring_interval: str | None
    interval_count: int | None
    metered: bool
    active: bool
    livemode: bool
    deleted: bool
    stripe_updated: int
    created_at: datetime
    updated_at: datetime


class OperationRow(MappedRow, Protocol):
    """A row of `operations`."""

    id: str
    kind: str
    mark: str | None
    principal: str
    livemode: bool
    request: dict[str, object]
    phase: str
    facts: dict[str, object]
    finished: bool
    response_status: int | None
    response_body: bytes | None
    response_content_type: str | None
    request_id: str | None
    lease_owner: str | None
    lease_expires_at: datetime
    fence: int
    attempts: int
    last_error: str | None
    created_at: datetime
    updated_at: datetime


class KeyRow(OperationRow, Protocol):
    """An idempotency key's row with that of its operation, whose columns are null without one."""

    fingerprint: bytes
    expires_at: datetime
