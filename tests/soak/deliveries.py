"""Kills workers and PostgreSQL while changes are committed and webhooks about them are sent, and compares the books.

Two workers share one durable PostgreSQL. Writers commit changes of a few objects and remember which commits were
acknowledged. Three endpoints write down what comes and what they take: one at once, one slowly, one refuses some events
at first. When all is at rest every endpoint must have taken every event, of one object in the order of the feed and the
next only after it had taken the one before. A repetition of what was taken is counted, and must have a kill for its
cause: at least once is what is promised.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import sys
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import asyncpg
from tests.servers.process import ServerProcess
from tests.servers.stack import development_settings
from tests.servers.webhook_receiver import Got
from tests.soak.storm import persist

from payment_service.clock import Clock
from payment_service.endpoints.building import build_endpoints
from payment_service.endpoints.holding import AT_ONCE
from payment_service.endpoints.schemas import CreateWebhookEndpoint
from payment_service.http.server import Servers, listen
from payment_service.storage.audit_log import cli_actor
from payment_service.storage.database import Database
from stripe_simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

    from tests.servers.postgres import PostgresServer

WORKERS, WRITERS, OBJECTS = 2, 2, 12
LEASE_SECONDS = 5
TOLD = "webhook_endpoint.disabled"
"""A kind of change that is told as it is written: there is no row to read."""
REST_SECONDS = 240
GRACE_SECONDS = 2.0
"""After a kill has been got over, in which connections that it broke are still found out."""
UNANSWERED = OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError
"""What a statement raises when the server is killed; the last when that happens in the middle of its answer."""
_WRITE = (
    "INSERT INTO outbox (object_type, object_id, before, after, cause, created_at) SELECT $1, $2::text, NULL,"
    " json_build_object('id', $2::text, 'reason', 'gone', 'failing_since', NULL), 'fetch', now() RETURNING seq"
)
_BUSY = (
    "SELECT (SELECT count(*) FROM outbox WHERE NOT EXISTS (SELECT FROM feed WHERE outbox_seq = seq)),"
    " (SELECT count(*) FROM webhook_deliveries WHERE state = 'pending'),"
    " (SELECT count(*) FROM webhook_endpoints WHERE reached <> (SELECT max(sequence) FROM feed))"
)
_FEED = "SELECT sequence, seq, object_id FROM feed JOIN outbox ON seq = outbox_seq ORDER BY sequence"


class Noted(NamedTuple):
    """What happened at an endpoint."""

    at: float
    taken: bool
    """It answers 2xx; else the request has come."""
    sequence: int


class Kill(NamedTuple):
    """From when a process was away until it was there again."""

    began: float
    ended: float


class Repeat(NamedTuple):
    """An event that came to an endpoint which had taken it."""

    sequence: int
    taken: float
    came: float

    def follows(self, kills: Iterable[Kill]) -> bool:
        """Tell whether a kill may be why: between the answer and the repetition, or not got over at the answer."""
        return any(kill.began <= self.came and kill.ended + GRACE_SECONDS >= self.taken for kill in kills)


@dataclass
class Witness:
    """An endpoint that writes down what comes."""

    chance: random.Random
    longest: float = 0.0
    """Seconds until it answers, at most."""
    refuses: float = 0.0
    """The share of events that it refuses at first."""
    secret: str = ""
    log: list[Noted] = field(default_factory=list)
    unsigned: list[str] = field(default_factory=list)
    refused: set[int] = field(default_factory=set)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Take a request."""
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        got = Got({name.decode().lower(): value.decode() for name, value in scope["headers"]}, body)
        status = await self._answer(got)
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    async def _answer(self, got: Got) -> int:
        sequence = got.event["sequence"]
        try:
            got.verify(self.secret)
        except Exception as error:  # noqa: BLE001 - the library's own
            self.unsigned.append(f"{sequence}: {error}")
        self.log.append(Noted(time.monotonic(), taken=False, sequence=sequence))
        await asyncio.sleep(self.chance.uniform(0, self.longest))
        if sequence not in self.refused and self.chance.random() < self.refuses:
            self.refused.add(sequence)
            return 500
        self.log.append(Noted(time.monotonic(), taken=True, sequence=sequence))
        return 200


def lost(log: Sequence[Noted], order: Mapping[str, Sequence[int]]) -> list[int]:
    """Return the events that were never taken."""
    taken = {noted.sequence for noted in log if noted.taken}
    return [sequence for sequences in order.values() for sequence in sequences if sequence not in taken]


def disordered(log: Sequence[Noted], order: Mapping[str, Sequence[int]]) -> list[str]:
    """Return where an event came before the one before it, of its object, was taken."""
    first: dict[tuple[bool, int], int] = {}
    for place, noted in enumerate(log):
        first.setdefault((noted.taken, noted.sequence), place)
    never = len(log)
    return [
        f"{later} of {name} came before {earlier} was taken"
        for name, sequences in order.items()
        for earlier, later in itertools.pairwise(sequences)
        if first.get((False, later), never) < first.get((True, earlier), never)
    ]


def repeats(log: Sequence[Noted]) -> list[Repeat]:
    """Return what came again after it had been taken."""
    taken: dict[int, float] = {}
    found = []
    for at, answered, sequence in log:
        if answered:
            taken[sequence] = at
        elif sequence in taken:
            found.append(Repeat(sequence, taken[sequence], at))
    return found


@dataclass
class Siege:
    """What runs, and what has happened so far."""

    postgres: PostgresServer
    database: str
    workers: dict[str, ServerProcess]
    witnesses: dict[str, Witness]
    chance: random.Random
    kills: list[Kill] = field(default_factory=list)
    killed: Counter[str] = field(default_factory=Counter)
    acknowledged: set[int] = field(default_factory=set)
    over: bool = False

    async def rage(self, kills: int) -> None:
        """Kill so often under load, then let everything come to rest."""
        names = [*self.workers, "postgresql"]
        victims = [names[number % len(names)] for number in range(kills)]
        self.chance.shuffle(victims)
        writing = [asyncio.create_task(self._write()) for _ in range(WRITERS)]
        for victim in victims:
            await asyncio.sleep(self.chance.uniform(0.5, 1.5))
            await self._kill(victim)
        self.over = True
        await asyncio.gather(*writing)
        async with asyncio.timeout(REST_SECONDS):
            while any((await self.query(_BUSY))[0]):  # noqa: ASYNC110 - rows tell nobody
                await asyncio.sleep(0.2)

    async def _kill(self, name: str) -> None:
        began = time.monotonic()
        if name == "postgresql":
            await asyncio.to_thread(self.postgres.kill)
            await persist(lambda: asyncio.to_thread(self.postgres.start))
        else:
            await asyncio.to_thread(self.workers[name].kill)
            await asyncio.to_thread(self.workers[name].start, ready=lambda: True)
        self.killed[name.partition("-")[0]] += 1
        self.kills.append(Kill(began, time.monotonic()))

    async def _write(self) -> None:
        """Commit one change after the other; one that the database did not acknowledge may be there or not."""
        while not self.over:
            with contextlib.suppress(*UNANSWERED):
                connection = await asyncpg.connect(self.database, timeout=5)
                try:
                    while not self.over:
                        name = f"object_{self.chance.randrange(OBJECTS)}"
                        self.acknowledged.add(await connection.fetchval(_WRITE, TOLD, name))
                        await asyncio.sleep(self.chance.uniform(0, 0.1))
                finally:
                    connection.terminate()
            await asyncio.sleep(0.1)

    async def query(self, statement: str) -> list[asyncpg.Record]:
        """Run one statement."""
        connection = await asyncpg.connect(self.database)
        try:
            return list(await connection.fetch(statement))
        finally:
            await connection.close()

    async def books(self) -> dict[str, Any]:
        """Return the numbers that matter; all lists have to be empty."""
        rows, order = await self.query(_FEED), defaultdict(list)
        for row in rows:
            order[row["object_id"]].append(row["sequence"])
        again = {name: repeats(witness.log) for name, witness in self.witnesses.items()}
        most = AT_ONCE * len(self.kills)
        return {
            "kills": dict(self.killed),
            "changes acknowledged": len(self.acknowledged),
            "events": len(rows),
            "deliveries taken": sum(noted.taken for witness in self.witnesses.values() for noted in witness.log),
            "refused at first": sum(len(witness.refused) for witness in self.witnesses.values()),
            "repetitions": sum(map(len, again.values())),
            "acknowledged changes lost": sorted(self.acknowledged - {row["seq"] for row in rows}),
            "events lost": [(name, one) for name, seen in self.witnesses.items() for one in lost(seen.log, order)],
            "out of order": [(name, one) for name, w in self.witnesses.items() for one in disordered(w.log, order)],
            "badly signed": [(name, one) for name, seen in self.witnesses.items() for one in seen.unsigned],
            "repetitions without a kill": [
                (name, one) for name, found in again.items() for one in found if not one.follows(self.kills)
            ],
            "more repetitions than attempts at once": [name for name, found in again.items() if len(found) > most],
        }


@contextlib.asynccontextmanager
async def siege(postgres: PostgresServer, database: str, folder: Path, *, seed_of_chance: int) -> AsyncIterator[Siege]:
    """Start everything on a migrated database."""
    chance = random.Random(seed_of_chance)
    witnesses = {
        "prompt": Witness(chance),
        "slow": Witness(chance, longest=0.2),
        "moody": Witness(chance, refuses=0.03),
    }
    simulator, servers, socket = Simulator(), Servers(), listen("127.0.0.1", 0)
    await servers.start(simulator.api, socket)
    stripe_url = f"http://127.0.0.1:{socket.getsockname()[1]}"
    environ = {
        "ENVIRONMENT": "development",
        "DATABASE_URL": database,
        "STRIPE_API_BASE": stripe_url,
        "PAYMENTS_ADMIN_PORT": "0",
        "PAYMENTS_EVENT_LEASE_SECONDS": str(LEASE_SECONDS),
        "LOG_LEVEL": "WARNING",
    }
    program = Path(sys.executable).with_name("payments")
    workers = {
        f"worker-{number}": ServerProcess(
            [program, "worker"], log=folder / f"worker-{number}.log", env=environ, cwd=folder
        )
        for number in range(WORKERS)
    }
    try:
        await _make_endpoints(witnesses, servers, database=database, stripe_url=stripe_url)
        for worker in workers.values():
            worker.start(ready=lambda: True)
        async with simulator:
            yield Siege(postgres, database, workers, witnesses, chance)
    finally:
        for worker in workers.values():
            worker.kill()
        await servers.stop()


async def _make_endpoints(
    witnesses: Mapping[str, Witness], servers: Servers, *, database: str, stripe_url: str
) -> None:
    """Let each witness listen, and have events sent to it from the first one on."""
    settings = development_settings(database_url=database, stripe_url=stripe_url)
    opened = Database.from_settings(settings.database)
    endpoints = build_endpoints(settings, opened, clock=Clock())
    try:
        for witness in witnesses.values():
            socket = listen("127.0.0.1", 0)
            await servers.start(witness, socket)
            asked = CreateWebhookEndpoint(url=f"http://127.0.0.1:{socket.getsockname()[1]}/", event_types=[])
            async with opened.transaction() as connection:
                made = await endpoints.create(connection, asked, actor=cli_actor())
            witness.secret = (await endpoints.revealed(made)).secret or ""
    finally:
        await opened.close()
