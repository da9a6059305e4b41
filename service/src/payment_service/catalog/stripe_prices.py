"""Prices as Stripe has them now, written into their rows."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final, cast

from payment_service.errors import StripeUnavailable
from payment_service.mirror import price
from payment_service.storage.mirror import NeedsFetch, Provenance, Seen, State, mirror, reach_of, see
from payment_service.storage.tables import prices
from payment_service.stripe_api import calls
from payment_service.stripe_api.gateway import StripeRejected
from payment_service.stripe_api.objects import created_in, id_in

if TYPE_CHECKING:
    from payment_service.catalog.store import PriceName
    from payment_service.clock import Clock
    from payment_service.json_types import JsonObject
    from payment_service.mirror.kind import Columns
    from payment_service.storage.database import Database
    from payment_service.storage.rows import PriceRow
    from payment_service.stripe_api.gateway import StripeGateway

TRIES: Final = 3
_NONE: Final = {
    "price_id": "no such price at Stripe",
    "lookup_key": "no active price at Stripe has this lookup key",
}


class StripePrices:
    """Brings prices that are not here, or may have changed."""

    def __init__(self, database: Database, gateway: StripeGateway, *, clock: Clock) -> None:
        self._database = database
        self._gateway = gateway
        self._clock = clock

    async def bring(self, named: PriceName, former: PriceRow | None) -> PriceRow | None:
        """Write the price that has this name now, and return its row; `former` is what was here under it.

        Raises:
            Unprocessable: Stripe has none such; names the field. What was here is refreshed: it was archived, say.
            PaymentsError: as `refresh`.
        """
        seen = Seen(None if former is None else former.updated_at, reach_of(self._clock))
        try:
            obj = await calls.look_up_price(self._gateway, named.field, named.value)
        except StripeRejected:
            obj = None
        if obj is not None:
            return await self._write(obj, price.KIND.columns(obj), seen=seen) or await self.refresh(id_in(obj))
        if former is not None:
            await self.refresh(former.id)
        raise named.invalid(_NONE[named.field])

    async def refresh(self, price_id: str) -> PriceRow | None:
        """Write a price as Stripe has it now, and return its row; one that Stripe has no more counts as archived.

        Not as deleted, which a row never leaves: a key of another account finds nothing either, and with the right one
        any event or look-up shows the price again.

        Raises:
            PaymentsError: Stripe is away, or the price changes faster than it can be written.
        """
        for _ in range(TRIES):
            async with self._database.read() as connection:
                seen = await see(connection, prices, {"id": price_id}, reach=reach_of(self._clock))
            try:
                obj = await calls.retrieve_price(self._gateway, price_id)
                columns = price.KIND.columns(obj)
            except StripeRejected as error:
                if not error.not_found:
                    raise
                if seen.version is None:
                    return None
                obj, columns = {"id": price_id}, {"active": False}
            if row := await self._write(obj, columns, seen=seen):
                return row
        raise StripeUnavailable("The price changes faster than it can be written", retry_after=1)

    async def _write(self, obj: JsonObject, columns: Columns, *, seen: Seen) -> PriceRow | None:
        """Write what was fetched, and return the row; None when that has changed meanwhile."""
        fetched = Provenance("fetch", created_in(obj), self._clock.now(), seen)
        with suppress(NeedsFetch):
            async with self._database.transaction() as connection:
                row = await mirror(connection, prices, key={"id": id_in(obj)}, state=State(columns), provenance=fetched)
                return cast("PriceRow", row)
        return None
