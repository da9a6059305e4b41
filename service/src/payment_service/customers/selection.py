"""Which customer a request is about: by id, by the caller's reference, or by an address alone.

Every customer of the account counts, wherever it was made. An id and a reference are identities. An address is one only
while a single customer has it, and Stripe is asked for each: a customer that Checkout made a second ago has no row yet.
Stripe's list compares addresses letter by letter, so until the import is complete an address without a match proves
nothing.
"""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from payment_service.customers import store
from payment_service.errors import CustomerAmbiguous, ImportRequired, Unprocessable
from payment_service.mail_addresses import mail_key
from payment_service.mirror import customer
from payment_service.storage.mirror import NeedsFetch, Provenance, Seen, reach_of, see
from payment_service.storage.tables import customers
from payment_service.stripe_api import calls
from payment_service.stripe_api.gateway import StripeRejected
from payment_service.stripe_api.objects import created_in, id_in

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.clock import Clock
    from payment_service.customers.history import History
    from payment_service.json_types import JsonObject
    from payment_service.storage.database import Database
    from payment_service.storage.rows import CustomerRow
    from payment_service.stripe_api.gateway import StripeGateway
    from payment_service.stripe_api.reads import Asker, StripeReads


class Named(NamedTuple):
    """How a request names its customer."""

    customer_id: str | None
    """Our id."""
    reference: str | None
    email: str | None
    name: str | None
    """For a new one."""
    create: bool
    """Whether an unknown reference without an address is a new customer."""

    @property
    def by_address(self) -> bool:
        """Whether the address alone selects."""
        return self.customer_id is None and self.reference is None


class Chosen(NamedTuple):
    """The customer of a request."""

    row: CustomerRow
    new: bool
    """Made by this request."""


class Selection:
    """Chooses among the customers of one account and mode."""

    def __init__(
        self,
        database: Database,
        gateway: StripeGateway,
        *,
        reads: StripeReads,
        history: History,
        clock: Clock,
        livemode: bool,
    ) -> None:
        self._database = database
        self._gateway = gateway
        self._reads = reads
        self._history = history
        self._clock = clock
        self._livemode = livemode

    async def find_id(self, customer_id: str, *, asker: Asker) -> str:
        """Return our id of a customer given by our id or Stripe's; one made elsewhere is taken over from Stripe.

        One that is not here counts as a question of `asker`'s to Stripe.

        Raises:
            Unprocessable: there is none; names the field.
            TooManyRequests: see `StripeReads.look_up`.
        """
        async with self._database.read() as connection:
            row = await store.find(connection, livemode=self._livemode, customer_id=customer_id)
        if row is not None:
            return row.id
        if not customer_id.startswith("cus_"):
            raise unknown_customer()
        return await self._reads.look_up(asker, ("customer", customer_id), partial(self._bring, customer_id))

    async def _bring(self, stripe_id: str) -> str:
        """Take a customer over from Stripe and return our id."""
        row = None
        try:
            if await self.refresh(stripe_id):
                async with self._database.read() as connection:
                    row = await store.find(connection, livemode=self._livemode, customer_id=stripe_id)
        except StripeRejected as error:
            raise unknown_customer() from error
        if row is None:
            raise unknown_customer()
        return row.id

    async def refresh_address(self, email: str) -> bool:
        """Bring the customers with this address up to date, and tell whether there can be no others."""
        async with self._database.read() as connection:
            rows = await store.find_by_address(connection, livemode=self._livemode, email=email)
        known = {row.stripe_customer_id for row in rows if row.stripe_customer_id is not None}
        listed: set[str] = set()
        for spelling in {email, mail_key(email), *(row.email for row in rows if row.email)}:
            async for obj in calls.list_customers(self._gateway, email=spelling):
                listed.add(id_in(obj))
        for stripe_id in sorted(listed ^ known):
            await self.refresh(stripe_id)
        return await self._history.is_imported_or_empty()

    async def refresh(self, stripe_id: str) -> bool:
        """Write a customer as Stripe has it now; False when Stripe has it no more.

        A deleted one can still be retrieved (docs.stripe.com/api/customers/delete); in test mode all data can be
        deleted without a trace (docs.stripe.com/test-mode). In live mode only a key of another account finds nothing.

        Raises:
            StripeRejected: a live account does not know it.
        """
        reach = reach_of(self._clock)
        async with self._database.read() as connection:
            seen = await see(connection, customers, {"stripe_customer_id": stripe_id}, reach=reach)
        try:
            obj = await calls.retrieve_customer(self._gateway, stripe_id)
        except StripeRejected as error:
            if not error.not_found or self._livemode:
                raise
            obj = {"id": stripe_id, "object": "customer", "deleted": True}
        obj = {"livemode": self._livemode, **obj}
        if obj.get("deleted") and seen.version is None:
            return False
        with contextlib.suppress(NeedsFetch):  # it has changed meanwhile: what is there is newer
            async with self._database.transaction() as connection:
                await self._write(connection, obj, seen=seen)
        return not obj.get("deleted")

    async def _write(self, connection: AsyncConnection, obj: JsonObject, *, seen: Seen) -> None:
        fetched = Provenance("fetch", created_in(obj), self._clock.now(), seen)
        await customer.KIND.write(connection, obj, provenance=fetched)

    async def choose(
        self, connection: AsyncConnection, named: Named, *, imported: bool, cause: str, operation_reference: str
    ) -> Chosen:
        """Return the customer, made when there is none yet.

        Args:
            connection: in a transaction.
            named: how the request names it.
            imported: whether there can be no customer without a row.
            cause: id of the operation.
            operation_reference: what names it at Stripe.

        Raises:
            CustomerAmbiguous: several have the address.
            ImportRequired: none has it here, and that is no proof.
            Unprocessable: there is no such id; or the reference is unknown, and nothing says that it is new.
        """
        if named.customer_id is not None:
            row = await store.find(connection, livemode=self._livemode, customer_id=named.customer_id)
            if row is None:
                raise unknown_customer()
            return Chosen(row, new=False)
        found = await self._find(connection, named)
        if found is not None:
            return Chosen(found, new=False)
        if named.by_address and not imported:
            raise ImportRequired(
                "No customer here has this address, but the account's customers are not all imported yet; "
                "see `payments import`, or name the customer by customer_id or customer_reference",
                retry_after=5,
            )
        if named.email is None and not named.create:
            message = "there is no customer with this reference; give email too, or create: true for one without"
            listed = [{"field": "customer_reference", "message": message}]
            raise Unprocessable(f"customer_reference: {message}", errors=listed)
        made = await self._insert(connection, named, cause=cause, operation_reference=operation_reference)
        if made is None and named.email is not None and named.by_address:
            if (found := await self._find(connection, named)) is not None:
                return Chosen(found, new=False)  # of a request at the same moment
            await store.give_up_claim(connection, livemode=self._livemode, email=named.email)
            made = await self._insert(connection, named, cause=cause, operation_reference=operation_reference)
        row = made or await self._find(connection, named)
        assert row is not None
        return Chosen(row, new=made is not None)

    async def _insert(
        self, connection: AsyncConnection, named: Named, *, cause: str, operation_reference: str
    ) -> CustomerRow | None:
        wanted = store.NewCustomer(
            livemode=self._livemode,
            email=named.email,
            name=named.name,
            reference=named.reference,
            metadata={},
            unique_email=named.by_address,
        )
        return await store.insert_customer(
            connection, wanted, operation_reference=operation_reference, cause=cause, now=self._clock.now()
        )

    async def _find(self, connection: AsyncConnection, named: Named) -> CustomerRow | None:
        if named.reference is not None:
            return await store.find(connection, livemode=self._livemode, reference=named.reference)
        assert named.email is not None
        rows = await store.find_by_address(connection, livemode=self._livemode, email=named.email)
        if len(rows) > 1:
            ids = [row.id for row in rows]
            message = "Several customers have this address: choose one by customer_id"
            raise CustomerAmbiguous(message, customer_ids=ids)
        return rows[0] if rows else None


def unknown_customer(field: str = "customer_id") -> Unprocessable:
    """Return the error that names the field."""
    message = "there is no such customer"
    return Unprocessable(f"{field}: {message}", errors=[{"field": field, "message": message}])
