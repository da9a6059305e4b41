"""Send requests at a constant rate and count every one that fails; the same file runs on the host and in a pod.

Standard library only, in one file: the service's image runs it from a ConfigMap. Nothing is ever retried. A kept
connection that the server closes without having announced it (`Connection: close`) fails the request that was due
on it, although a careful client would have noticed: that is what the least careful one loses. Latency runs from the
moment a request was due, not from when it was sent, so that a stalled server cannot hide behind a waiting client.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import hmac
import itertools
import json
import signal
import socket
import ssl
import sys
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

KEPT, FRESH = "keep_alive", "fresh"
LARGEST_LINE = 64 * 1024


class RequestFailed(Exception):
    """One request did not get the answer it should; the message is the kind under which it is counted."""


@dataclass(frozen=True)
class Target:
    """What is asked and how, the same for all requests but for `{{id}}` in header values and body."""

    url: str
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body: str = ""
    address: str = ""
    """host:port to connect to instead of the URL's: an Ingress before its name is known to any DNS."""
    authority: str = ""
    insecure: bool = False
    stripe_secret: str = ""
    """Signs the body as Stripe signs webhooks (`Stripe-Signature`)."""
    revision_header: str = "x-revision"
    expected: frozenset[int] = frozenset(range(200, 300))
    timeout: float = 10.0

    def endpoint(self) -> tuple[str, int]:
        """Return the host and the port to connect to."""
        parts = urlsplit(f"//{self.address}" if self.address else self.url)
        secure = urlsplit(self.url).scheme == "https"
        return parts.hostname or "", parts.port or (443 if secure else 80)

    def tls(self) -> ssl.SSLContext | None:
        """Return how to speak TLS, None for plain HTTP."""
        if urlsplit(self.url).scheme != "https":
            return None
        context = ssl.create_default_context(cafile=self.authority or None)
        if self.insecure:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context

    def request(self, identifier: str, *, mode: str) -> bytes:
        """Return the bytes of one request."""
        parts = urlsplit(self.url)
        body = self.body.replace("{{id}}", identifier).encode()
        headers = {"Host": parts.netloc, "User-Agent": "lean-payments-load"}
        if body or self.method in {"POST", "PUT", "PATCH"}:
            headers |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
        if mode == FRESH:
            headers["Connection"] = "close"
        if self.stripe_secret:
            headers["Stripe-Signature"] = _stripe_signature(body, secret=self.stripe_secret)
        headers |= {name: value.replace("{{id}}", identifier) for name, value in self.headers}
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        lines = [f"{self.method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join([*lines, "", ""]).encode() + body


def _stripe_signature(body: bytes, *, secret: str) -> str:
    now = int(time.time())
    return f"t={now},v1={hmac.new(secret.encode(), f'{now}.'.encode() + body, hashlib.sha256).hexdigest()}"


@dataclass(frozen=True)
class Answer:
    """The part of an answer that is looked at."""

    status: int
    headers: dict[str, str]
    reusable: bool


class Connection:
    """One HTTP/1.1 connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, target: Target, tls: ssl.SSLContext | None) -> Connection:
        """Connect; raises OSError or ssl.SSLError."""
        host, port = target.endpoint()
        name = urlsplit(target.url).hostname if tls else None
        return cls(*await asyncio.open_connection(host, port, ssl=tls, server_hostname=name, limit=LARGEST_LINE))

    def close(self) -> None:
        """Close without waiting for the peer."""
        self._writer.close()

    async def ask(self, request: bytes) -> Answer:
        """Send one request and read its answer whole."""
        if self._reader.at_eof():
            raise RequestFailed("closed while idle")
        self._writer.write(request)
        await self._writer.drain()
        try:
            head = await self._reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as error:
            raise RequestFailed("closed within the answer" if error.partial else "closed before the answer") from error
        return await self._answer(head)

    async def _answer(self, head: bytes) -> Answer:
        start, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
        version, status = start.split(" ")[:2]
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        options = headers.get("connection", "").lower()
        reusable = "keep-alive" in options if version == "HTTP/1.0" else "close" not in options
        if "chunked" in headers.get("transfer-encoding", ""):
            await self._chunks()
        elif "content-length" in headers:
            await self._reader.readexactly(int(headers["content-length"]))
        elif int(status) not in {204, 304}:
            reusable = False
            await self._reader.read()
        return Answer(int(status), headers, reusable)

    async def _chunks(self) -> None:
        while size := int((await self._reader.readuntil(b"\r\n")).split(b";")[0], 16):
            await self._reader.readexactly(size + 2)
        while await self._reader.readuntil(b"\r\n") != b"\r\n":
            pass


def _kind(error: Exception) -> str:
    kinds: tuple[tuple[type[Exception], str], ...] = (
        (RequestFailed, str(error)),
        (TimeoutError, "timeout"),
        (ConnectionRefusedError, "connection refused"),
        (ConnectionResetError, "connection reset"),
        (BrokenPipeError, "connection reset"),
        (socket.gaierror, "name not resolved"),
        (ssl.SSLError, "tls"),
        (asyncio.IncompleteReadError, "closed within the answer"),
        (OSError, f"network: {error}"),
    )
    return next((kind for cause, kind in kinds if isinstance(error, cause)), "malformed answer")


@dataclass
class Record:
    """What happened, in seconds since the start."""

    sent: Counter[int] = field(default_factory=Counter)
    failed: dict[int, Counter[str]] = field(default_factory=dict)
    by_mode: dict[str, Counter[str]] = field(default_factory=lambda: {KEPT: Counter(), FRESH: Counter()})
    latencies: dict[str, list[float]] = field(default_factory=lambda: {KEPT: [], FRESH: []})
    late: list[float] = field(default_factory=list)
    revisions: dict[str, dict[str, Any]] = field(default_factory=dict)
    announced_closes: int = 0

    def failure(self, kind: str, *, due: float, mode: str) -> None:
        """Count one failed request in the second in which it was due."""
        self.failed.setdefault(int(due), Counter())[kind] += 1
        self.by_mode[mode]["failed"] += 1

    def revision(self, name: str, *, at: float, mode: str) -> None:
        """Note that this revision answered."""
        empty = {"requests": 0, "first_second": at, f"{KEPT}_last_second": None, f"{FRESH}_last_second": None}
        entry = self.revisions.setdefault(name, empty)
        entry["requests"] += 1
        entry[f"{mode}_last_second"] = at

    def result(self, *, started: float, seconds: float) -> dict[str, Any]:
        """Return all of it as JSON values; latencies in milliseconds."""
        kinds = sum(self.failed.values(), Counter())
        return {
            "started": round(started, 3),
            "seconds": round(seconds, 2),
            "total": self.sent.total(),
            "failed": kinds.total(),
            "failed_by_kind": dict(kinds),
            "modes": {
                mode: dict(counts) | {"latency_ms": _percentiles(self.latencies[mode])}
                for mode, counts in self.by_mode.items()
                if counts
            },
            "latency_ms": _percentiles(self.latencies[KEPT] + self.latencies[FRESH]),
            "sent_late_ms": _percentiles(self.late),
            "announced_closes": self.announced_closes,
            "per_second": [
                {"second": second, "sent": self.sent[second], "failed": dict(self.failed.get(second, {}))}
                for second in range(max(self.sent, default=-1) + 1)
            ],
            "revisions": self.revisions,
        }


def _percentiles(seconds: list[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    points = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
    last = len(ordered) - 1
    return {name: round(ordered[round(share * last)] * 1000, 2) for name, share in points.items()} if ordered else {}


class Generator:
    """One run: `keep_alive` connections share `rate` requests a second, `fresh_rate` more come each on its own."""

    def __init__(self, target: Target, *, rate: float, keep_alive: int, fresh_rate: float, seconds: float) -> None:
        self._target, self._tls = target, target.tls()
        self._rate, self._connections, self._fresh_rate, self._end = rate, keep_alive, fresh_rate, seconds
        self._record = Record()
        self._run, self._count = uuid.uuid4().hex[:8], 0
        self._wall, self._start = 0.0, 0.0

    def stop(self) -> None:
        """Send nothing more; what is under way is waited for."""
        self._end = self._now()

    async def run(self) -> dict[str, Any]:
        """Send everything and return the result."""
        self._wall, self._start = time.time(), time.monotonic()
        async with asyncio.TaskGroup() as group:
            for number in range(self._connections if self._rate else 0):
                group.create_task(self._keep_sending(number))
            if self._fresh_rate:
                group.create_task(self._send_fresh(group))
        return self._record.result(started=self._wall, seconds=min(self._end, self._now()))

    def _now(self) -> float:
        return time.monotonic() - self._start

    async def _until(self, due: float) -> bool:
        """Wait for the moment; False when the run ends before it."""
        if due < self._end:
            await asyncio.sleep(max(0.0, due - self._now()))
        return due < self._end

    async def _keep_sending(self, number: int) -> None:
        connection = None
        for turn in itertools.count(number, self._connections):
            if not await self._until(turn / self._rate):
                break
            connection = await self._send(connection, due=turn / self._rate, mode=KEPT)
        if connection:
            connection.close()

    async def _send_fresh(self, group: asyncio.TaskGroup) -> None:
        for turn in itertools.count():
            if not await self._until(turn / self._fresh_rate):
                break
            group.create_task(self._send(None, due=turn / self._fresh_rate, mode=FRESH))

    async def _send(self, connection: Connection | None, *, due: float, mode: str) -> Connection | None:
        """Send one request; return the connection if it may carry another one."""
        record, self._count = self._record, self._count + 1
        request = self._target.request(f"{self._run}-{self._count}", mode=mode)
        record.sent[int(due)] += 1
        record.by_mode[mode]["total"] += 1
        record.late.append(max(0.0, self._now() - due))
        if self._now() > self._end + self._target.timeout:
            record.failure("not sent", due=due, mode=mode)  # its connection still waited for earlier answers
            return connection
        try:
            async with asyncio.timeout(self._target.timeout):
                connection = connection or await Connection.open(self._target, self._tls)
                answer = await connection.ask(request)
        except (RequestFailed, OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            record.failure(_kind(error), due=due, mode=mode)
            if connection:
                connection.close()
            return None
        self._judge(answer, due=due, mode=mode)
        if answer.reusable and mode == KEPT:
            return connection
        connection.close()
        return None

    def _judge(self, answer: Answer, *, due: float, mode: str) -> None:
        now = self._now()
        self._record.latencies[mode].append(now - due)
        self._record.announced_closes += mode == KEPT and not answer.reusable
        if answer.status not in self._target.expected:
            self._record.failure(f"status {answer.status}", due=due, mode=mode)
        if revision := answer.headers.get(self._target.revision_header):
            self._record.revision(revision, at=round(now, 2), mode=mode)


def _arguments(given: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rate", type=float, default=0.0, help="requests a second over kept connections")
    parser.add_argument("--connections", type=int, default=8, help="how many connections are kept")
    parser.add_argument("--fresh-rate", type=float, default=0.0, help="requests a second, each on a new connection")
    parser.add_argument("--method", help="default: GET, with a body POST")
    parser.add_argument("--header", action="append", default=[], metavar="NAME: VALUE", help="{{id}} differs each time")
    parser.add_argument("--body", default="", help="or @FILE; {{id}} differs each time")
    parser.add_argument("--stripe-secret", default="", help="sign bodies as Stripe signs webhooks")
    parser.add_argument("--expect", default="", help="statuses that are no failure, such as 200,409 (default: 2xx)")
    parser.add_argument("--timeout", type=float, default=10.0, help="seconds for one request, connecting included")
    parser.add_argument("--address", default="", help="host:port to connect to instead of the URL's")
    parser.add_argument("--ca", default="", help="file with the authority that signed the server's certificate")
    parser.add_argument("--insecure", action="store_true", help="trust any certificate")
    parser.add_argument("--revision-header", default="X-Revision", help="answers name in it who gave them")
    arguments = parser.parse_args(given)
    if not arguments.rate and not arguments.fresh_rate:
        parser.error("give --rate, --fresh-rate or both")
    return arguments


def _target(arguments: argparse.Namespace) -> Target:
    body = Path(arguments.body[1:]).read_text() if arguments.body.startswith("@") else arguments.body
    expected = frozenset(map(int, arguments.expect.split(","))) if arguments.expect else Target.expected
    return Target(
        url=arguments.url,
        method=arguments.method or ("POST" if body else "GET"),
        headers=tuple((name, value.strip()) for name, _, value in (item.partition(":") for item in arguments.header)),
        body=body,
        address=arguments.address,
        authority=arguments.ca,
        insecure=arguments.insecure,
        stripe_secret=arguments.stripe_secret,
        revision_header=arguments.revision_header.lower(),
        expected=expected,
        timeout=arguments.timeout,
    )


async def _run(arguments: argparse.Namespace) -> dict[str, Any]:
    generator = Generator(
        _target(arguments),
        rate=arguments.rate,
        keep_alive=arguments.connections,
        fresh_rate=arguments.fresh_rate,
        seconds=arguments.seconds,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, generator.stop)
    return await generator.run()


def main(given: list[str] | None = None) -> int:
    """Print one JSON line; SIGTERM ends the run early and prints it too."""
    sys.stdout.write(json.dumps(asyncio.run(_run(_arguments(given)))) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
