"""Customers: found by id or reference, and made at Stripe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from payment_service.customers import store
from payment_service.customers.schemas import CustomerList
from payment_service.errors import NotFound, StripeKeySpent
from payment_service.http.paging import read_listed
from payment_service.mirror import customer
from payment_service.operations.schemas import STRIPE_KEY_SECONDS
from payment_service.stripe_api import calls
from payment_service.stripe_api.objects import id_in, member

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.clock import Clock
    from payment_service.customers.schemas import CustomerView
    from payment_service.http.paging import Page
    from payment_service.json_types import JsonObject
    from payment_service.storage.database import Database
    from payment_service.storage.rows import CustomerRow
    from payment_service.stripe_api.gateway import StripeGateway

CLOCK_SKEW_SECONDS: Final = 300
"""How far Stripe's clock may be behind ours."""


class MadeAtStripe(NamedTuple):
    """The customer that Stripe made for ours."""

    stripe_id: str
    method: JsonObject | None = None
    """The payment method that was attached with it; None: none was, or an earlier call may have done it."""


class Customers:
    """Customers of one Stripe account and mode."""

    def __init__(self, database: Database, gateway: StripeGateway, *, clock: Clock, livemode: bool) -> None:
        self._database = database
        self._gateway = gateway
        self._clock = clock
        self._livemode = livemode

    async def get(self, customer_id: str) -> CustomerView:
        """Return a customer by our id or Stripe's.

        Raises:
            NotFound: there is none.
        """
        async with self._database.read(may_lag=True) as connection:
            row = await store.find(connection, livemode=self._livemode, customer_id=customer_id)
        if row is None:
            raise NotFound(f"There is no customer {customer_id}")
        return store.to_view(row)

    async def get_by_reference(self, reference: str) -> CustomerView:
        """Return the customer with this reference.

        Raises:
            NotFound: there is none. (It does not repeat the reference, which may be somebody's address.)
        """
        async with self._database.read(may_lag=True) as connection:
            row = await store.find(connection, livemode=self._livemode, reference=reference)
        if row is None:
            raise NotFound("There is no customer with this reference")
        return store.to_view(row)

    async def list(self, *, page: Page, reference: str | None = None) -> CustomerList:
        """Return a page of customers, newest first.

        Raises:
            Unprocessable: the page is to begin at no customer.
        """

        async def read(connection: AsyncConnection) -> CustomerList:
            rows, more = await store.list_page(connection, livemode=self._livemode, page=page, reference=reference)
            return CustomerList(data=[store.to_view(row) for row in rows], has_more=more)

        return await read_listed(self._database, read)

    async def create_at_stripe(
        self, customer_id: str, *, tries: int, payment_method: str | None = None
    ) -> MadeAtStripe:
        """Create Stripe's customer for ours, or find the one that an earlier try created.

        The idempotency key is made of our customer's id, so operations that run side by side make one customer. When
        one of them sends a payment method along, Stripe refuses the key of the later one, who then finds what the first
        one made.

        Args:
            customer_id: our id.
            tries: counts the keys that Stripe only answers with a saved fault.
            payment_method: is attached in the same call, of the operation alone that made the row.

        Raises:
            NotFound: there is no such row any more.
            StripeDeclined: the bank refuses the payment method; there is no customer at Stripe.
            StripeKeySpent: there is none under this key.
        """
        async with self._database.read() as connection:
            row = await store.find(connection, livemode=self._livemode, customer_id=customer_id)
        if row is None:
            raise NotFound(f"There is no customer {customer_id}")
        if row.stripe_customer_id is not None:
            return MadeAtStripe(row.stripe_customer_id)
        if tries or (self._clock.now() - row.created_at).total_seconds() > STRIPE_KEY_SECONDS:
            found = await self._find_at_stripe(row)
            if found is not None:
                return MadeAtStripe(found)
        try:
            obj = await self._create(row, tries=tries, payment_method=payment_method)
        except StripeKeySpent:
            found = await self._find_at_stripe(row)
            if found is None:
                raise
            return MadeAtStripe(found)
        method = member(member(obj, "invoice_settings"), "default_payment_method") if payment_method else None
        return MadeAtStripe(id_in(obj), method or None)

    async def _create(self, row: CustomerRow, *, tries: int, payment_method: str | None) -> JsonObject:
        metadata = dict(row._mapping["metadata"]) | {customer.OUR_ID: row.id}  # noqa: SLF001 - see to_view
        if row.reference is not None:
            metadata[customer.REFERENCE] = row.reference
        return await calls.create_customer(
            self._gateway,
            key=f"{row.id}-create" + (f"-{tries}" if tries else ""),
            email=row.email,
            name=row.name,
            metadata=metadata,
            payment_method=payment_method,
        )

    async def _find_at_stripe(self, row: CustomerRow) -> str | None:
        """Return the id of the customer that was made for ours: Stripe's search lags, its lists do not."""
        since = int(row.created_at.timestamp()) - CLOCK_SKEW_SECONDS
        async for obj in calls.list_customers(self._gateway, created={"gte": since}, email=row.email):
            if member(obj, "metadata").get(customer.OUR_ID) == row.id:
                return id_in(obj)
        return None

    async def record_stripe_id(self, connection: AsyncConnection, customer_id: str, *, stripe_id: str) -> None:
        """Record the customer that Stripe made for ours."""
        await customer.set_stripe_id(connection, customer_id, stripe_id=stripe_id, now=self._clock.now())

    async def remove_refused(self, connection: AsyncConnection, customer_id: str, *, cause: str) -> None:
        """Remove a customer that Stripe refused to make; one that Stripe has stays."""
        await store.remove(connection, customer_id, cause=cause, now=self._clock.now())
