"""Prices: looked up in the mirror, brought from Stripe when the mirror does not hold them or is old."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from payment_service.catalog import store
from payment_service.catalog.schemas import PriceList, PriceView
from payment_service.http.paging import unknown_cursor, whole_seconds
from payment_service.mirror import price
from payment_service.stripe_api import calls
from payment_service.stripe_api.gateway import StripeRejected
from payment_service.stripe_api.objects import id_in

if TYPE_CHECKING:
    from payment_service.catalog.store import PriceName
    from payment_service.catalog.stripe_prices import StripePrices
    from payment_service.clock import Clock
    from payment_service.http import paging
    from payment_service.json_types import JsonObject
    from payment_service.storage.database import Database
    from payment_service.stripe_api.gateway import StripeGateway
    from payment_service.stripe_api.objects import Page
    from payment_service.stripe_api.reads import Asker, StripeReads

LIST_SECONDS: Final = 1.0
"""How long a page of prices as Stripe has them is given again to who asks for the same."""
MIRROR_SECONDS: Final = 600
"""How long a mirrored price is used without asking Stripe; events of the catalogue refresh it at once."""


class Price(NamedTuple):
    """What creating a subscription must know of its price."""

    id: str
    product_id: str
    metered: bool
    due_at_once: bool
    """The first invoice owes something: nothing of it is active before that is paid."""


class Catalog:
    """Reads the catalogue of one Stripe account and mode."""

    def __init__(
        self,
        database: Database,
        gateway: StripeGateway,
        *,
        stripe_prices: StripePrices,
        reads: StripeReads,
        clock: Clock,
        livemode: bool,
    ) -> None:
        self._database = database
        self._stripe_prices = stripe_prices
        self._reads = reads
        self._gateway = gateway
        self._clock = clock
        self._livemode = livemode

    async def resolve(self, named: PriceName, *, asker: Asker) -> Price:
        """Return the active recurring price; one that is not here counts as a question of `asker`'s to Stripe.

        Raises:
            Unprocessable: there is none such, it is inactive or not recurring; names the field.
            TooManyRequests: see `StripeReads.look_up`.
        """
        async with self._database.read() as connection:
            row = await store.find_price(connection, named, livemode=self._livemode)
        bring = partial(self._stripe_prices.bring, named, row)
        if row is None:
            row = await self._reads.look_up(asker, ("price", *named), bring)
        elif (self._clock.now() - row.updated_at).total_seconds() > MIRROR_SECONDS:
            row = await bring()
        if row is None or not row.active or row.recurring_interval is None or row.livemode != self._livemode:
            raise named.invalid("this price is not active or not recurring; use an active recurring price")
        due = not row.metered and bool(row.unit_amount)
        return Price(id=row.id, product_id=row.product_id, metered=row.metered, due_at_once=due)

    async def list_prices(self, page: paging.Page, *, asker: Asker) -> PriceList:
        """Return a page of active prices, as Stripe has them now, at most `LIST_SECONDS` ago.

        Raises:
            Unprocessable: the page is to begin at no price.
            TooManyRequests: see `StripeReads.look_up`.
        """
        wanted: dict[str, object] = {"active": True, "limit": page.limit}
        if page.cursor is not None:
            wanted |= dict([page.cursor])
        if page.created:
            wanted["created"] = {sign: whole_seconds(sign, bound) for sign, bound in page.created.items()}
        question = ("prices", *(f"{name}={value}" for name, value in sorted(wanted.items())))
        list_page = partial(self._list, wanted, cursor=page.cursor)
        found = await self._reads.look_up(asker, question, list_page, fresh_seconds=LIST_SECONDS)
        return PriceList(data=[_view(obj) for obj in found.objects], has_more=found.has_more)

    async def _list(self, wanted: dict[str, object], *, cursor: tuple[str, str] | None) -> Page:
        try:
            return await calls.list_prices(self._gateway, **wanted)
        except StripeRejected as error:
            if cursor is None:
                raise
            raise unknown_cursor(cursor[0], "price") from error


def _view(obj: JsonObject) -> PriceView:
    return msgspec.convert({**price.KIND.columns(obj), "id": id_in(obj)}, PriceView)
