"""Removes what is kept of a customer beside the row that says that Stripe has deleted it.

The row itself loses name, address, reference and metadata with the event or the fetch that tells of the deletion. What
the outbox, operations, settled events and the rows of the customer's other objects hold goes here, in small
transactions that may each be done again. The last one does it all once more under the row's lock, and alone says that
it is done (`erased_at`); whoever writes something about the customer takes that lock, too, and makes it due again
(`reopen`). Rows stay: what was paid, when, and under which id.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import structlog
from sqlalchemy import and_, bindparam, func, or_, select, update

from payment_service.customers.people import clear_mirror
from payment_service.mirror import subscription
from payment_service.mirror.person import Person, is_filled
from payment_service.observability.metrics import ERASURES_OVERDUE
from payment_service.operations.people import erase_operations
from payment_service.storage import audit_log
from payment_service.storage.personal_tables import personal_data
from payment_service.storage.statements import RemoveRows
from payment_service.storage.tables import customers, operations, subscriptions

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from sqlalchemy.engine import Row
    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.clock import Clock
    from payment_service.storage.database import Database

    Step = Callable[[AsyncConnection, Person], Awaitable[int]]
    Waits = Callable[[AsyncConnection, Person], Awaitable[bool]]

ACTOR: Final = "worker:erasure"
ERASE_SECONDS: Final = 15.0
SETTLED_SECONDS: Final = 60
"""How long after the deletion it begins: most of what was under way then has been written."""
OVERDUE_SECONDS: Final = 3600
PAGE: Final = 50
BATCH: Final = 200
"""Rows that a step takes at most."""

log = structlog.get_logger("payments")

_WAITING: Final = and_(customers.c.deleted, customers.c.erased_at.is_(None))
_DUE: Final = (
    select(customers.c.id, customers.c.stripe_customer_id, customers.c.updated_at)
    .where(_WAITING, customers.c.updated_at < bindparam("before"))
    .where(
        or_(
            customers.c.updated_at > bindparam("after"),
            and_(customers.c.updated_at == bindparam("after"), customers.c.id > bindparam("after_id")),
        )
    )
    .order_by(customers.c.updated_at, customers.c.id)
    .limit(PAGE)
)
_OVERDUE: Final = (
    select(func.count()).select_from(customers).where(_WAITING, customers.c.updated_at < bindparam("before"))
)


class Erasure:
    """Erases deleted customers.

    Args:
        database: that holds them.
        steps: further ones: each removes what one part of the service holds of a person, at most `BATCH` rows at a
            time, and returns how many there were.
        waits: whether something about the person is still to come: an event that is not settled.
        clock: the time.
    """

    def __init__(self, database: Database, *, steps: tuple[Step, ...], waits: Waits, clock: Clock) -> None:
        self._database = database
        self._steps: tuple[Step, ...] = (clear_mirror, remove_of_operations, *steps, remove_personal)
        self._waits = waits
        self._clock = clock

    async def run_due(self) -> int:
        """Erase every customer that is due; return how many are done. One that has to wait holds up no other."""
        now = self._clock.now()
        before = now - timedelta(seconds=SETTLED_SECONDS)
        after, after_id, done = before - timedelta(days=36500), "", 0
        while rows := await self._due(before=before, after=after, after_id=after_id):
            for row in rows:
                done += await self._erase(row)
            after, after_id = rows[-1].updated_at, rows[-1].id
        async with self._database.read() as connection:
            late = {"before": now - timedelta(seconds=OVERDUE_SECONDS)}
            ERASURES_OVERDUE.set((await connection.execute(_OVERDUE, late)).scalar_one())
        return done

    async def _due(self, **bounds: object) -> list[Row[tuple[object, ...]]]:
        async with self._database.read() as connection:
            found: Any = await connection.execute(_DUE, bounds)
            return list(found)

    async def _erase(self, row: Row[tuple[object, ...]]) -> bool:
        """Erase one; False while something about it is still under way: then it is done again."""
        try:
            rows = await self._remove(row)
            done = await self._conclude(row, rows=rows)
        except Exception as error:  # noqa: BLE001 - whatever is odd about one customer must not keep the others
            log.warning("customer_not_erased", customer=row.id, error=type(error).__name__)
            return False
        if done:
            log.info("customer_erased", customer=row.id)
        return done

    async def _remove(self, row: Row[tuple[object, ...]]) -> int:
        """Take the steps until each finds nothing more."""
        total = 0
        for step in self._steps:
            found = BATCH
            while found >= BATCH:
                async with self._database.transaction() as connection:
                    found = await step(connection, Person.of(row))
                total += found
        return total

    async def _conclude(self, row: Row[tuple[object, ...]], *, rows: int) -> bool:
        """Take all steps once more under the lock of the row, and note that it is done.

        Not while an operation of the customer is unfinished, an event waits, or the row has changed meanwhile.
        """
        now, person = self._clock.now(), Person.of(row)
        unchanged = (customers.c.id == row.id, customers.c.updated_at == row.updated_at, _WAITING)
        async with self._database.transaction() as connection:
            locked = select(customers.c.id).where(*unchanged).with_for_update()
            if (await connection.execute(locked)).first() is None:
                return False
            if await _is_under_way(connection, person) or await self._waits(connection, person):
                return False
            for step in self._steps:
                found = await step(connection, person)
                if found >= BATCH:
                    return False
                rows += found
            await connection.execute(update(customers).where(customers.c.id == row.id).values(erased_at=now))
            await _record(connection, person, rows=rows, now=now)
        return True


async def remove_of_operations(connection: AsyncConnection, person: Person) -> int:
    """Empty what operations hold that still can be replayed."""
    subscription_ids = select(subscriptions.c.stripe_subscription_id).where(subscription.of_person(person))
    return await erase_operations(connection, customer_ids=person.ids, subscription_ids=subscription_ids)


async def remove_personal(connection: AsyncConnection, person: Person) -> int:
    """Remove what rows of the outbox and operations refer to."""
    of_person = or_(
        personal_data.c.customer_id.in_(person.ids), is_filled(personal_data.c.stripe_customer_id, person.stripe_id)
    )
    some = select(personal_data.c.id).where(of_person).limit(BATCH)
    return await RemoveRows(personal_data, some).run(connection, {})


async def _is_under_way(connection: AsyncConnection, person: Person) -> bool:
    of_person = operations.c.facts["customer_id"].as_string().in_(person.ids)
    unfinished = select(operations.c.id).where(~operations.c.finished, of_person).limit(1)
    return (await connection.execute(unfinished)).first() is not None


async def _record(connection: AsyncConnection, person: Person, *, rows: int, now: datetime) -> None:
    await audit_log.record(
        connection,
        actor=ACTOR,
        action="customer.erase",
        object_type="customer",
        object_id=person.id,
        now=now,
        details={"rows": rows},
    )
