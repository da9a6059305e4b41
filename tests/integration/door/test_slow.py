"""Slow clients are sent away in time; those that are only far away are not."""

from __future__ import annotations

import asyncio

import pytest
from tests.integration.door.house import Client, House, house

HOST = b"Host: x\r\n"
GET = b"GET / HTTP/1.1\r\n" + HOST + b"\r\n"
POST = b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1000\r\n\r\n"


async def gone(server: House, client: Client, reason: str) -> list[str]:
    """Return what the client was answered; fails unless it was sent away for the reason."""
    answers = await client.answers()
    await server.until(lambda: reason in server.cut())
    assert server.cut() == {reason: 1}
    return answers


async def trickle(client: Client, data: bytes) -> None:
    """Send a byte now and then, until the server has enough."""
    for byte in data:
        client.writer.write(bytes([byte]))
        await asyncio.sleep(0.05)
        if client.writer.is_closing():
            return


async def test_a_silent_connection_is_closed() -> None:
    async with house() as server:
        assert await gone(server, await server.connect(), "silent") == []


async def test_empty_lines_are_not_a_request() -> None:
    async with house() as server:
        client = await server.connect()
        sending = asyncio.create_task(trickle(client, b"\r\n" * 100))
        assert await gone(server, client, "silent") == []
        sending.cancel()


async def test_a_slow_head_is_answered_408() -> None:
    async with house() as server:
        client = await server.connect()
        sending = asyncio.create_task(trickle(client, b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 500))
        assert await gone(server, client, "slow_head") == ["408"]
        assert server.seen == []
        sending.cancel()


async def test_a_slow_head_of_a_second_request_is_answered_408() -> None:
    async with house() as server:
        client = await server.connect(GET + b"GET / HT")
        assert await gone(server, client, "slow_head") == ["200", "408"]


@pytest.mark.parametrize("framing", [b"Content-Length: 1000\r\n\r\nx", b"Transfer-Encoding: chunked\r\n\r\nff\r\nx"])
async def test_a_slow_body_is_answered_408_by_the_application(framing: bytes) -> None:
    async with house() as server:
        client = await server.connect(b"POST / HTTP/1.1\r\n" + HOST + framing)
        sending = asyncio.create_task(trickle(client, b"x" * 100))
        assert await gone(server, client, "slow_body") == ["408"]
        assert (server.seen, server.statuses) == ([], [408])
        sending.cancel()


async def test_a_body_below_the_least_rate_is_answered_408_before_its_time_is_up() -> None:
    async with house(body_seconds=60, body_bytes_per_second=500) as server:
        client = await server.connect(POST + b"x" * 10)
        assert await gone(server, client, "slow_body") == ["408"]


async def test_an_idle_connection_is_kept_for_its_time_and_then_closed() -> None:
    async with house() as server:
        client = await server.connect(GET)
        assert await client.answer() == (200, b"0")
        await asyncio.sleep(0.4)
        client.writer.write(GET)
        assert await client.answer() == (200, b"0")
        assert await gone(server, client, "idle") == []


async def test_a_request_that_is_worked_on_has_all_the_time() -> None:
    async with house() as server:
        client = await server.connect(b"GET /hang HTTP/1.1\r\n" + HOST + b"\r\n")
        await asyncio.sleep(1.5)
        server.go_on()
        assert await client.answer() == (200, b"0")
        assert server.cut() == {}


async def test_an_answer_that_nobody_reads_is_thrown_away() -> None:
    async with house(keep_alive_seconds=60) as server:
        client = await server.connect(b"GET /large HTTP/1.1\r\n" + HOST + b"\r\n")
        client.stop_reading()
        await server.until(lambda: server.cut() == {"slow_answer": 1})


async def test_an_answer_that_is_read_slowly_but_steadily_arrives_whole() -> None:
    async with house(keep_alive_seconds=60) as server:
        client = await server.connect(b"GET /large HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
        received = 0
        while part := await client.reader.read(256 * 1024):
            received += len(part)
            await asyncio.sleep(0.05)
        assert received > 8 * 1024 * 1024
        assert server.cut() == {}


async def test_a_client_that_leaves_within_its_body_is_no_request_and_no_fault_of_ours() -> None:
    async with house() as server:
        client = await server.connect(POST + b'{"whole": true}')
        await asyncio.sleep(0.05)
        client.writer.transport.abort()
        await server.until(lambda: server.statuses)
        assert (server.seen, server.statuses) == ([], [400])


async def test_a_body_that_comes_after_an_early_answer_keeps_the_connection_in_step() -> None:
    async with house() as server:
        client = await server.connect(b"POST /early HTTP/1.1\r\n" + HOST + b"Content-Length: 40\r\n\r\n")
        assert await client.answer() == (401, b"no")
        client.writer.write(b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n".ljust(40, b"x") + GET)
        assert await client.answer() == (200, b"0")
        assert [path for path, _ in server.seen] == ["/early", "/"]


async def test_a_body_that_does_not_come_after_an_early_answer_ends_the_connection() -> None:
    async with house() as server:
        client = await server.connect(b"POST /early HTTP/1.1\r\n" + HOST + b"Content-Length: 40\r\n\r\nGET ")
        assert await gone(server, client, "slow_rest") == ["401"]
        assert server.cut() == {"slow_rest": 1}


async def test_a_large_body_after_an_early_last_answer_does_not_destroy_the_answer() -> None:
    async with house() as server:
        head = b"POST /early HTTP/1.1\r\n" + HOST + b"Connection: close\r\nContent-Length: 9000000\r\n\r\n"
        client = await server.connect(head)
        client.writer.write(b"x" * 4_000_000)
        await asyncio.sleep(0.2)
        assert (await client.reader.read(12)) == b"HTTP/1.1 401"
