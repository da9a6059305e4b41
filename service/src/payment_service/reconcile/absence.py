"""Finds customers that Stripe has deleted although nothing told of it: its lists leave them out.

A list is walked newest first, so each page says who was made in its span of time. A customer of ours from that span who
is not on the page is asked for by id: Stripe still answers for a deleted one (docs.stripe.com/api/customers/delete). To
be left out is no proof, for our times of creation differ a little from Stripe's; nor is an id that is not known, which
in live mode only a key of another account meets.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import and_, bindparam, or_, select

from payment_service.storage.tables import customers
from payment_service.stripe_api import calls
from payment_service.stripe_api.gateway import StripeRejected
from payment_service.stripe_api.objects import created_in, id_in

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.engine import Row

    from payment_service.json_types import JsonObject
    from payment_service.storage.database import Database
    from payment_service.stripe_api.call_budget import StripeBudget
    from payment_service.stripe_api.gateway import StripeGateway

KIND: Final = "customer"
LIMIT: Final = 100
"""Customers that are asked for before one of them must turn out to be deleted, or the rest of the span is left."""
_BEGINNING: Final = datetime(2000, 1, 1, tzinfo=UTC)
_END: Final = datetime(9000, 1, 1, tzinfo=UTC)
_FOLLOWING: Final = (
    select(customers.c.id, customers.c.stripe_customer_id, customers.c.created_at)
    .where(
        customers.c.livemode == bindparam("livemode"),
        ~customers.c.deleted,
        customers.c.stripe_customer_id.is_not(None),
        customers.c.stripe_customer_id.not_in(bindparam("shown", expanding=True)),
        customers.c.created_at >= bindparam("oldest"),
        or_(
            customers.c.created_at < bindparam("newest"),
            and_(customers.c.created_at == bindparam("newest"), customers.c.id < bindparam("newest_id")),
        ),
    )
    .order_by(customers.c.created_at.desc(), customers.c.id.desc())
    .limit(LIMIT)
)


class Absence:
    """Looks for customers who are missing on the pages of one walk.

    Args:
        database: who is here.
        gateway: is asked for those who are missing.
        budget: of calls to Stripe.
        livemode: of the account.
        seen: of an interrupted walk, that it goes on from.
    """

    def __init__(
        self, database: Database, gateway: StripeGateway, *, budget: StripeBudget, livemode: bool, seen: float | None
    ) -> None:
        self._database = database
        self._gateway = gateway
        self._budget = budget
        self._livemode = livemode
        self._newest = _END if seen is None else datetime.fromtimestamp(seen, tz=UTC)

    @property
    def seen(self) -> float:
        """Back to which moment, in seconds, the walk has come: an interrupted one goes on from there."""
        return self._newest.timestamp()

    async def deleted(self, page: Sequence[JsonObject], *, last: bool) -> list[JsonObject]:
        """Return the deleted customers of the page's span of time, as Stripe shows them.

        Args:
            page: objects as listed.
            last: nothing follows, so that whoever is older is missing too.
        """
        times = [datetime.fromtimestamp(seconds, tz=UTC) for obj in page if (seconds := created_in(obj))]
        oldest = _BEGINNING if last else min(times, default=self._newest)
        shown, after = [id_in(obj) for obj in page], (self._newest, "~")
        self._newest = oldest
        found: list[JsonObject] = []
        while rows := await self._missing(shown, oldest=oldest, after=after):
            proven = [obj for row in rows if (obj := await self._retrieve_deleted(row.stripe_customer_id)) is not None]
            found += proven
            after = (rows[-1].created_at, rows[-1].id)
            if len(rows) < LIMIT or not proven:
                break
        return found

    async def _missing(self, shown: list[str], *, oldest: datetime, after: tuple[datetime, str]) -> Sequence[Row[Any]]:
        span = {"oldest": oldest, "newest": after[0], "newest_id": after[1]}
        async with self._database.read() as connection:
            found: Any = await connection.execute(_FOLLOWING, {"livemode": self._livemode, "shown": shown, **span})
            return list(found)

    async def _retrieve_deleted(self, stripe_id: str) -> JsonObject | None:
        """Return the customer if Stripe says that it is deleted."""
        await self._budget.take()
        try:
            obj = await calls.retrieve_customer(self._gateway, stripe_id)
        except StripeRejected as error:
            if not error.not_found:
                raise
            return None
        return {"livemode": self._livemode, **obj} if obj.get("deleted") else None
