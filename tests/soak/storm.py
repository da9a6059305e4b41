"""Kills API processes, workers and the database while clients create subscriptions and Stripe's webhooks go astray.

Two API processes and three workers share one durable PostgreSQL, or MariaDB. Clients ask again with the same
idempotency key until they have an answer; the simulator fails calls and duplicates, reorders, delays and drops webhooks
meanwhile. Afterwards everything has to be at rest and the books have to agree.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys
import uuid
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from sqlalchemy import func, select
from tests.servers.process import ServerProcess, accepts, free_port
from tests.servers.stack import PRICE, development_settings, seed_prices
from tests.soak.scenarios import AMOUNT, CREATE

from payment_service.events.routes import PATH as WEBHOOK_PATH
from payment_service.http.server import Servers, listen
from payment_service.storage.database import Database
from payment_service.storage.tables import events, operations, outbox, subscriptions
from stripe_simulator import Simulator
from stripe_simulator.faults import Fault, FaultKind, WebhookFault, WebhookFaultKind
from stripe_simulator.ledger import ledger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from sqlalchemy import Select
    from tests.servers.mariadb import MariaDBServer
    from tests.servers.postgres import PostgresServer

APIS, WORKERS, CLIENTS = 2, 3, 8
SECRETS = [f"whsec_storm_{number}" for number in range(APIS)]
CARDS = {"pm_card_visa": 201, "pm_card_authenticationRequired": 201, "pm_card_chargeCustomerFail": 402}
CALL_FAULTS: tuple[FaultKind, ...] = ("reset_before", "reset_after", "500_before", "500_after", "429", "409")
WEBHOOK_FAULTS: tuple[WebhookFaultKind, ...] = (
    "duplicate",
    "reorder",
    "delay",
    "drop",
    "wrong_signature",
    "future_timestamp",
)
REST_SECONDS = 240
_ROW = (outbox.c.cause, outbox.c.object_type, outbox.c.object_id)
_TWICE = select(*_ROW).where(outbox.c.cause.like("evt_%")).group_by(*_ROW).having(func.count() > 1)
_DEAD = select(events.c.id, events.c.type, events.c.attempts, events.c.last_error).where(events.c.state == "dead")
_BUSY = (
    select(func.count()).where(operations.c.finished.is_(False)),
    select(func.count()).where(events.c.state == "pending"),
)
_HERE = select(subscriptions.c.stripe_subscription_id, subscriptions.c.status).where(
    subscriptions.c.stripe_subscription_id.is_not(None)
)


@dataclass
class Storm:
    """What runs, and what has happened so far."""

    server: PostgresServer | MariaDBServer
    simulator: Simulator
    processes: dict[str, ServerProcess]
    addresses: list[str]
    database: str
    chance: random.Random
    kills: Counter[str] = field(default_factory=Counter)
    answers: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Card and status, by the customer's address."""
    over: bool = False

    async def rage(self, kills: int) -> None:
        """Kill so many processes under load, then let everything come to rest."""
        async with httpx.AsyncClient(timeout=30) as client:
            clients = [asyncio.create_task(self._buy(client)) for _ in range(CLIENTS)]
            weather = asyncio.create_task(self._bad_weather())
            for _ in range(kills):
                await asyncio.sleep(self.chance.uniform(0.2, 1.0))
                await self._kill(self.chance.choice([*self.processes, "database"]))
            self.over = True
            await weather
            self.simulator.faults.clear()
            await asyncio.gather(*clients)
        await self._rest()

    async def _kill(self, name: str) -> None:
        self.kills[name.partition("-")[0]] += 1
        if name == "database":
            await asyncio.to_thread(self.server.kill)
            await persist(lambda: asyncio.to_thread(self.server.start))
            return
        process = self.processes[name]
        await asyncio.to_thread(process.kill)
        await asyncio.to_thread(process.start, ready=_ready(name, self.addresses))

    async def _buy(self, client: httpx.AsyncClient) -> None:
        """Create one subscription after the other, each until there is an answer."""
        while not self.over:
            email, key, card = f"{uuid.uuid4().hex}@example.com", uuid.uuid4().hex, self.chance.choice([*CARDS])
            body = {"price_id": PRICE, "email": email, "payment_method_id": card}
            status = 0
            while status not in {201, 402}:
                address = self.chance.choice(self.addresses)
                with contextlib.suppress(httpx.TransportError):
                    answer = await client.post(address + CREATE, json=body, headers={"Idempotency-Key": key})
                    status = answer.status_code
                    assert status in {201, 402, 408, 409, 429, 503, 504}, (
                        answer.text
                    )  # 429: its key holds all connections
                await asyncio.sleep(0.05)
            self.answers[email] = card, status

    async def _bad_weather(self) -> None:
        faults = self.simulator.faults
        while not self.over:
            if len(faults.calls) < 3:
                faults.calls.append(Fault(kind=self.chance.choice(CALL_FAULTS), skip=self.chance.randrange(6)))
            if len(faults.webhooks) < 3:
                faults.webhooks.append(WebhookFault(kind=self.chance.choice(WEBHOOK_FAULTS), seconds=0.5))
            await asyncio.sleep(0.05)

    async def _rest(self) -> None:
        """Wait until no delivery, event or operation is under way."""
        async with asyncio.timeout(REST_SECONDS):
            while any(  # noqa: ASYNC110 - rows tell nobody
                self.simulator.state.hidden(event)["pending"] for event in self._events()
            ) or [query for query in _BUSY if (await self.query(query))[0][0]]:
                await asyncio.sleep(0.5)

    def _events(self) -> list[dict[str, Any]]:
        return self.simulator.state.all("event")

    async def query(self, statement: Select[Any]) -> list[tuple[Any, ...]]:
        """Return the rows of one statement."""
        settings = development_settings(database_url=self.database, stripe_url="http://127.0.0.1:1")
        database = Database.from_settings(settings.database)
        try:
            async with database.read() as connection:
                return [tuple(row) for row in await connection.execute(statement)]
        finally:
            await database.close()

    async def books(self) -> dict[str, Any]:
        """Return the numbers that matter; all lists have to be empty."""
        state = self.simulator.state
        hidden = {event["id"]: state.hidden(event) for event in self._events()}
        acknowledged = [name for name, about in hidden.items() if len(about["failed"]) < APIS]
        emails = {customer["id"]: customer["email"] for customer in state.all("customer")}
        charged: dict[str, list[int]] = {email: [] for email in self.answers}
        for charge in ledger(self.simulator)["charges"]:
            charged[emails[charge["customer"]]].append(charge["amount"])
        here = dict(await self.query(_HERE))
        held = {row[0] for row in await self.query(select(events.c.id))}
        return {
            "kills": dict(self.kills),
            "requests answered": len(self.answers),
            "events acknowledged": len(acknowledged),
            "acknowledged events lost": [name for name in acknowledged if name not in held],
            "events applied twice": await self.query(_TWICE),
            "events dead": await self.query(_DEAD),
            "customers made twice": [email for email, count in Counter(emails.values()).items() if count > 1],
            "wrong charges": [email for email, sums in charged.items() if sums != self._expected(email)],
            "wrong answers": [email for email, (card, status) in self.answers.items() if status != CARDS[card]],
            "subscriptions that differ from Stripe's": [
                subscription["id"]
                for subscription in state.all("subscription")
                if here.get(subscription["id"]) != subscription["status"]
            ],
        }

    def _expected(self, email: str) -> list[int]:
        return [AMOUNT] if self.answers[email][0] == "pm_card_visa" else []


async def persist(work: Callable[[], Awaitable[None]], *, tries: int = 20) -> None:
    """Try until it works: a new postmaster refuses while processes of the killed one still end."""
    for _ in range(tries):
        with contextlib.suppress(RuntimeError):
            await work()
            return
        await asyncio.sleep(0.5)
    await work()


def _ready(name: str, addresses: list[str]) -> Callable[[], bool]:
    kind, _, number = name.partition("-")
    if kind == "worker":
        return lambda: True
    port = int(addresses[int(number)].rpartition(":")[2])
    return lambda: accepts(port)


@contextlib.asynccontextmanager
async def storm(
    server: PostgresServer | MariaDBServer, database: str, folder: Path, *, seed_of_chance: int
) -> AsyncIterator[Storm]:
    """Start everything on a migrated database."""
    simulator, servers, socket = Simulator(), Servers(), listen("127.0.0.1", 0)
    await servers.start(simulator.api, socket)
    simulator.routes.delivery.retry_seconds = (0.2, 0.5, *([1.0] * 40))
    environ = {
        "ENVIRONMENT": "development",
        "DATABASE_URL": database,
        "STRIPE_API_BASE": f"http://127.0.0.1:{socket.getsockname()[1]}",
        "STRIPE_WEBHOOK_SECRET": ",".join(SECRETS),
        "PAYMENTS_ADMIN_PORT": "0",
        "PAYMENTS_CREATE_LIMIT_PER_MINUTE": "0",
        "PAYMENTS_OPERATION_LEASE_SECONDS": "3",
        "PAYMENTS_EVENT_LEASE_SECONDS": "10",
        "LOG_LEVEL": "WARNING",
    }
    ports = [free_port() for _ in range(APIS)]
    commands = {
        f"api-{number}": ["serve", "--host", "127.0.0.1", "--port", str(ports[number])] for number in range(APIS)
    }
    commands |= {f"worker-{number}": ["worker"] for number in range(WORKERS)}
    program = Path(sys.executable).with_name("payments")
    processes = {
        name: ServerProcess([program, *command], log=folder / f"{name}.log", env=environ, cwd=folder)
        for name, command in commands.items()
    }
    addresses = [f"http://127.0.0.1:{port}" for port in ports]
    for address, secret in zip(addresses, SECRETS, strict=True):
        simulator.ensure_webhook_endpoint(url=address + WEBHOOK_PATH, secret=secret)
    seed_prices(simulator)
    try:
        for name, process in processes.items():
            process.start(ready=_ready(name, addresses))
        async with simulator:
            yield Storm(server, simulator, processes, addresses, database, random.Random(seed_of_chance))
    finally:
        for process in processes.values():
            process.kill()
        await servers.stop()
