"""Kills an API process at a chosen await of a request, lets another one go on, and counts what was made.

The survivor is a second API process with the worker in it, on the same database: whether the client asks again or
never comes back, there must be exactly one customer, one subscription and the right charges at Stripe, one answer, and
no operation left unfinished.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import subprocess
import sys
import uuid
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
from sqlalchemy import func, select
from tests.servers.process import die_with_parent
from tests.servers.stack import PRICE, development_settings, seed
from tests.soak.scenarios import CREATE, SCENARIOS, Scenario

from payment_service.http.server import Servers, listen
from payment_service.mirror.payment_method import payment_methods
from payment_service.storage import tables
from payment_service.storage.database import Database
from payment_service.storage.tables import idempotency_keys, operations
from stripe_simulator import Simulator
from stripe_simulator.control import ledger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy import Select
    from tests.soak.points import Moment

LEASE_SECONDS = 1.0
PATIENCE_SECONDS = 60.0
PASSING = {
    "idempotency_key_in_use",
    "subscription_in_progress",
    "service_unavailable",
    "stripe_unavailable",
    "stripe_timeout",
}
"""Codes of answers after which a client asks again."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One death: where, and whether the client asks again."""

    scenario: str
    moment: Moment
    kill_at: int
    retries: bool

    def __str__(self) -> str:
        """Name it, as `--only` takes it."""
        return f"{self.scenario}/{self.moment}/{self.kill_at}/{'retry' if self.retries else 'gone'}"


@dataclass
class Zygote:
    """The process that forks API processes."""

    process: asyncio.subprocess.Process
    environ: dict[str, str]
    numbers: itertools.count[int] = field(default_factory=itertools.count)
    said: dict[int, asyncio.Queue[dict[str, Any]]] = field(default_factory=dict)

    async def listen(self) -> None:
        """Hand what the processes say to whom it is for."""
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            message = json.loads(line)
            self.said[message["id"]].put_nowait(message)

    async def fork(
        self, *, moment: Moment = "sent", kill_at: int = 0, worker: bool = False, **environ: str
    ) -> tuple[int, str]:
        """Start an API process; return its number and its address."""
        number = next(self.numbers)
        self.said[number] = asyncio.Queue()
        job = {"id": number, "environ": self.environ | environ, "worker": worker, "moment": moment, "kill_at": kill_at}
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(job).encode() + b"\n")
        port = (await self.hear(number))["port"]
        return number, f"http://127.0.0.1:{port}"

    async def hear(self, number: int) -> dict[str, Any]:
        """Return the next thing that a process says."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self.said[number].get()


@dataclass
class Crashes:
    """Runs trials; several at once, each with a customer of its own."""

    zygote: Zygote
    survivor: str
    client: httpx.AsyncClient
    simulator: Simulator
    database: Database

    async def points(self, scenario: str, moment: Moment) -> int:
        """Return how many moments an undisturbed request has."""
        trial = Trial(scenario=scenario, moment=moment, kill_at=0, retries=True)
        number, address = await self.zygote.fork(moment=moment, PAYMENTS_OPERATION_LEASE_SECONDS="60")
        path, body = await self._prepare(SCENARIOS[scenario], _email(trial))
        answer = await self.client.request(SCENARIOS[scenario].method, address + path, json=body)
        assert answer.status_code == SCENARIOS[scenario].status, answer.text
        return int((await self.zygote.hear(number))["points"])

    async def run(self, trial: Trial) -> str:
        """Do one trial; return the place in the code where the process died.

        Raises:
            AssertionError: something was lost, made twice, or left unfinished.
        """
        scenario, email, key = SCENARIOS[trial.scenario], _email(trial), uuid.uuid4().hex
        path, body = await self._prepare(scenario, email)
        number, address = await self.zygote.fork(moment=trial.moment, kill_at=trial.kill_at)
        headers = {"Idempotency-Key": key}
        try:
            first = await self.client.request(scenario.method, address + path, json=body, headers=headers)
        except httpx.TransportError:
            first = None
        said = await self.zygote.hear(number)
        if not trial.retries:
            await self._settled(key, email)
            self._check_at_rest(scenario, email)
        answer = await self._ask(path, body, headers, method=scenario.method)
        again = await self._ask(path, body, headers, method=scenario.method)
        assert answer.status_code == scenario.status, answer.text
        assert again.headers["Idempotent-Replayed"] == "true"
        assert again.content == answer.content, "the second answer differs"
        if first is not None and not _passes(first):
            assert first.content == answer.content, "the retry's answer differs from the first"
        await self._settled(key, email)
        self._check(scenario, email)
        return str(said.get("place", "survived"))

    async def _prepare(self, scenario: Scenario, email: str) -> tuple[str, dict[str, Any]]:
        """Make what has to exist before; return path and body of the request."""
        made = {}
        if scenario.first is not None:
            key = {"Idempotency-Key": uuid.uuid4().hex}  # a busy machine may not answer in time
            answer = await self._ask(CREATE, {"price_id": PRICE, "email": email, **scenario.first}, key)
            assert answer.status_code == 201, answer.text
            made = answer.json()
            if scenario.leaves:  # a customer's first card is the default
                customer = self.simulator.state.objects[made["stripe_customer_id"]]
                customer["invoice_settings"]["default_payment_method"] = None
        match scenario.call:
            case "create":
                return CREATE, {"price_id": PRICE, "email": email, **scenario.body}
            case "cancel":
                return f"/api/v1/subscriptions/{made['id']}/cancel", scenario.body
            case "change":
                return f"/api/v1/subscriptions/{made['id']}", scenario.body
            case "save":
                return "/api/v1/setup-intents", {"customer_id": made["customer_id"], **scenario.body}
            case "refund":
                (charge,) = self._of("charge", made["stripe_customer_id"])
                return "/api/v1/refunds", {"payment_id": charge["payment_intent"], **scenario.body}
        (method,) = self._of("payment_method", made["stripe_customer_id"])
        return await self._of_method(scenario, email, method["id"])

    async def _of_method(self, scenario: Scenario, email: str, method_id: str) -> tuple[str, dict[str, Any]]:
        """Return path and body of a request about a card."""
        if scenario.call == "known":
            await self._told(method_id)
            return CREATE, {"price_id": PRICE, "email": email, "payment_method_id": method_id, **scenario.body}
        verb = "set-default" if scenario.call == "choose" else "detach"
        return f"/api/v1/payment-methods/{method_id}/{verb}", scenario.body

    async def _told(self, method_id: str) -> None:
        """Wait until the event of a payment method is applied."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            query = select(func.count()).where(payment_methods.c.id == method_id)
            while not await self._value(query):  # noqa: ASYNC110 - a row tells nobody
                await asyncio.sleep(0.1)

    def _of(self, kind: str, customer: str) -> list[dict[str, Any]]:
        return [found for found in self.simulator.state.all(kind) if found["customer"] == customer]

    async def _ask(
        self, path: str, body: dict[str, Any], headers: dict[str, str], *, method: str = "POST"
    ) -> httpx.Response:
        """Ask the survivor, again while it answers that somebody else is at it, or on a busy machine not in time."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                with contextlib.suppress(httpx.TimeoutException):  # the key makes it one request
                    answer = await self.client.request(method, self.survivor + path, json=body, headers=headers)
                    if not _passes(answer):
                        return answer
                await asyncio.sleep(0.1)

    async def _settled(self, key: str, email: str) -> None:
        """Wait until the operation of the key, if it exists, is finished; it holds no slot any more."""
        of_key = idempotency_keys.c.operation_id == operations.c.id
        query = select(operations.c.finished).where(of_key, idempotency_keys.c.key == key)
        await asyncio.sleep(0.3)  # the database may still commit what the dead one had sent
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await self._value(query) is False:  # noqa: ASYNC110 - a row tells nobody
                await asyncio.sleep(0.1)
        row, whose = tables.subscriptions.c, tables.customers.c
        held = select(func.count()).where(row.customer_id == whose.id, whose.email == email, row.status == "creating")
        assert await self._value(held) == 0, "a slot is held for nobody"

    async def _value(self, query: Select[Any]) -> Any:
        """Return what one row has; None: there is no row."""
        async with self.database.read() as connection:
            return (await connection.execute(query)).scalar_one_or_none()

    def _at_stripe(self, email: str) -> tuple[list[Any], list[Any], list[int]]:
        """Return the customers, subscriptions and charged amounts of an address."""
        state = self.simulator.state
        customers = [found for found in state.all("customer") if found["email"] == email]
        ids = {customer["id"] for customer in customers}
        subscriptions = [found for found in state.all("subscription") if found["customer"] in ids]
        charges = [charge["amount"] for charge in ledger(self.simulator)["charges"] if charge["customer"] in ids]
        return customers, subscriptions, charges

    def _check(self, scenario: Scenario, email: str) -> None:
        customers, subscriptions, charges = self._at_stripe(email)
        wanted = 1 if scenario.subscription else 0
        assert len(customers) == wanted, f"{len(customers)} customers"
        several = wanted + (scenario.call == "known")
        assert [found["status"] for found in subscriptions] == [scenario.subscription] * several
        assert sorted(charges) == sorted(scenario.charges)
        assert self._given_back(customers) == scenario.refunds
        if scenario.leaves:
            (customer,) = customers
            assert self._left(customer) == scenario.leaves

    def _given_back(self, customers: list[Any]) -> list[int]:
        """Return the amounts that these customers were refunded."""
        charges = {charge["id"] for customer in customers for charge in self._of("charge", customer["id"])}
        return [found["amount"] for found in self.simulator.state.all("refund") if found["charge"] in charges]

    def _left(self, customer: dict[str, Any]) -> dict[str, int]:
        """Count what became of a customer's payment methods."""
        told = [event["data"].get("previous_attributes") or {} for event in self.simulator.state.all("event")]
        return {
            "setup intents": len(self._of("setup_intent", customer["id"])),
            "detached": sum(before.get("customer") == customer["id"] for before in told),
            "defaults": int(customer["invoice_settings"]["default_payment_method"] is not None),
        }

    def _check_at_rest(self, scenario: Scenario, email: str) -> None:
        """Without a retry the request may never have begun, but nothing may be half done."""
        customers, subscriptions, charges = self._at_stripe(email)
        if subscriptions and scenario.first is None:
            self._check(scenario, email)
        assert len(customers) <= 1, f"{len(customers)} customers"
        assert len(charges) <= len(scenario.charges)
        assert len(self._given_back(customers)) <= len(scenario.refunds)


def _passes(answer: httpx.Response) -> bool:
    return answer.is_error and answer.json()["code"] in PASSING


def _email(trial: Trial) -> str:
    return f"{trial.scenario}-{uuid.uuid4().hex}@example.com"


@asynccontextmanager
async def crashes(database_url: str) -> AsyncIterator[Crashes]:
    """Run simulator, zygote and survivor on a migrated database."""
    simulator, servers, socket = Simulator(), Servers(), listen("127.0.0.1", 0)
    await servers.start(simulator.api, socket)
    environ = {
        "ENVIRONMENT": "development",
        "DATABASE_URL": database_url,
        "STRIPE_API_BASE": f"http://127.0.0.1:{socket.getsockname()[1]}",
        "PAYMENTS_ADMIN_PORT": "0",
        "PAYMENTS_CREATE_LIMIT_PER_MINUTE": "0",
        "PAYMENTS_OPERATION_LEASE_SECONDS": str(LEASE_SECONDS),
        "LOG_LEVEL": "CRITICAL",
    }
    settings = development_settings(database_url=database_url, stripe_url=environ["STRIPE_API_BASE"])
    database = Database.from_settings(settings.database)
    try:
        async with simulator, _zygote(environ) as zygote, httpx.AsyncClient(timeout=30) as client:
            _, survivor = await zygote.fork(worker=True)
            seed(simulator, survivor)
            yield Crashes(zygote, survivor, client, simulator, database)
    finally:
        await database.close()
        await servers.stop()


@asynccontextmanager
async def _zygote(environ: dict[str, str]) -> AsyncIterator[Zygote]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.soak.victim",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        preexec_fn=die_with_parent,
    )
    zygote = Zygote(process, environ)
    listening = asyncio.create_task(zygote.listen())
    try:
        yield zygote
    finally:
        process.kill()  # what it forked dies with it
        await process.wait()
        await listening
