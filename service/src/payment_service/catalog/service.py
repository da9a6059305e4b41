"""Prices: looked up in the mirror, fetched from Stripe when the mirror does not hold them or is old."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from payment_service.catalog import store
from payment_service.catalog.schemas import PriceList, PriceView, price_columns
from payment_service.errors import Unprocessable
from payment_service.platform import stripe_calls
from payment_service.platform.mirroring import NeedsFetch, Seen
from payment_service.platform.stripe_gateway import StripeRejected

if TYPE_CHECKING:
    from payment_service.platform.clock import Clock
    from payment_service.platform.database import Database
    from payment_service.platform.stripe_gateway import StripeGateway

MIRROR_SECONDS: Final = 600
"""How long a mirrored price is used without asking Stripe; events of the catalogue refresh it at once."""


class Price(NamedTuple):
    """What creating a subscription must know of its price."""

    id: str
    product_id: str


class Catalog:
    """Reads the catalogue of one Stripe account and mode."""

    def __init__(self, database: Database, gateway: StripeGateway, *, clock: Clock, livemode: bool) -> None:
        self._database = database
        self._gateway = gateway
        self._clock = clock
        self._livemode = livemode

    async def resolve(self, *, price_id: str | None, lookup_key: str | None) -> Price:
        """Return the active recurring price.

        Raises:
            Unprocessable: there is none such, it is inactive or not recurring; names the field.
        """
        field = "price_id" if price_id is not None else "lookup_key"
        async with self._database.read() as connection:
            row = await store.find_price(connection, price_id=price_id, lookup_key=lookup_key, livemode=self._livemode)
        now = self._clock.now()
        if row is None or (now - row.updated_at).total_seconds() > MIRROR_SECONDS:
            seen = Seen(None if row is None else row.updated_at)
            obj = await self._fetch(price_id=price_id, lookup_key=lookup_key, field=field)
            with contextlib.suppress(NeedsFetch):
                async with self._database.transaction() as connection:
                    await store.save_price(connection, obj, as_of=int(obj["created"]), seen=seen, now=now)
            async with self._database.read() as connection:
                row = await store.find_price(connection, price_id=obj["id"], lookup_key=None, livemode=self._livemode)
        if row is None or not row.active or row.recurring_interval is None:
            raise _invalid(field, "this price is not active or not recurring; use an active recurring price")
        return Price(id=row.id, product_id=row.product_id)

    async def _fetch(self, *, price_id: str | None, lookup_key: str | None, field: str) -> dict[str, Any]:
        try:
            if price_id is not None:
                return await stripe_calls.retrieve_price(self._gateway, price_id)
            page = await stripe_calls.list_prices(self._gateway, lookup_keys=[lookup_key], active=True, limit=1)
        except StripeRejected as error:
            raise _invalid(field, "no such price at Stripe") from error
        if not page["data"]:
            raise _invalid(field, "no active price at Stripe has this lookup key")
        found: dict[str, Any] = page["data"][0]
        return found

    async def list_prices(self, *, limit: int, starting_after: str | None) -> PriceList:
        """Return a page of active prices, as Stripe has them now.

        Raises:
            Unprocessable: `starting_after` names no price.
        """
        try:
            page = await stripe_calls.list_prices(
                self._gateway, active=True, limit=limit, starting_after=starting_after
            )
        except StripeRejected as error:
            raise _invalid("starting_after", "no such price at Stripe") from error
        views = [PriceView(id=obj["id"], **_view_fields(obj)) for obj in page["data"]]
        return PriceList(data=views, has_more=page["has_more"])


def _view_fields(obj: dict[str, Any]) -> dict[str, Any]:
    columns = price_columns(obj)
    return {name: columns[name] for name in PriceView.__struct_fields__ if name != "id"}


def _invalid(field: str, message: str) -> Unprocessable:
    return Unprocessable(f"{field}: {message}", errors=[{"field": field, "message": message}])
