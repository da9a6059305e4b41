"""SQL of the mirrored catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from sqlalchemy import bindparam, select

from payment_service.errors import Unprocessable
from payment_service.storage.tables import prices

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.storage.rows import PriceRow

_USABLE: Final = (prices.c.livemode == bindparam("livemode")) & ~prices.c.deleted
_BY: Final = {
    "price_id": select(prices).where(_USABLE, prices.c.id == bindparam("value")),
    "lookup_key": select(prices).where(_USABLE, prices.c.active, prices.c.lookup_key == bindparam("value")),
}


class PriceName(NamedTuple):
    """How a request names its price."""

    field: Literal["price_id", "lookup_key"]
    value: str

    @classmethod
    def of(cls, price_id: str | None, lookup_key: str | None) -> PriceName:
        """Return the one of the two that is given."""
        return cls("lookup_key", lookup_key or "") if price_id is None else cls("price_id", price_id)

    def invalid(self, message: str) -> Unprocessable:
        """Return the error that names the field."""
        return Unprocessable(f"{self.field}: {message}", errors=[{"field": self.field, "message": message}])


async def find_price(connection: AsyncConnection, named: PriceName, *, livemode: bool) -> PriceRow | None:
    """Return the mirrored price with this id or lookup key."""
    return (await connection.execute(_BY[named.field], {"value": named.value, "livemode": livemode})).first()
