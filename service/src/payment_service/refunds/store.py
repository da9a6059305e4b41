"""SQL of refunds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, select

from payment_service.mirror.refund import refunds
from payment_service.refunds.schemas import RefundView
from payment_service.stripe_api.metadata import of_caller

if TYPE_CHECKING:
    from sqlalchemy.engine import Row
    from sqlalchemy.ext.asyncio import AsyncConnection

    StoredRow = Row[*tuple[object, ...]]

_REFUND: Final = select(refunds).where(refunds.c.id == bindparam("id"), refunds.c.livemode == bindparam("livemode"))


async def get(connection: AsyncConnection, refund_id: str, *, livemode: bool) -> RefundView | None:
    """Return a refund."""
    row = (await connection.execute(_REFUND, {"id": refund_id, "livemode": livemode})).first()
    return None if row is None else to_view(row)


def to_view(row: StoredRow) -> RefundView:
    """Build the public view of a row."""
    values = row._mapping  # noqa: SLF001 - SQLAlchemy's public name for the row as a mapping
    shown: dict[str, Any] = {name: values[name] for name in RefundView.__struct_fields__}
    return RefundView(**shown | {"metadata": of_caller(values["metadata"])})
