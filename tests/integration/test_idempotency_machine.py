"""The idempotency state machine under concurrent, interrupted and repeated requests, on real PostgreSQL.

Hypothesis chooses what three processes on one database do: send copies of requests, go on, fail or crash at each point
between two transactions, take over, remove what has expired, let time pass. What is charged, answered and stored must
be explained by one operation per key and retention.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from contextvars import ContextVar
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import select
from tests.servers.stack import development_settings

from payment_service.clock import MovableClock
from payment_service.errors import IdempotencyKeyInUse, IdempotencyKeyReused, StripeUnavailable
from payment_service.operations.requests import fingerprint
from payment_service.operations.schemas import Asked, Begun, IdempotencyKey, Operation, StoredResponse
from payment_service.operations.service import Operations, driver
from payment_service.operations.state import Kind, State
from payment_service.operations.steps import Steps
from payment_service.storage.database import Database
from payment_service.storage.recovery import Recovery
from payment_service.storage.tables import idempotency_keys, operations

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from tests.servers.postgres import PostgresServer

PROCESSES, HOUR, SETTLE_SECONDS = 3, 3600.0, 30.0
RETENTION = timedelta(hours=72)
EXAMPLES = int(os.environ.get("PAYMENTS_TEST_HISTORIES", "20"))
"""A sample in CI; `make soak` sets more."""
keys = st.sampled_from(["first", "second"])
bodies = st.sampled_from(["red", "green"])
processes = st.integers(0, PROCESSES - 1)
running: ContextVar[int] = ContextVar("running")


class MakingCharge(State, kw_only=True):
    """The state of a charge."""

    phase: Literal["started", "charged", "finished"] = "started"
    receipt: str | None = None
    driver: int | None = None


KIND = Kind("make_charge", MakingCharge)


async def _begin_charge(_connection: object, _asked: Asked) -> Begun[MakingCharge]:
    return Begun(MakingCharge())


class Sent(NamedTuple):
    """A request under way."""

    process: int
    key: str
    body: str
    task: asyncio.Task[StoredResponse]


class Processes:
    """The service's side: operations whose one step charges at a Stripe that remembers keys."""

    def __init__(self, url: str) -> None:
        self.clock = MovableClock()
        self.charges: Counter[str] = Counter()
        self.waiting: dict[int, asyncio.Future[None]] = {}
        self.sent: list[Sent] = []
        self.completing: list[tuple[int, asyncio.Task[int]]] = []
        self._numbers = 0
        configuration = development_settings(database_url=url, stripe_url="http://127.0.0.1:1")
        self.databases = [Database.from_settings(configuration.database) for _ in range(PROCESSES)]
        self.operations = [self._operations(database, configuration.work) for database in self.databases]

    def _operations(self, database: Database, work: Any) -> Operations:
        steps = Steps(database, clock=self.clock, settings=work)

        async def handle(operation: Operation[MakingCharge]) -> None:
            if operation.state.phase == "started":
                await self.pause()
                self.charges[operation.stripe_key("charge")] = 1
                await self.pause()
                receipt = f"receipt of {operation.id}"
                async with steps.take(operation) as step:
                    step.state = MakingCharge(phase="charged", receipt=receipt, driver=operation.fence)
            else:
                await self.pause()
                async with steps.take(operation) as step:
                    step.response = StoredResponse.of(201, operation.request | step.state.facts())

        return Operations(
            database,
            clock=self.clock,
            recovery=Recovery(database, clock=self.clock),
            settings=work,
            handlers=driver(KIND, handle),
        )

    async def pause(self) -> None:
        """Stop at a point between two transactions until the test goes on."""
        future = self.waiting[running.get()] = asyncio.get_running_loop().create_future()
        await future

    def go_on(self, which: int, error: Exception | None = None) -> None:
        """Let one of those that wait, if any, go on or fail."""
        if self.waiting:
            numbers = sorted(self.waiting)
            future = self.waiting.pop(numbers[which % len(numbers)])
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)

    def crash(self, process: int | None = None) -> None:
        """End what runs in a process, or in all."""
        for task in self.tasks(process):
            self.waiting.pop(int(task.get_name()), None)
            task.cancel()

    def send(self, process: int, key: str, body: str) -> None:
        """Begin a request."""
        used = IdempotencyKey(
            principal="anonymous",
            livemode=False,
            method="POST",
            route="/charge",
            key=key,
            fingerprint=fingerprint(body, path={}),
        )
        request = {"key": key, "body": body}
        work = self.operations[process].run(
            KIND,
            principal="anonymous",
            livemode=False,
            request=dict(request),
            request_id=None,
            key=used,
            prepare=_begin_charge,
        )
        self.sent.append(Sent(process, key, body, self._start(work)))

    def send_copies(self, key: str, body: str, copies: int) -> None:
        """Begin the same request several times in different processes."""
        for number in range(copies):
            self.send(number % PROCESSES, key, body)

    def complete(self, process: int) -> None:
        """Let the process's worker take over one operation."""
        self.completing.append((process, self._start(self.operations[process].complete_expired(limit=1))))

    def _start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        self._numbers += 1
        running.set(self._numbers)
        task: asyncio.Task[Any] = asyncio.create_task(work)
        task.set_name(str(self._numbers))
        return task

    def tasks(self, process: int | None = None) -> list[asyncio.Task[Any]]:
        """Return what runs in a process, or in all."""
        pairs = [(sent.process, sent.task) for sent in self.sent] + self.completing
        return [task for owner, task in pairs if not task.done() and process in {None, owner}]

    async def settle(self) -> None:
        """Wait until everything that runs has ended or waits at a point."""
        async with asyncio.timeout(SETTLE_SECONDS):
            while any(int(task.get_name()) not in self.waiting for task in self.tasks()):  # noqa: ASYNC110 - as in Stack
                await asyncio.sleep(0.001)

    async def rows(self, table: Any) -> list[Any]:
        """Return all rows of a table."""
        async with self.databases[0].read() as connection:
            return list(await connection.execute(select(table)))

    async def close(self) -> None:
        """Stop everything."""
        self.crash()
        await self.settle()
        for database in self.databases:
            await database.close()


class IdempotencyMachine(RuleBasedStateMachine):
    """What can happen, in any order, and what must hold after each step."""

    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.before: dict[str, Any] = {}
        self.runner = asyncio.Runner()
        self.processes = self.runner.run(self._begin())

    async def _begin(self) -> Processes:
        made = Processes(self.url)
        async with made.databases[0].transaction() as connection:
            await connection.exec_driver_sql("TRUNCATE operations, idempotency_keys")
        return made

    def _do(self, action: Any) -> None:
        async def act() -> None:
            action()
            await self.processes.settle()

        self.runner.run(act())

    @rule(process=processes, key=keys, body=bodies)
    def send(self, process: int, key: str, body: str) -> None:
        """Send a request."""
        self._do(lambda: self.processes.send(process, key, body))

    @rule(key=keys, body=bodies, copies=st.integers(2, 4))
    def send_copies_at_once(self, key: str, body: str, copies: int) -> None:
        """Send copies at the same moment to different processes."""
        self._do(lambda: self.processes.send_copies(key, body, copies))

    @rule(process=processes)
    def complete(self, process: int) -> None:
        """Let a worker look for operations whose driver is gone."""
        self._do(lambda: self.processes.complete(process))

    @rule(process=processes)
    def another_takes_over(self, process: int) -> None:
        """Let the leases end while the drivers live on, and a worker take over."""
        self.processes.clock.advance(100)
        self._do(lambda: self.processes.complete(process))

    @rule(which=st.integers(0, 9))
    def go_on(self, which: int) -> None:
        """Let one driver go on to its next point."""
        self._do(lambda: self.processes.go_on(which))

    @rule(which=st.integers(0, 9))
    def fail(self, which: int) -> None:
        """Let Stripe fail one driver."""
        self._do(lambda: self.processes.go_on(which, StripeUnavailable()))

    @rule(process=processes)
    def crash(self, process: int) -> None:
        """End all that a process does, where it stands."""
        self._do(lambda: self.processes.crash(process))

    @rule(seconds=st.sampled_from([1.0, 10.0, 100.0, 73 * HOUR]))
    def time_passes(self, seconds: float) -> None:
        """Move the clock."""
        self.processes.clock.advance(seconds)

    @rule(process=processes)
    def remove_expired(self, process: int) -> None:
        """Remove what is past its retention."""
        self.runner.run(self.processes.operations[process].remove_expired(limit=1))

    @invariant()
    def each_key_has_one_operation_at_a_time(self) -> None:
        """Check the rows: an operation begins only when the former one of its key has its answer and expired."""
        by_key: dict[str, list[Any]] = {}
        for row in sorted(self.runner.run(self.processes.rows(operations)), key=lambda row: row.created_at):
            by_key.setdefault(row.request["key"], []).append(row)
        for rows in by_key.values():
            for former, later in pairwise(rows):
                assert former.finished
                assert later.created_at >= former.created_at + RETENTION

    @invariant()
    def only_the_driver_writes_and_only_after_its_lease_another_drives(self) -> None:
        """Compare the rows with those before the last step."""
        now = self.processes.clock.now()
        rows = {row.id: row for row in self.runner.run(self.processes.rows(operations))}
        for operation_id, row in rows.items():
            former = self.before.get(operation_id)
            if former is None:
                continue
            assert row.fence == former.fence or former.lease_expires_at <= now
            assert row.facts.get("driver") in {former.facts.get("driver"), row.fence}
        self.before = rows

    @invariant()
    def answers_tell_of_the_operation(self) -> None:
        """Check the answers: to a request its own operation's, the same one each time."""
        stored = {row.id: row for row in self.runner.run(self.processes.rows(operations))}
        for sent in self.processes.sent:
            if not sent.task.done() or sent.task.cancelled():
                continue
            error = sent.task.exception()
            if error is None:
                answer = msgspec.json.decode(sent.task.result().body)
                assert (answer["key"], answer["body"]) == (sent.key, sent.body)
                row = stored[answer["receipt"].removeprefix("receipt of ")]
                assert bytes(row.response_body) == sent.task.result().body
            elif isinstance(error, IdempotencyKeyReused):
                assert any(r.request["key"] == sent.key and r.request["body"] != sent.body for r in stored.values())
            else:
                assert isinstance(error, IdempotencyKeyInUse | StripeUnavailable)

    def teardown(self) -> None:
        """Let every driver die and the worker complete what they left: one charge for each operation."""
        try:
            self.runner.run(self._end())
        finally:
            self.runner.run(self.processes.close())
            self.runner.close()

    async def _end(self) -> None:
        self.processes.crash()
        await self.processes.settle()
        while any(not row.finished for row in await self.processes.rows(operations)):
            self.processes.clock.advance(400)
            self.processes.complete(0)
            await self.processes.settle()
            while self.processes.waiting:
                self.processes.go_on(0)
                await self.processes.settle()
        rows = await self.processes.rows(operations)
        made = {row.id for row in rows}
        assert self.processes.charges == {f"{row.mark}-charge": 1 for row in rows}
        assert {row.operation_id for row in await self.processes.rows(idempotency_keys)} <= made


async def test_a_driver_whose_lease_was_taken_over_writes_nothing(
    postgres_server: PostgresServer, migrated_template: str
) -> None:
    """The first one was only slow: it wakes after another has taken over, and before that one has written."""
    made = Processes(postgres_server.new_database(template=migrated_template))
    made.send(0, "first", "red")
    await made.settle()
    made.clock.advance(100)
    made.complete(1)
    await made.settle()
    for _ in range(2):
        made.go_on(0)
        await made.settle()
    assert isinstance(made.sent[0].task.exception(), IdempotencyKeyInUse)
    (row,) = await made.rows(operations)
    assert (row.phase, row.facts, row.fence) == ("started", {}, 2)
    while made.waiting:
        made.go_on(0)
        await made.settle()
    (row,) = await made.rows(operations)
    assert (row.finished, row.facts["driver"]) == (True, 2)
    assert made.charges == {f"{row.mark}-charge": 1}
    await made.close()


def test_the_machine_holds_under_concurrent_requests(postgres_server: PostgresServer, migrated_template: str) -> None:
    IdempotencyMachine.url = postgres_server.new_database(template=migrated_template)
    unshrunk = (Phase.explicit, Phase.reuse, Phase.generate)
    chosen = settings(max_examples=EXAMPLES, stateful_step_count=30, deadline=None, phases=unshrunk)
    run_state_machine_as_test(IdempotencyMachine, settings=chosen)
