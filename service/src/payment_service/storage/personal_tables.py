"""The table of what rows of the outbox and operations held of people: these rows stay when it goes (migration 15)."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, Table, Text

from payment_service.storage.column_types import Json, UtcDateTime
from payment_service.storage.tables import metadata as metadata  # noqa: PLC0414 - alembic takes all tables from here

personal_data = Table(
    "personal_data",
    metadata,
    Column("id", Text, primary_key=True, comment="of the row that refers to it"),
    Column("customer_id", Text, index=True, comment="our id of the person"),
    Column("stripe_customer_id", Text, index=True),
    Column("content", Json, nullable=False, comment="the personal fields that the row held"),
    Column("created_at", UtcDateTime, nullable=False),
)

NOTHING: Final = ""
"""In `personal_id`: nothing personal is left in the row, and nothing is kept beside it."""
