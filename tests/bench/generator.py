"""The load generator: one process, one thread, raw sockets; requests and connections are made before the clock starts.

Runs by itself (`python generator.py < plan > result`, both pickled), pinned to one core, the same for every arm.
Closed loop: each connection sends its next request when it has the answer: capacity. Open loop: requests are due at
fixed times and their latency counts from when they were due, so that a stall is not hidden: latency.
"""

from __future__ import annotations

import gc
import hashlib
import hmac
import os
import pickle
import re
import select
import socket
import sys
import time
from collections import Counter, deque
from dataclasses import dataclass, field

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)
CONNECT_SECONDS = 10.0
DRAIN_SECONDS = 5.0


@dataclass(kw_only=True)
class Webhooks:
    """Signed requests, made before the clock starts: `body` with each `@@` replaced by a unique text."""

    body: bytes
    path: str
    secret: str
    prefix: str
    count: int

    def build(self) -> list[bytes]:
        timestamp = str(int(time.time())).encode()
        made = []
        for number in range(self.count):
            body = self.body.replace(b"@@", f"{self.prefix}{number:07d}".encode())
            digest = hmac.new(self.secret.encode(), timestamp + b"." + body, hashlib.sha256).hexdigest()
            head = (
                f"POST {self.path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
                f"Stripe-Signature: t={timestamp.decode()},v1={digest}\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            made.append(head.encode() + body)
        return made


@dataclass(kw_only=True)
class Plan:
    """What to send where, and for how long."""

    port: int
    connections: int
    seconds: float
    warmup: float = 0.5
    more_ports: tuple[int, ...] = ()
    """Further servers: connections are shared out among all."""
    rate: float | None = None
    """Requests per second of an open loop; None: closed loop."""
    requests: list[bytes] = field(default_factory=list)
    webhooks: Webhooks | None = None
    repeat: bool = True
    """Begin again with the first request after the last; else the run ends there."""
    cpu: int | None = None
    """The core to stay on."""


@dataclass(kw_only=True)
class Result:
    """What came back."""

    sent: int = 0
    """With the warm-up: what the receiver must have counted."""
    seconds: float = 0.0
    busy: float = 0.0
    """Share of the time that the generator itself used its core: near 1 it is what was measured."""
    statuses: Counter[int] = field(default_factory=Counter)
    milliseconds: list[float] = field(default_factory=list)

    @property
    def per_second(self) -> float:
        return len(self.milliseconds) / self.seconds

    def quantile(self, share: float) -> float:
        ordered = sorted(self.milliseconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class _Connection:
    """One connection with at most one request in flight.

    An answer as long as the one before, in one piece, is taken as whole without a search of its headers.
    """

    def __init__(self, port: int, poll: select.epoll) -> None:
        self._port = port
        self._poll = poll
        self.due = 0.0
        self._received = b""
        self._wanted = 0
        self._usual = -1
        self.connect()

    def connect(self) -> None:
        self.socket = socket.create_connection(("127.0.0.1", self._port), CONNECT_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.number = self.socket.fileno()
        self._poll.register(self.socket, select.EPOLLIN)

    def send(self, request: bytes, due: float) -> None:
        self.due = due
        if self._received:
            self._received, self._wanted = b"", 0
        self.socket.send(request)

    def receive(self) -> int | None:
        """Return the status of a complete answer; 0 when the connection broke."""
        try:
            chunk = self.socket.recv(262144)
        except OSError:
            chunk = b""
        if len(chunk) == self._usual and not self._received:
            return int(chunk[9:12])
        if not chunk:
            self.reconnect()
            return 0
        self._received += chunk
        if not self._wanted:
            end = self._received.find(b"\r\n\r\n")
            if end < 0:
                return None
            match = _LENGTH.search(self._received, 0, end)
            self._wanted = end + 4 + (int(match[1]) if match else 0)
        if len(self._received) < self._wanted:
            return None
        if _CLOSE.search(self._received, 0, self._received.find(b"\r\n\r\n")):
            self.reconnect()
        else:
            self._usual = len(self._received)
        return int(self._received[9:12])

    def reconnect(self) -> None:
        self._poll.unregister(self.socket)
        self.socket.close()
        self.connect()


class _Run:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._requests = plan.webhooks.build() if plan.webhooks else plan.requests
        self._next = 0
        self._poll = select.epoll()
        self._connections = {}
        ports = (plan.port, *plan.more_ports)
        for number in range(plan.connections):
            connection = _Connection(ports[number % len(ports)], self._poll)
            self._connections[connection.socket.fileno()] = connection
        self._idle = deque(self._connections.values())
        self._late: deque[float] = deque()
        self._issued = 0
        self.result = Result()

    def measure(self) -> Result:
        began = time.perf_counter()
        first, last = began + self._plan.warmup, began + self._plan.warmup + self._plan.seconds
        busy, ended = 0.0, 0.0
        warm = False
        while (now := time.perf_counter()) < last and not self._exhausted():
            if not warm and now >= first:
                warm, busy = True, time.process_time()
                self.result.milliseconds.clear()
                self.result.statuses.clear()
                first = now
            self._send_due(now, began)
            self._collect(self._wait(now, began, last))
        ended = time.perf_counter()
        self.result.seconds = ended - first
        self.result.busy = (time.process_time() - busy) / self.result.seconds
        counted = (list(self.result.milliseconds), Counter(self.result.statuses))
        while len(self._idle) < len(self._connections) and time.perf_counter() < ended + DRAIN_SECONDS:
            self._collect(0.1)
        if self._plan.rate is None:
            self.result.milliseconds, self.result.statuses = counted
        return self.result

    def _exhausted(self) -> bool:
        return not self._plan.repeat and self._next >= len(self._requests)

    def _wait(self, now: float, began: float, last: float) -> float:
        """Return for how long nothing is due."""
        until = last if self._plan.rate is None else min(last, began + (self._issued + 1) / self._plan.rate)
        return max(0.0, until - now)

    def _send_due(self, now: float, began: float) -> None:
        if self._plan.rate is None:
            while self._idle and not self._exhausted():
                self._send(self._idle.popleft(), time.perf_counter())
            return
        while (due := began + (self._issued + 1) / self._plan.rate) <= now:
            self._issued += 1
            self._late.append(due)
        while self._late and self._idle and not self._exhausted():
            self._send(self._idle.popleft(), self._late.popleft())

    def _send(self, connection: _Connection, due: float) -> None:
        request = self._requests[self._next % len(self._requests)]
        self._next += 1
        self.result.sent += 1
        connection.send(request, due)

    def _collect(self, seconds: float) -> None:
        for number, _ in self._poll.poll(seconds):
            connection = self._connections.get(number)
            if connection is None:
                continue
            status = connection.receive()
            if connection.number != number:
                del self._connections[number]
                self._connections[connection.number] = connection
            if status is None:
                continue
            self.result.milliseconds.append((time.perf_counter() - connection.due) * 1000)
            self.result.statuses[status] += 1
            self._idle.append(connection)


def main() -> None:
    plan: Plan = pickle.load(sys.stdin.buffer)
    if plan.cpu is not None:
        os.sched_setaffinity(0, {plan.cpu})
    run = _Run(plan)
    gc.collect()
    gc.disable()
    pickle.dump(run.measure(), sys.stdout.buffer)


if __name__ == "__main__":
    # pickle names classes by module: the parent must find the same ones
    from tests.bench import generator

    generator.main()
