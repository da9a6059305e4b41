"""Receivers that behave, and all the ways not to."""

from __future__ import annotations

import asyncio
import gzip
import ssl
import threading
import time
import tracemalloc
from typing import TYPE_CHECKING

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from standardwebhooks import Webhook
from tests.integration.deliveries.sending import BODY, RECEIVER, SECRET, always, running_sender, send
from tests.servers.certificates import issue, make_authority
from tests.servers.process import free_port
from tests.servers.receiver import (
    Receiver,
    answering,
    closing,
    dripping,
    flooding,
    hanging,
    resetting,
    writing,
)

from payment_service.deliveries.headers import UnsafeHeader
from payment_service.deliveries.sender import REST_BYTES
from payment_service.deliveries.signing import BadSecret, make_secret
from payment_service.observability.tracing import Tracing

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.servers.receiver import Behaviour

    from payment_service.deliveries.sender import Answer

OK = b"HTTP/1.1 200 OK\r\n"
GIGABYTE = 16_384


async def sent_to(behaviour: Behaviour, *, timeout_seconds: float = 15.0) -> Answer:
    """Send one webhook to a receiver that behaves so."""
    async with Receiver(behaviour) as receiver, running_sender(timeout_seconds=timeout_seconds) as sender:
        answer = await send(sender, f"http://{RECEIVER}:{receiver.port}/hooks")
        assert receiver.connections == 1
        return answer


async def test_a_webhook_arrives_as_it_was_signed() -> None:
    old = make_secret()
    async with Receiver() as receiver, running_sender(look_up=always(RECEIVER)) as sender:
        url = f"http://app.example.com:{receiver.port}/hooks/a%20b?c=d"
        headers = {"Authorization": "Bearer abc", "X-Shop": "1"}
        answer = await send(sender, url, secrets=[SECRET, old], headers=headers, timestamp=int(time.time()))
    assert answer[:4] == ("delivered", "ok", 200, None)
    (received,) = receiver.received
    assert (received.target, received.body) == ("/hooks/a%20b?c=d", BODY)
    for secret in (SECRET, old):
        Webhook(secret).verify(received.body, received.headers)
    assert received.headers == {
        "host": f"app.example.com:{receiver.port}",
        "accept": "*/*",
        "accept-encoding": "identity",
        "authorization": "Bearer abc",
        "content-length": str(len(BODY)),
        "content-type": "application/json",
        "user-agent": "lean-payments/9",
        "webhook-id": "evt_1",
        "webhook-timestamp": received.headers["webhook-timestamp"],
        "webhook-signature": received.headers["webhook-signature"],
        "x-shop": "1",
    }


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_success_is_delivered(status: int) -> None:
    assert (await sent_to(answering(status)))[:3] == ("delivered", "ok", status)


@pytest.mark.parametrize("status", [304, 400, 401, 404, 409, 500, 503, 599])
async def test_anything_else_is_tried_again(status: int) -> None:
    assert (await sent_to(answering(status)))[:3] == ("retry", "redirect" if status == 304 else "status", status)


async def test_gone_is_gone() -> None:
    assert (await sent_to(answering(410)))[:3] == ("gone", "status", 410)


@pytest.mark.parametrize(
    ("asked", "least", "most"),
    [("120", 120, 120), ("Sun, 01 Jan 2090 00:00:00 GMT", 86_400, 86_400), ("x", None, None), ("9" * 4000, None, None)],
)
async def test_what_a_busy_receiver_asks_for_is_said(asked: str, least: float | None, most: float | None) -> None:
    answer = await sent_to(answering(429, f"Retry-After: {asked}"))
    assert answer[:3] == ("retry", "status", 429)
    assert answer.retry_after in {least, most}


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (resetting, "broken"),
        (closing(), "broken"),
        (closing(b"HTTP/1.1 200"), "broken"),
        (closing(b"SSH-2.0-OpenSSH_9.2\r\n"), "broken"),
        (closing(b"\x16\x03\x01\x00\x00" * 100), "broken"),
        (closing(OK + b"X: " + b"a" * 100_000 + b"\r\n\r\n"), "broken"),
        (closing(OK + b"X: a\r\n" * 100_000 + b"\r\n"), "broken"),
        (closing(OK + b"Content-Length: x\r\n\r\n"), "broken"),
        (closing(OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n"), "broken"),
        (writing(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"), "status"),
    ],
)
async def test_a_broken_answer_is_tried_again(behaviour: Behaviour, reason: str) -> None:
    answer = await sent_to(behaviour)
    assert (answer.outcome, answer.reason) == ("retry", reason)


@pytest.mark.parametrize(
    "behaviour",
    [
        hanging,
        dripping(b"HTTP/1.1 200 ", then=b"O"),
        dripping(OK, then=b"X"),
        dripping(OK, then=b"X: a\r\n", seconds=0.05),
        dripping(b"", then=b"HTTP/1.1 100 Continue\r\n\r\n"),
        dripping(b"", then=b"HTTP/1.1 102 Processing\r\n\r\n"),
    ],
)
async def test_an_attempt_ends_after_its_time_however_busy_the_receiver_is(behaviour: Behaviour) -> None:
    answer = await sent_to(behaviour, timeout_seconds=0.6)
    assert (answer.outcome, answer.reason, answer.status) == ("retry", "timeout", None)
    assert answer.seconds >= 0.6


@pytest.mark.parametrize(("status", "outcome"), [(200, "delivered"), (500, "retry"), (410, "gone")])
async def test_a_body_without_end_changes_nothing_about_the_status(status: int, outcome: str) -> None:
    head = b"HTTP/1.1 %d Said\r\nContent-Length: 1000000\r\n\r\n" % status
    answer = await sent_to(dripping(head, then=b"a"))
    assert (answer.outcome, answer.status) == (outcome, status)
    assert answer.seconds < 10


@pytest.mark.parametrize("head", [b"Content-Length: 1073741824\r\n\r\n", b"\r\n", b"Content-Encoding: gzip\r\n\r\n"])
async def test_a_gigabyte_costs_no_memory_and_ends_the_connection(head: bytes) -> None:
    written: list[int] = []
    tracemalloc.start()
    try:
        answer = await sent_to(flooding(OK + head, then=b"a" * 65_536, times=GIGABYTE, written=written))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert answer[:3] == ("delivered", "ok", 200)
    assert sum(written) < 64 * 2**20  # what the sockets of two sides hold, and far from a gigabyte
    assert peak < 8 * 2**20


async def test_chunks_without_end_are_cut_too() -> None:
    written: list[int] = []
    chunk = b"4000\r\n" + b"a" * 0x4000 + b"\r\n"
    head = OK + b"Transfer-Encoding: chunked\r\n\r\n"
    assert (await sent_to(flooding(head, then=chunk, times=65_536, written=written))).outcome == "delivered"
    assert sum(written) < 64 * 2**20


async def test_bombs_are_not_decompressed() -> None:
    bomb = gzip.compress(b"\0" * 10_000_000)
    tracemalloc.start()
    try:
        answer = await sent_to(answering(200, "Content-Encoding: gzip", body=bomb[: REST_BYTES - 1]))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert answer.outcome == "delivered"
    assert peak < 4 * 2**20


async def test_nobody_listening_is_not_connected() -> None:
    async with running_sender() as sender:
        answer = await send(sender, f"http://{RECEIVER}:{free_port()}/")
    assert (answer.outcome, answer.reason) == ("retry", "not_connected")


async def test_connections_serve_again_until_they_are_idle_for_a_while() -> None:
    async with Receiver(answering(200, body=b"thanks")) as receiver, running_sender() as sender:
        url = f"http://{RECEIVER}:{receiver.port}/"
        for _ in range(3):
            assert (await send(sender, url)).outcome == "delivered"
        assert receiver.connections == 1
        await asyncio.sleep(2.5)
        assert (await send(sender, url)).outcome == "delivered"
        assert receiver.connections == 2


async def test_cookies_are_not_kept() -> None:
    async with (
        Receiver(answering(200, "Set-Cookie: a=b")) as receiver,
        running_sender(look_up=always(RECEIVER)) as sender,
    ):
        for _ in range(2):
            await send(sender, f"http://app.example.com:{receiver.port}/")
        assert not any("cookie" in received.headers for received in receiver.received)


async def test_tracing_notes_nothing_of_webhooks_for_a_path_may_be_a_secret() -> None:
    exporter = InMemorySpanExporter()
    tracing = Tracing(version="test", exporter=exporter)
    try:
        async with Receiver() as receiver, running_sender() as sender:
            assert (await send(sender, f"http://{RECEIVER}:{receiver.port}/T0/B0/secret")).outcome == "delivered"
            assert "traceparent" not in receiver.received[0].headers
        tracing.provider.force_flush()
        assert exporter.get_finished_spans() == ()
    finally:
        tracing.close()


async def test_receivers_that_hang_delay_no_other() -> None:
    async with Receiver(hanging) as stuck, Receiver() as receiver, running_sender() as sender:
        waiting = [asyncio.create_task(send(sender, f"http://{RECEIVER}:{stuck.port}/")) for _ in range(300)]
        for _ in waiting:
            await stuck.crowded.acquire()
        async with asyncio.timeout(10):
            assert (await send(sender, f"http://{RECEIVER}:{receiver.port}/")).outcome == "delivered"
        for task in waiting:
            task.cancel()
        assert {type(result) for result in await asyncio.gather(*waiting, return_exceptions=True)} == {
            asyncio.CancelledError
        }


async def test_a_name_server_that_hangs_delays_no_other_name() -> None:
    begun, released, asked = threading.Event(), threading.Event(), list[str]()

    def look_up(name: str) -> Sequence[str]:
        asked.append(name)
        begun.set()
        if name.startswith("stuck"):
            released.wait()
        return [RECEIVER]

    async with Receiver() as receiver, running_sender(look_up=look_up, timeout_seconds=1) as sender:
        try:
            stuck = f"http://stuck.example.com:{receiver.port}/"
            waiting = [asyncio.create_task(send(sender, stuck)) for _ in range(100)]
            await asyncio.to_thread(begun.wait)
            assert (await send(sender, f"http://app.example.com:{receiver.port}/")).outcome == "delivered"
            assert {answer.reason for answer in await asyncio.gather(*waiting)} == {"timeout"}
            assert asked == ["stuck.example.com", "app.example.com"]
        finally:
            released.set()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    for authority in ("ca", "other"):
        make_authority(folder, name=authority)
    issue(folder, names="DNS:app.example.com", name="right")
    issue(folder, names="DNS:app.example.com", name="unknown", by="other")
    return folder


@pytest.mark.parametrize(
    ("host", "certificate", "expected"),
    [
        ("app.example.com", "right", "ok"),
        ("app.example.com.", "right", "ok"),
        ("www.example.com", "right", "tls"),
        (RECEIVER, "right", "tls"),
        ("app.example.com", "unknown", "tls"),
    ],
)
async def test_https_is_held_to_the_name(certificates: Path, host: str, certificate: str, expected: str) -> None:
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(certificates / f"{certificate}.crt", certificates / f"{certificate}.key")
    named: list[str | None] = []
    server.sni_callback = lambda _socket, name, _context: named.append(name)
    trusting = ssl.create_default_context(cafile=certificates / "ca.crt")
    async with (
        Receiver(tls=server) as receiver,
        running_sender(look_up=always(RECEIVER), tls=trusting) as sender,
    ):
        answer = await send(sender, f"https://{host}:{receiver.port}/")
        assert (answer.reason, len(receiver.received)) == (expected, int(expected == "ok"))
        assert named == [None if host == RECEIVER else host.rstrip(".")]


async def test_plain_text_where_tls_is_expected_is_tried_again() -> None:
    async with Receiver(closing(b"HTTP/1.1 400 Bad\r\n\r\n")) as receiver, running_sender() as sender:
        answer = await send(
            sender,
            f"https://{RECEIVER}:{receiver.port}/",
        )
    assert (answer.outcome, answer.status) == ("retry", None)


async def test_what_is_stored_wrongly_about_an_endpoint_is_raised_before_anything_is_sent() -> None:
    async with Receiver() as receiver, running_sender() as sender:
        url = f"http://{RECEIVER}:{receiver.port}/"
        with pytest.raises(BadSecret):
            await send(sender, url, secrets=["whsec_short"])
        with pytest.raises(UnsafeHeader):
            await send(sender, url, headers={"Host": "internal"})
        assert receiver.connections == 0
