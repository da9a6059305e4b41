"""Brings what customers have saved: each customer's list is taken once, events keep it from then on.

Stripe lists it for one customer at a time. Who was made here had nothing before; everybody else's list is taken when
somebody asks for it first, and anew after a gap that events do not fill (`reconcile/drift.py`).
"""

from __future__ import annotations

import contextlib
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Final

from payment_service.customers import store as customers
from payment_service.customers.selection import unknown_customer
from payment_service.errors import NotFound, Unprocessable
from payment_service.mirror import payment_method
from payment_service.payment_methods import store
from payment_service.payment_methods.changes import is_detached
from payment_service.storage.cursors import read_cursor
from payment_service.storage.mirror import NeedsFetch, Provenance, Seen, reach_of, see
from payment_service.stripe_api import calls
from payment_service.stripe_api.gateway import StripeRejected
from payment_service.stripe_api.objects import created_in, id_in

if TYPE_CHECKING:
    from payment_service.clock import Clock
    from payment_service.customers.selection import Selection
    from payment_service.json_types import JsonObject
    from payment_service.payment_methods.store import StoredRow
    from payment_service.storage.database import Database
    from payment_service.storage.rows import CustomerRow
    from payment_service.stripe_api.gateway import StripeGateway
    from payment_service.stripe_api.reads import Asker, StripeReads

FETCH: Final = "fetch"
_TABLE: Final = payment_method.payment_methods


class Listing:
    """Takes lists and single payment methods over from Stripe.

    Args:
        database: the mirror.
        gateway: is asked.
        selection: finds customers.
        reads: counts what is asked for whom.
        clock: the time.
        livemode: of the account.
    """

    def __init__(
        self,
        database: Database,
        gateway: StripeGateway,
        *,
        selection: Selection,
        reads: StripeReads,
        clock: Clock,
        livemode: bool,
    ) -> None:
        self._database = database
        self._gateway = gateway
        self._selection = selection
        self._reads = reads
        self._clock = clock
        self._livemode = livemode

    async def find_customer(self, customer_id: str | None, reference: str | None, *, asker: Asker) -> CustomerRow:
        """Return the customer with this id, ours or Stripe's, or this reference.

        Raises:
            Unprocessable: there is none; names the field.
            TooManyRequests: see `StripeReads.look_up`.
        """
        ours = None if customer_id is None else await self._selection.find_id(customer_id, asker=asker)
        async with self._database.read() as connection:
            found = await customers.find(connection, livemode=self._livemode, customer_id=ours, reference=reference)
        if found is None:
            raise unknown_customer("customer_reference" if customer_id is None else "customer_id")
        return found

    async def complete(self, customer: CustomerRow, *, asker: Asker) -> bool:
        """Bring what a customer has saved unless all of it is here; tell whether that was needed.

        Raises:
            TooManyRequests: see `StripeReads.look_up`.
        """
        stripe_id = customer.stripe_customer_id
        if stripe_id is None or await self._is_here(customer):
            return False
        await self._reads.look_up(asker, ("payment_methods", stripe_id), partial(self.bring_all, stripe_id))
        return True

    async def find(self, method_id: str, *, asker: Asker) -> StoredRow:
        """Return a payment method; one that is not here is taken over from Stripe.

        Raises:
            NotFound: no customer has it, or had it.
            TooManyRequests: see `StripeReads.look_up`.
        """
        row = await self._read(method_id)
        if row is None:
            try:
                await self._reads.look_up(asker, ("payment_method", method_id), partial(self.bring, method_id))
            except Unprocessable as error:
                raise no_such(method_id) from error
            row = await self._read(method_id)
        if row is None:
            raise no_such(method_id)
        return row

    async def _read(self, method_id: str) -> StoredRow | None:
        async with self._database.read() as connection:
            return await store.get(connection, method_id, livemode=self._livemode)

    async def _is_here(self, customer: CustomerRow) -> bool:
        """Tell whether the customer's list was taken, and since the last gap."""
        at = customer.payment_methods_at
        if at is None:
            return False
        async with self._database.read() as connection:
            gap = await read_cursor(connection, payment_method.LISTS)
        return gap is None or at >= datetime.fromisoformat(gap["since"])

    async def bring_all(self, stripe_customer_id: str) -> None:
        """Write what a customer has saved, and the customer; what is here and not listed is asked for by its id."""
        now = self._clock.now()
        await self._selection.refresh(stripe_customer_id)
        async with self._database.read() as connection:
            known = await store.attached_to(connection, stripe_customer_id)
        after: str | None = None
        while True:
            as_of = reach_of(self._clock)
            page = await calls.list_payment_methods(self._gateway, stripe_customer_id, starting_after=after)
            for obj in page.objects:
                await self._write(obj, as_of=as_of, seen=None)
                known.discard(id_in(obj))
            if not page.has_more:
                break
            after = page.last_id
        for method_id in sorted(known):
            await self.bring(method_id)
        async with self._database.transaction() as connection:
            await store.note_listed(connection, stripe_customer_id, at=now)

    async def bring(self, method_id: str) -> None:
        """Write one as Stripe has it now.

        Raises:
            Unprocessable: Stripe has none that a customer has saved, and none was here.
        """
        reach = reach_of(self._clock)
        async with self._database.read() as connection:
            seen = await see(connection, _TABLE, {"id": method_id}, reach=reach)
        try:
            obj = await calls.retrieve_payment_method(self._gateway, method_id)
        except StripeRejected as error:
            raise _unknown() from error
        if seen.version is None and is_detached(obj):
            raise _unknown()
        await self._write(obj, as_of=created_in(obj), seen=seen)

    async def _write(self, obj: JsonObject, *, as_of: int, seen: Seen | None) -> None:
        """Write one; a row that is newer stays."""
        told = Provenance(FETCH, as_of, self._clock.now(), seen)
        with contextlib.suppress(NeedsFetch):
            async with self._database.transaction() as connection:
                await payment_method.KIND.write(connection, {"livemode": self._livemode, **obj}, provenance=told)


def no_such(method_id: str) -> NotFound:
    """Return the refusal of an id that no customer has."""
    return NotFound(f"There is no payment method {method_id} of a customer")


def _unknown() -> Unprocessable:
    message = "there is no such payment method of a customer"
    return Unprocessable(message, errors=[{"field": "payment_method_id", "message": message}])
