"""The numbers of the changes of state that the outbox holds, in the order in which others are told of them."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Table

from payment_service.storage.tables import metadata as metadata  # noqa: PLC0414 - alembic takes all tables from here

feed = Table(
    "feed",
    metadata,
    Column("sequence", BigInteger, primary_key=True, autoincrement=False, comment="1, 2, 3 … without a gap"),
    Column("outbox_seq", BigInteger, nullable=False, unique=True, comment="of the row that it is the number of"),
)

POSITION: Final = "feed"
"""The cursor that says how far the numbers are."""
