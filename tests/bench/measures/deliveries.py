"""Webhooks that we send: signed deliveries a second beside webhook ingest; what a receiver that hangs costs others.

The events are real: subscriptions that the API received and a worker applied. Each turn the endpoints are set back to
before some of them, and a worker sends those; only what a receiver answered 2xx counts.
"""

from __future__ import annotations

import contextlib
import socket
import time
from typing import TYPE_CHECKING, Final

from tests.bench.arms import Ours, Raw, Worker
from tests.bench.measures.apply import applied_per_second
from tests.bench.session import UnequalWork

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.session import Session

SETTINGS: Final = {
    "WEBHOOK_SIGNING_KEY": "bench-0123456789-abcdefghij-ABCDEFGHIJ",
    "PAYMENTS_WEBHOOK_ALLOW_HTTP": "true",
    "PAYMENTS_WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
}
ENDPOINTS = (1, 10)
EVENTS = 400
"""That a turn sends to each of them."""
INGEST_SECONDS = 2.5
MANY = 100
"""Endpoints, of which one hangs."""
PER_SECOND = 0.5
"""Events, each for all endpoints: so few that a worker has sent one when the next comes."""
STEADY_SECONDS = 12.0
ROUNDS = 3
WAIT_SECONDS = 120.0
_ENDPOINTS = """
INSERT INTO webhook_endpoints (id, url, event_types, customer_metadata, enabled, secret_salt, secret_value, livemode,
    reached, resume_at, created_at, updated_at)
SELECT 'lpw_' || lpad(n::text, 32, '0'), '{url}', '[]', '{{}}', true, made.secret_salt, made.secret_value,
    made.livemode, 0, now(), now(), now()
FROM generate_series(1, {count}) n, (SELECT * FROM webhook_endpoints LIMIT 1) made
"""
_BACK = """
UPDATE webhook_endpoints SET url = '{url}', reached = {reached}, resume_at = now(), due_at = NULL, failures = 0,
    failing_since = NULL, lease_owner = NULL, lease_until = NULL
"""
_LAST = "SELECT coalesce(max(sequence), 0) FROM feed"
_SENT = """
SELECT (SELECT count(*) FROM webhook_deliveries WHERE state = 'delivered') AS sent,
    {endpoints} * ((SELECT coalesce(max(sequence), 0) FROM feed) - {reached}) AS wanted,
    (SELECT count(*) FROM events WHERE state = 'pending')
        + (SELECT count(*) FROM outbox WHERE seq > (SELECT coalesce(max(outbox_seq), 0) FROM feed)) AS untold
"""
_RATE = """
SELECT count(*)::float8 / extract(epoch FROM max(settled_at) - min(attempted_at)) FROM webhook_deliveries
WHERE state = 'delivered'
"""
_HANGING = "UPDATE webhook_endpoints SET url = '{url}' WHERE id = (SELECT min(id) FROM webhook_endpoints)"
_P99 = """
SELECT 1000 * percentile_cont(0.99) WITHIN GROUP (ORDER BY extract(epoch FROM d.settled_at - o.created_at))::float8
FROM webhook_deliveries d JOIN feed f ON f.sequence = d.sequence JOIN outbox o ON o.seq = f.outbox_seq
WHERE d.state = 'delivered' AND d.endpoint_id <> (SELECT min(id) FROM webhook_endpoints)
"""


def run(session: Session) -> None:
    """Send everything to one and to several endpoints; then a little to many, of which one hangs or none."""
    ours, receiver = Ours(session.machine, **SETTINGS), Raw(session.machine)
    url = f"http://127.0.0.1:{receiver.port}/hooks"
    ours.prepare()
    try:
        ours.start()
        receiver.start()
        applied_per_second(session, ours, workers=1)
        for _ in session.turns("deliveries", rounds=min(session.rounds, ROUNDS)):
            ingest = session.webhooks(ours, connections=32, seconds=INGEST_SECONDS)
            session.record("webhooks received beside deliveries", "ours", ingest.result.per_second, "events/s")
            session.machine.query(ours.database, "DELETE FROM events WHERE state = 'pending'")
            for count in ENDPOINTS:
                _send_all(session, ours, url, endpoints=count)
        for _ in session.turns("deliveries beside one that hangs", rounds=min(session.rounds, ROUNDS)):
            _beside(session, ours, url, hanging="", name="none hangs")
            with hanging_url() as hanging:
                _beside(session, ours, url, hanging=hanging, name="one of 100 hangs")
    finally:
        ours.stop()
        receiver.stop()


def make_endpoints(session: Session, ours: Ours, url: str, *, count: int, reached: int) -> None:
    """Leave so many endpoints, as if each had been sent everything up to a number."""
    machine, database = session.machine, ours.database
    machine.query(database, "DELETE FROM webhook_deliveries")
    machine.query(database, "DELETE FROM webhook_endpoints WHERE id LIKE 'lpw_0%'")
    if not machine.count(database, "SELECT count(*) FROM webhook_endpoints"):
        ours.payments("endpoints", "create", url)  # its secret is derived as the service does it
    machine.query(database, _ENDPOINTS.format(url=url, count=count - 1))
    machine.query(database, _BACK.format(url=url, reached=reached))


def _send_all(session: Session, ours: Ours, url: str, *, endpoints: int) -> None:
    """Let a worker send the end of the feed to so many endpoints."""
    machine, name = session.machine, f"{endpoints} endpoints" if endpoints > 1 else "1 endpoint"
    reached = machine.count(ours.database, _LAST) - max(1, int(EVENTS * session.pace))
    make_endpoints(session, ours, url, count=endpoints, reached=reached)
    worker = Worker(machine, name="worker", database=ours.database, **SETTINGS)
    worker.start()
    try:
        before = worker.cpu_seconds()
        sent = all_sent(session, ours, endpoints=endpoints, reached=reached)
        cpu = worker.cpu_seconds() - before
    finally:
        worker.stop()
    per_second = float(machine.query(ours.database, _RATE)[0][0])
    session.record("signed deliveries", name, per_second, "deliveries/s")
    session.record("signed deliveries, CPU", name, cpu / sent * 1e6, "µs")


def _beside(session: Session, ours: Ours, url: str, *, hanging: str, name: str) -> None:
    """Send a little to many endpoints at a steady rate, the first of them as given."""
    machine = session.machine
    reached = machine.count(ours.database, _LAST)
    make_endpoints(session, ours, url, count=MANY, reached=reached)
    if hanging:
        machine.query(ours.database, _HANGING.format(url=hanging))
    worker = Worker(machine, name="worker", database=ours.database, **SETTINGS)
    worker.start()
    try:
        session.webhooks(ours, connections=4, seconds=STEADY_SECONDS, rate=PER_SECOND)
        all_sent(session, ours, endpoints=MANY - 1 if hanging else MANY, reached=reached)
    finally:
        worker.stop()
    session.record(f"delivery to {MANY} endpoints, p99 of those that answer", name, p99(session, ours), "ms")


def p99(session: Session, ours: Ours) -> float:
    """Return in how many milliseconds after their commit 99 of 100 were settled, the first endpoint's aside."""
    return float(session.machine.query(ours.database, _P99)[0][0])


@contextlib.contextmanager
def hanging_url() -> Iterator[str]:
    """Listen for connections and never take one: the kernel opens them, and nobody answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as silent:
        yield f"http://127.0.0.1:{silent.getsockname()[1]}/hooks"


def all_sent(session: Session, ours: Ours, *, endpoints: int, reached: int) -> int:
    """Wait until so many endpoints took all events above a number, and return how many deliveries that were.

    Raises:
        UnequalWork: there were more, or they take too long.
    """
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        (row,) = session.machine.query(ours.database, _SENT.format(endpoints=endpoints, reached=reached))
        if row["sent"] > row["wanted"]:
            raise UnequalWork(f"{row['sent']} deliveries of {row['wanted']}")
        if row["sent"] == row["wanted"] and not row["untold"]:
            return int(row["sent"])
        time.sleep(0.2)
    raise UnequalWork("deliveries wait for more than two minutes")
