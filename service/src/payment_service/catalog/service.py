"""Prices: looked up in the mirror, fetched from Stripe when the mirror does not hold them or is old."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from payment_service.catalog import store
from payment_service.catalog.schemas import PriceList, PriceView
from payment_service.errors import Unprocessable
from payment_service.http.paging import unknown_cursor, whole_seconds
from payment_service.mirror import price
from payment_service.storage.mirror import NeedsFetch, Provenance, Seen, reach_of, see
from payment_service.storage.tables import prices
from payment_service.stripe_api import calls
from payment_service.stripe_api.gateway import StripeRejected

if TYPE_CHECKING:
    from payment_service.clock import Clock
    from payment_service.http.paging import Page
    from payment_service.mirror.kind import Columns
    from payment_service.storage.database import Database
    from payment_service.storage.rows import PriceRow
    from payment_service.stripe_api.gateway import StripeGateway
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
        self, database: Database, gateway: StripeGateway, *, reads: StripeReads, clock: Clock, livemode: bool
    ) -> None:
        self._database = database
        self._reads = reads
        self._gateway = gateway
        self._clock = clock
        self._livemode = livemode

    async def resolve(self, *, price_id: str | None, lookup_key: str | None, asker: Asker) -> Price:
        """Return the active recurring price; one that is not here counts as a question of `asker`'s to Stripe.

        Raises:
            Unprocessable: there is none such, it is inactive or not recurring; names the field.
            TooManyRequests: see `StripeReads.ask`.
        """
        field = "price_id" if price_id is not None else "lookup_key"
        async with self._database.read() as connection:
            row = await store.find_price(connection, price_id=price_id, lookup_key=lookup_key, livemode=self._livemode)
        if row is None:
            bring = partial(self._bring, None, price_id=price_id, lookup_key=lookup_key, field=field)
            row = await self._reads.ask(asker, ("price", field, price_id or lookup_key or ""), bring)
        elif (self._clock.now() - row.updated_at).total_seconds() > MIRROR_SECONDS:
            row = await self._bring(row, price_id=price_id, lookup_key=lookup_key, field=field)
        if row is None or not row.active or row.recurring_interval is None:
            raise _invalid(field, "this price is not active or not recurring; use an active recurring price")
        due = not row.metered and bool(row.unit_amount)
        return Price(id=row.id, product_id=row.product_id, metered=row.metered, due_at_once=due)

    async def refresh(self, price_id: str) -> None:
        """Write a price that has a row as Stripe has it now; one that Stripe has no more counts as archived.

        Not as deleted, which a row never leaves: a key of another account finds nothing either, and with the right one
        any event or look-up shows the price again.

        Raises:
            PaymentsError: Stripe is away.
        """
        async with self._database.read() as connection:
            seen = await see(connection, prices, {"id": price_id}, reach=reach_of(self._clock))
        try:
            obj = await calls.retrieve_price(self._gateway, price_id)
        except StripeRejected as error:
            if not error.not_found:
                raise
            if seen.version is not None:
                await self._save({"id": price_id}, {"active": False}, seen=seen)
        else:
            await self._save(obj, price.KIND.columns(obj), seen=seen)

    async def _bring(
        self, row: PriceRow | None, *, price_id: str | None, lookup_key: str | None, field: str
    ) -> PriceRow | None:
        """Write the price as Stripe has it now, and return its row."""
        seen = Seen(None if row is None else row.updated_at, reach_of(self._clock))
        try:
            obj = await self._fetch(price_id=price_id, lookup_key=lookup_key, field=field)
        except Unprocessable:
            if row is not None:
                await self.refresh(row.id)
            raise
        if not await self._save(obj, price.KIND.columns(obj), seen=seen):
            await self.refresh(obj["id"])
        async with self._database.read() as connection:
            return await store.find_price(connection, price_id=obj["id"], lookup_key=None, livemode=self._livemode)

    async def _save(self, obj: dict[str, Any], columns: Columns, *, seen: Seen) -> bool:
        """Write a price just fetched; False when its row has changed meanwhile."""
        fetched = Provenance("fetch", obj.get("created") or 0, self._clock.now(), seen)
        try:
            async with self._database.transaction() as connection:
                await store.save_price(connection, obj["id"], columns, provenance=fetched)
        except NeedsFetch:
            return False
        return True

    async def _fetch(self, *, price_id: str | None, lookup_key: str | None, field: str) -> dict[str, Any]:
        try:
            if price_id is not None:
                return await calls.retrieve_price(self._gateway, price_id)
            page = await calls.list_prices(self._gateway, lookup_keys=[lookup_key], active=True, limit=1)
        except StripeRejected as error:
            raise _invalid(field, "no such price at Stripe") from error
        if not page["data"]:
            raise _invalid(field, "no active price at Stripe has this lookup key")
        found: dict[str, Any] = page["data"][0]
        return found

    async def list_prices(self, page: Page, *, asker: Asker) -> PriceList:
        """Return a page of active prices, as Stripe has them now, at most `LIST_SECONDS` ago.

        Raises:
            Unprocessable: the page is to begin at no price.
            TooManyRequests: see `StripeReads.ask`.
        """
        wanted: dict[str, Any] = {"active": True, "limit": page.limit}
        if page.cursor is not None:
            wanted |= dict([page.cursor])
        if page.created:
            wanted["created"] = {sign: whole_seconds(sign, bound) for sign, bound in page.created.items()}
        question = ("prices", *(f"{name}={value}" for name, value in sorted(wanted.items())))
        list_page = partial(self._list, wanted, cursor=page.cursor)
        found = await self._reads.ask(asker, question, list_page, fresh_seconds=LIST_SECONDS)
        views = [PriceView(id=obj["id"], **_view_fields(obj)) for obj in found["data"]]
        return PriceList(data=views, has_more=found["has_more"])

    async def _list(self, wanted: dict[str, Any], *, cursor: tuple[str, str] | None) -> dict[str, Any]:
        try:
            return await calls.list_prices(self._gateway, **wanted)
        except StripeRejected as error:
            if cursor is None:
                raise
            raise unknown_cursor(cursor[0], "price") from error


def _view_fields(obj: dict[str, Any]) -> dict[str, Any]:
    columns = price.KIND.columns(obj)
    return {name: columns[name] for name in PriceView.__struct_fields__ if name != "id"}


def _invalid(field: str, message: str) -> Unprocessable:
    return Unprocessable(f"{field}: {message}", errors=[{"field": field, "message": message}])
