from __future__ import annotations

import asyncio
import json
import ssl
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.cluster.load.generator import Generator, Target
from tests.cluster.load.run import HostLoad, pod_manifests
from tests.cluster.node import certificates
from tests.servers.process import free_port
from tests.servers.stack import CREATE, PRICE, running_stack

from payment_service.config.settings import DEVELOPMENT_WEBHOOK_SECRET
from payment_service.storage.tables import events as inbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n%sX-Revision: %s\r\n\r\nok"
EVENT = {
    "id": "evt_load_{{id}}",
    "object": "event",
    "type": "load.sent",
    "created": 1,
    "livemode": False,
    "data": {"object": {}},
}


class Server:
    """Answers each request by what `reply` says: bytes, or None to close without an answer."""

    def __init__(self, reply: Callable[[int], bytes | None]) -> None:
        self._reply = reply
        self.requests = 0
        self.connections = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                self.requests += 1
                answer = self._reply(self.requests)
                if answer is None:
                    break
                writer.write(answer)
                if b"Connection: close" in answer:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(server: Server, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    listener = await asyncio.start_server(server, "127.0.0.1", 0, ssl=tls)
    async with listener:
        scheme = "https" if tls else "http"
        yield f"{scheme}://127.0.0.1:{listener.sockets[0].getsockname()[1]}/"


async def load(target: Target, *, rate: float = 0, connections: int = 2, **more: float) -> dict[str, Any]:
    settings = {"fresh_rate": 0.0, "seconds": 1.0} | more
    generator = Generator(target, rate=rate, keep_alive=connections, **settings)
    return await generator.run()


def always(revision: bytes = b"1", headers: bytes = b"") -> Callable[[int], bytes]:
    return lambda _: ANSWER % (headers, revision)


async def test_the_rate_is_kept_on_kept_and_on_fresh_connections() -> None:
    server = Server(always())
    async with serving(server) as url:
        result = await load(Target(url), rate=40, fresh_rate=20)
    assert (result["total"], result["failed"]) == (60, 0)
    assert server.connections == 2 + 20
    assert {mode: counts["total"] for mode, counts in result["modes"].items()} == {"keep_alive": 40, "fresh": 20}
    assert set(result["latency_ms"]) == {"p50", "p90", "p99", "max"}


async def test_an_announced_close_is_honoured_and_costs_nothing() -> None:
    server = Server(always(headers=b"Connection: close\r\n"))
    async with serving(server) as url:
        result = await load(Target(url), rate=20)
    assert (result["failed"], result["announced_closes"], server.connections) == (0, 20, 20)


async def test_a_close_without_an_answer_fails_one_request_and_is_not_retried() -> None:
    server = Server(lambda number: None if number == 5 else ANSWER % (b"", b"1"))
    async with serving(server) as url:
        result = await load(Target(url), rate=20)
    assert (result["total"], server.requests) == (20, 20)
    assert result["failed_by_kind"] == {"closed before the answer": 1}


async def test_a_connection_closed_while_idle_fails_the_request_due_on_it() -> None:
    async def close_after_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ANSWER % (b"", b"1"))
        writer.close()

    listener = await asyncio.start_server(close_after_one, "127.0.0.1", 0)
    async with listener:
        url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/"
        result = await load(Target(url), rate=10, connections=1)
    assert result["failed_by_kind"] == {"closed while idle": 5}


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", "status 503"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\nok", "closed within the answer"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "malformed answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", "timeout"),
    ],
)
async def test_failures_are_counted_by_kind_and_second(reply: bytes, kind: str) -> None:
    async with serving(Server(lambda _: reply)) as url:
        result = await load(Target(url, timeout=0.2), fresh_rate=4, seconds=1.5)
    assert result["failed_by_kind"] == {kind: 6}
    assert [second["failed"] for second in result["per_second"]] == [{kind: 4}, {kind: 2}]


async def test_nobody_listens_and_an_unknown_name_are_told_apart() -> None:
    refused = await load(Target(f"http://127.0.0.1:{free_port()}/"), fresh_rate=3)
    unknown = await load(Target("http://nobody.invalid/"), fresh_rate=3)
    assert refused["failed_by_kind"] == {"connection refused": 3}
    assert unknown["failed_by_kind"] == {"name not resolved": 3}


async def test_a_stalled_server_shows_in_the_latency_of_every_request_that_was_due() -> None:
    async def stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.8)
        while not reader.at_eof():
            await reader.readuntil(b"\r\n\r\n")
            writer.write(ANSWER % (b"", b"1"))

    listener = await asyncio.start_server(stall, "127.0.0.1", 0)
    async with listener:
        url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/"
        result = await load(Target(url), rate=20, connections=1)
    assert result["latency_ms"]["p50"] > 300  # most were due while it stalled, and waited
    assert result["failed"] == 0


async def test_requests_that_a_blocked_connection_never_sent_are_failures() -> None:
    async with serving(Server(lambda _: b"")) as url:
        result = await load(Target(url, timeout=0.3), rate=10, connections=1, seconds=1)
    assert result["failed"] == result["total"] == 10
    assert set(result["failed_by_kind"]) == {"timeout", "not sent"}


async def test_chunked_answers_keep_the_connection() -> None:
    chunks = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    server = Server(lambda _: chunks)
    async with serving(server) as url:
        result = await load(Target(url), rate=10, connections=1)
    assert (result["failed"], server.connections) == (0, 1)


async def test_the_second_in_which_kept_connections_left_a_revision_is_told() -> None:
    def moves(number: int) -> bytes:
        return ANSWER % ((b"Connection: close\r\n" if number > 20 else b""), b"blue" if number <= 22 else b"green")

    async with serving(Server(moves)) as url:
        result = await load(Target(url), rate=40)
    assert 0.4 < result["revisions"]["blue"]["keep_alive_last_second"] < 0.75
    assert result["revisions"]["green"]["first_second"] >= result["revisions"]["blue"]["keep_alive_last_second"]
    assert result["revisions"]["blue"]["fresh_last_second"] is None


async def test_tls_is_verified_against_the_given_authority(tmp_path: Path) -> None:
    certificates.authority(tmp_path, name="ca")
    certificates.issue(tmp_path, name="server", subject="/CN=server", names=("pay.example.com",))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "server.crt", tmp_path / "server.key")
    async with serving(Server(always()), tls=context) as url:
        address = url.removeprefix("https://").rstrip("/")
        trusted = Target("https://pay.example.com/", address=address, authority=str(tmp_path / "ca.crt"))
        assert (await load(trusted, rate=10, fresh_rate=5))["failed"] == 0
        stranger = Target("https://pay.example.com/", address=address)
        assert (await load(stranger, fresh_rate=5))["failed_by_kind"] == {"tls": 5}
        careless = Target("https://pay.example.com/", address=address, insecure=True)
        assert (await load(careless, fresh_rate=5))["failed"] == 0


async def test_the_service_takes_subscriptions_and_signed_webhooks_and_drains_without_a_loss(tmp_path: Path) -> None:
    async with running_stack(f"sqlite:///{tmp_path / 'payments.sqlite'}") as stack:
        base = str(stack.client.base_url).rstrip("/")
        body = json.dumps({"price_id": PRICE, "email": "u{{id}}@example.com", "payment_method_id": "pm_card_visa"})
        create = Target(base + CREATE, method="POST", body=body, headers=(("Idempotency-Key", "load-{{id}}"),))
        webhook = Target(
            f"{base}/api/v1/webhooks/stripe",
            method="POST",
            body=json.dumps(EVENT),
            stripe_secret=DEVELOPMENT_WEBHOOK_SECRET,
        )
        created = load(create, rate=5, fresh_rate=3, seconds=2)
        received = load(webhook, rate=10, seconds=2)

        async def drain() -> None:
            await asyncio.sleep(1)
            stack.parts.drain.drain(on=True)

        subscriptions, events, _ = await asyncio.gather(created, received, drain())
        assert (subscriptions["total"], subscriptions["failed_by_kind"]) == (16, {})
        assert (events["total"], events["failed_by_kind"]) == (20, {})
        assert subscriptions["announced_closes"] > 0
        assert len(stack.charges()) == 16
        rows = await stack.rows(inbox)
        assert len([row for row in rows if row["id"].startswith("evt_load_")]) == 20


async def test_the_program_alone_prints_one_result_also_when_told_to_stop() -> None:
    async with serving(Server(always())) as url:
        with HostLoad(url, "--rate", "20", "--connections", "2", "--seconds", "60") as run:
            await asyncio.sleep(1.5)
            run.stop()
            result = await asyncio.to_thread(run.result)
    assert 5 < result["total"] < 40
    assert result["failed"] == 0


def test_the_pod_runs_the_same_file_under_the_restricted_level() -> None:
    config, pod = pod_manifests("load", namespace="test", image="localhost/service:1", arguments=("http://api",))
    assert config["data"]["generator.py"] == Path(__file__).with_name("generator.py").read_text()
    (container,) = pod["spec"]["containers"]
    assert container["command"] == ["python", "/program/generator.py", "http://api"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
