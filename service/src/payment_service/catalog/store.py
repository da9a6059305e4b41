"""SQL of the mirrored catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import bindparam, select

from payment_service.storage.mirror import Provenance, mirror
from payment_service.storage.tables import prices

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.storage.rows import PriceRow

_USABLE: Final = (prices.c.livemode == bindparam("livemode")) & ~prices.c.deleted
_BY_ID: Final = select(prices).where(_USABLE, prices.c.id == bindparam("id"))
_BY_LOOKUP_KEY: Final = select(prices).where(_USABLE, prices.c.active, prices.c.lookup_key == bindparam("lookup_key"))


async def find_price(
    connection: AsyncConnection, *, price_id: str | None, lookup_key: str | None, livemode: bool
) -> PriceRow | None:
    """Return the mirrored price with this id or lookup key."""
    if price_id is not None:
        return (await connection.execute(_BY_ID, {"id": price_id, "livemode": livemode})).first()
    return (await connection.execute(_BY_LOOKUP_KEY, {"lookup_key": lookup_key, "livemode": livemode})).first()


async def save_price(
    connection: AsyncConnection, price_id: str, columns: dict[str, object], *, provenance: Provenance
) -> None:
    """Write a price just fetched from Stripe.

    Raises:
        NeedsFetch: it has changed meanwhile.
    """
    await mirror(connection, prices, key={"id": price_id}, columns=columns, provenance=provenance)
