"""Whether the database remembers all that was done: after a restore it does not.

What Stripe did since the dump is then unknown here, and an order would be charged a second time. So whatever changes
something at Stripe is answered 503 `recovering` until everything at Stripe was listed and compared (`payments reconcile
--full`, which a worker begins by itself: `reconcile/recovering.py`). Reads and webhooks go on.

A row, the mark, says so to every process. The restore Job sets it, `payments recover` does, and so does each process
that looks, at most once a second, and finds one of these:

1. Another database. A PostgreSQL cluster has a system identifier, a database in it an OID. A row holds those that it
   was written under, so a dump restored anywhere else tells of itself, whoever restored it. (`pg_upgrade` makes a new
   identifier too; then the comparison finds nothing.)
2. Fewer beats than Redis remembers. Workers count in a row every five seconds and tell Redis after the commit. So a
   dump restored in place, recovery to a point in time and a failover that lost more than that are found.
3. Another timeline (a standby was promoted) while Redis remembers no beats. Failover and recovery to a point in time
   both begin one, and only the beats tell them apart: what was not measured is not a success.

The last five seconds, and a dump restored in place while Redis is empty too, are not found. Retries are safe even then,
for their keys at Stripe are made of the caller's (`Operation.stripe_key`).
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import structlog

from payment_service.caching.circuit_breaker import Circuit, CircuitOpen
from payment_service.errors import Recovering
from payment_service.observability.metrics import RECOVERING
from payment_service.shares import counting_for
from payment_service.storage import audit_log
from payment_service.storage.cursors import add_cursor, drop_cursor, read_cursor, read_cursors, write_cursor
from payment_service.storage.dialects.sqlstate import sqlstate

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.clock import Clock
    from payment_service.storage.database import Database

MARK: Final = "recovery"
"""Exists while the database may be older than what was done: `id`, `reason`, what `reconcile/recovering.py` adds."""
MEMORY: Final = "recovery.memory"
"""What is compared: `lineage`, `generation`, `beats`, `place`."""
LOOK_SECONDS: Final = 1.0
BEAT_SECONDS: Final = 5.0
PATIENCE_SECONDS: Final = 2.0
"""With a slow Redis where no request waits: a worker that beats, a command."""
RETRY_AFTER_SECONDS: Final = 15.0

log = structlog.get_logger("payments")


class State(NamedTuple):
    """What a look found."""

    lineage: str
    """Names the database and all its dumps."""
    mark: dict[str, Any] | None


class Recovery:
    """Looks whether the database remembers all that was done, and keeps the beats.

    Args:
        database: that is looked at.
        clock: the time of the rows.
        redis: the client; None in development: nothing but the database remembers.
        circuit: Redis's, shared with the limiter: one request waits for it once.
        account: a name of the Stripe account's key, so that environments that share a Redis have beats of their own.
    """

    def __init__(
        self,
        database: Database,
        *,
        clock: Clock,
        redis: Any = None,
        circuit: Circuit | None = None,
        account: Callable[[], str] = lambda: "",
    ) -> None:
        self._database = database
        self._clock = clock
        self._redis = redis
        self._account = account
        self._circuit = circuit or Circuit()
        self._lock = asyncio.Lock()
        self._seen: tuple[float, State | None] = (float("-inf"), None)
        self._telling = True

    async def admit(self) -> str:
        """Return the database's lineage, when something may be changed at Stripe.

        Raises:
            Recovering: the database is older than what was done.
        """
        state = await self.state()
        if state.mark is not None:
            raise Recovering(
                "The database was restored; until everything is compared with Stripe nothing is changed there",
                retry_after=RETRY_AFTER_SECONDS,
            )
        return state.lineage

    async def state(self) -> State:
        """Return what was found within the last second."""
        async with self._lock:
            seen, state = self._seen
            if state is None or time.monotonic() - seen > LOOK_SECONDS:
                began = time.monotonic()
                with counting_for(None):  # every caller waits for this look
                    state = await self.look(patience=None)
                self._seen = (began, state)
            return state

    async def look(self, *, patience: float | None = PATIENCE_SECONDS) -> State:
        """Look now, and set the mark when rows are missing; without patience a slow Redis remembers nothing."""
        remembered = await self._remembered(patience)  # first: a beat between the two must not look like a loss
        async with self._database.read() as connection:
            rows = await read_cursors(connection, MARK, MEMORY)
        here = await self._place()
        memory, mark = rows.get(MEMORY), rows.get(MARK)
        if memory is None:
            memory = await self._begin(here)
        elif missing(memory, here=here, remembered=remembered):
            mark = await self._note_loss(here, remembered)
        elif here and memory["place"] != here:
            await self._note_place(here)
        RECOVERING.set(mark is not None)
        return State(memory["lineage"], mark)

    async def beat(self) -> None:
        """Count one up, here and then in Redis; not while rows are missing."""
        if (await self.look()).mark is not None:
            return
        async with self._database.transaction() as connection:
            memory = await read_cursor(connection, MEMORY, lock=True)
            if memory is None:
                return
            memory["beats"] += 1
            await write_cursor(connection, MEMORY, memory, now=self._clock.now())
        if self._redis is not None:
            with contextlib.suppress(CircuitOpen):
                async with self._circuit.asking(patience=PATIENCE_SECONDS):
                    await self._redis.set(self._key(), f"{memory['generation']}:{memory['beats']}")

    async def clear(self, *, mark_id: str | None, actor: str) -> bool:
        """Take this mark, or any, away and remember from here on; False when another one was set meanwhile."""
        here = await self._place()
        async with self._database.transaction() as connection:
            memory = await read_cursor(connection, MEMORY, lock=True) or _new(here)
            mark = await read_cursor(connection, MARK, lock=True)
            if mark is None or mark_id not in (None, mark["id"]):
                return False
            await self._remember(connection, memory, here)
            await drop_cursor(connection, MARK)
            await _audit(connection, "recovery.end", actor=actor, details=mark, now=self._clock.now())
        self._seen = (float("-inf"), None)
        return True

    async def _begin(self, here: dict[str, str]) -> dict[str, Any]:
        async with self._database.transaction() as connection:
            await add_cursor(connection, MEMORY, _new(here), now=self._clock.now())
            memory = await read_cursor(connection, MEMORY)
        assert memory is not None
        return memory

    async def _note_loss(self, here: dict[str, str], remembered: str | None) -> dict[str, Any] | None:
        """Set a new mark, also in place of one that a dump brought, and remember from here on."""
        async with self._database.transaction() as connection:
            memory = await read_cursor(connection, MEMORY, lock=True)
            reason = memory and missing(memory, here=here, remembered=remembered)
            if not memory or not reason:  # another process was faster
                return await read_cursor(connection, MARK)
            await self._remember(connection, memory, here)
            reason = (await read_cursor(connection, MARK) or {}).get("reason", reason)
            mark = await set_mark(connection, reason=reason, actor="worker:recovery", now=self._clock.now())
        log.error("database_restored", reason=reason)
        return mark

    async def _remember(self, connection: AsyncConnection, memory: dict[str, Any], here: dict[str, str]) -> None:
        """Begin a new generation: what Redis holds counts no more."""
        new = {**_new(here), "lineage": memory["lineage"]}
        await write_cursor(connection, MEMORY, new, now=self._clock.now())

    async def _note_place(self, here: dict[str, str]) -> None:
        """Note a promotion that lost nothing."""
        async with self._database.transaction() as connection:
            memory = await read_cursor(connection, MEMORY, lock=True)
            if memory is not None:
                await write_cursor(connection, MEMORY, {**memory, "place": here}, now=self._clock.now())

    async def _remembered(self, patience: float | None) -> str | None:
        """Return the generation and the beats that Redis holds."""
        if self._redis is None:
            return None
        try:
            async with self._circuit.asking(patience=patience):
                found: bytes | None = await self._redis.get(self._key())
        except CircuitOpen:
            return None
        return None if found is None else found.decode()

    def _key(self) -> str:
        return f"payments:{{recovery}}:{self._account()}:beats"

    async def _place(self) -> dict[str, str]:
        """Return where the database lies; nothing where it does not tell."""
        dialect = self._database.dialect
        if dialect.place is None or not self._telling:
            return {}
        try:
            async with self._database.read() as connection:
                found = dict((await connection.execute(dialect.place)).one()._mapping)  # noqa: SLF001 - its public name
        except Exception as error:
            if not dialect.is_not_permitted(error):
                raise
            self._telling = False
            log.warning("database_place_unknown", sqlstate=sqlstate(error))
            return {}
        return found if all(found.values()) else {}


def missing(memory: dict[str, Any], *, here: dict[str, str], remembered: str | None) -> str | None:
    """Return why rows may be missing; None: nothing says so.

    Args:
        memory: the row `MEMORY`.
        here: where the database lies now; empty: unknown.
        remembered: the generation and the beats that Redis holds.
    """
    generation, _, beats = (remembered or "").partition(":")
    known = generation == memory["generation"]
    if known and int(beats) > memory["beats"]:
        return "the database is older than what Redis remembers"
    place = memory["place"]
    if not here or not place:
        return None
    if (place["system"], place["database"]) != (here["system"], here["database"]):
        return "the rows were written in another database: a dump was restored"
    if place["timeline"] != here["timeline"] and not known:
        return "the server was promoted, and Redis does not remember whether rows were lost"
    return None


async def set_mark(connection: AsyncConnection, *, reason: str, actor: str, now: datetime) -> dict[str, Any]:
    """Set a new mark, in the caller's transaction: a comparison that was under way counts no more."""
    mark = {"id": secrets.token_hex(8), "reason": reason}
    await write_cursor(connection, MARK, mark, now=now)
    await _audit(connection, "recovery.begin", actor=actor, details=mark, now=now)
    return mark


def _new(here: dict[str, str]) -> dict[str, Any]:
    return {"lineage": secrets.token_hex(8), "generation": secrets.token_hex(8), "beats": 0, "place": here}


async def _audit(
    connection: AsyncConnection, action: str, *, actor: str, details: dict[str, Any], now: datetime
) -> None:
    await audit_log.record(
        connection, actor=actor, action=action, object_type="database", object_id="recovery", now=now, details=details
    )
