"""When connections or bytes run out, those who hold them longest for nothing go; good requests are answered."""

from __future__ import annotations

import asyncio
import gc

import pytest
from tests.integration.door.house import house

from payment_service.errors import RequestTimeout
from payment_service.http.door.cycle import GuardedCycle
from payment_service.http.server import ADMIN_CONNECTIONS

HOST = b"Host: x\r\n"
GET = b"GET / HTTP/1.1\r\n" + HOST + b"\r\n"
HANG = b"GET /hang HTTP/1.1\r\n" + HOST + b"\r\n"
LONG = {
    "first_byte_seconds": 60,
    "head_seconds": 60,
    "body_seconds": 60,
    "keep_alive_seconds": 60,
    "answer_seconds": 60,
    "grace_seconds": 60,
}


async def test_silent_connections_make_room_for_a_request() -> None:
    async with house(**LONG, connections=10) as server:
        silent = [await server.connect() for _ in range(10)]
        for _ in range(5):
            client = await server.connect(GET)
            assert await client.answer() == (200, b"0")
        assert await silent[0].rest() == b""
        assert server.cut()["connections"] <= 5


async def test_idle_connections_make_room_and_the_longest_idle_goes_first() -> None:
    async with house(**LONG, connections=10) as server:
        idle = []
        for _ in range(10):
            client = await server.connect(GET)
            assert await client.answer() == (200, b"0")
            idle.append(client)
            await asyncio.sleep(0.05)
        await asyncio.sleep(1.1)
        idle[0].writer.write(GET)
        assert await idle[0].answer() == (200, b"0")
        await asyncio.sleep(1.1)
        assert await (await server.connect(GET)).answer() == (200, b"0")
        idle[0].writer.write(GET)
        assert await idle[0].answer() == (200, b"0")


async def test_a_crowd_on_the_admin_port_does_not_keep_probes_out() -> None:
    async with house("admin", **LONG) as server:
        parts = [b"", b"GET / HTTP/1.1\r\n", b"PUT / HTTP/1.1\r\n" + HOST + b"Content-Length: 9\r\n\r\n{", GET]
        for number in range(2 * ADMIN_CONNECTIONS):
            await server.connect(parts[number % len(parts)])
        for _ in range(20):
            probe = await server.connect(GET)
            assert await asyncio.wait_for(probe.answer(), 1) == (200, b"0")
        assert server.cut()["connections"] >= ADMIN_CONNECTIONS


async def test_a_full_process_says_so_and_every_request_that_it_works_on_is_answered() -> None:
    async with house(**LONG, connections=10) as server:
        working = [await server.connect(HANG) for _ in range(10)]
        await server.until(lambda: len(server.seen) == 10)
        received = await (await server.connect(GET)).rest()
        assert received.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 1\r\n" in received
        assert b"connection: close\r\n" in received
        assert b'"code":"service_unavailable"' in received
        server.go_on()
        assert [await client.answer() for client in working] == [(200, b"0")] * 10
        assert await (await server.connect(GET)).answer() == (200, b"0")


async def test_bytes_of_slow_bodies_are_given_back_and_fast_bodies_are_taken() -> None:
    async with house(**LONG, held_bytes=2_097_152) as server:
        head = b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 600000\r\n\r\n"
        slow = [await server.connect(head + b"x" * 500_000) for _ in range(4)]
        await asyncio.sleep(0.3)
        for _ in range(5):
            client = await server.connect(head + b"x" * 600_000)
            assert await client.answer() == (200, b"600000")
        assert await slow[0].answers() == ["408"]
        assert server.cut()["held_bytes"] >= 1
        assert 503 not in server.statuses


async def test_bytes_of_unfinished_heads_count_too() -> None:
    async with house(**LONG, held_bytes=2_097_152, head_bytes=1_048_576) as server:
        slow = [await server.connect(b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"x" * 900_000) for _ in range(4)]
        for ended in asyncio.as_completed([client.answers() for client in slow]):
            assert await ended == ["408"]
            break
        assert await (await server.connect(GET)).answer() == (200, b"0")


async def test_answers_that_nobody_reads_are_given_up_when_bytes_run_out() -> None:
    async with house(**LONG, held_bytes=20 * 1024 * 1024) as server:
        clients = []
        for _ in range(6):
            client = await server.connect(b"GET /large HTTP/1.1\r\n" + HOST + b"\r\n")
            client.stop_reading()
            clients.append(client)
        await server.until(lambda: server.cut().get("held_bytes", 0) >= 3)
        assert await (await server.connect(GET)).answer() == (200, b"0")


async def test_bodies_that_are_worked_on_are_not_taken_away_and_newcomers_are_told() -> None:
    async with house(**LONG, held_bytes=2_097_152) as server:
        body = b"POST /hang HTTP/1.1\r\n" + HOST + b"Content-Length: 900000\r\n\r\n" + b"x" * 900_000
        working = [await server.connect(body) for _ in range(2)]
        await server.until(lambda: len(server.seen) == 2)
        third = await server.connect(body)
        assert await third.answers() == ["408"]
        server.go_on()
        assert [await client.answer() for client in working] == [(200, b"900000")] * 2


def kept() -> list[RequestTimeout]:
    """Return the refusals whose traceback something holds."""
    return [one for one in gc.get_objects() if isinstance(one, RequestTimeout) and one.__traceback__ is not None]


@pytest.mark.parametrize("limits", [{}, {**LONG, "held_bytes": 2_097_152}], ids=["slow bodies", "too many bytes"])
async def test_the_body_of_who_was_sent_away_is_let_go_at_once(limits: dict[str, int]) -> None:
    """A traceback that something keeps holds its frames, and they the body: for minutes, if garbage must be found."""
    part = b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 524288\r\n\r\n" + b"x" * 500_000
    async with house(**limits) as server:
        gc.collect()
        gc.disable()
        try:
            clients = [await server.connect(part) for _ in range(12)]
            await server.until(lambda: sum(server.cut().values()) >= 8)
            for client in clients:
                client.writer.close()
            await server.until(lambda: len(server.statuses) == len(clients))
            await server.until(lambda: not kept())
        finally:
            gc.enable()


async def test_what_comes_behind_an_answer_is_not_kept_for_the_connection() -> None:
    async with house(**LONG) as server:
        head = b"POST /early HTTP/1.1\r\n" + HOST + b"Content-Length: 100000\r\n\r\n"
        clients = [await server.connect(head + b"x" * 60_000) for _ in range(10)]
        await server.until(lambda: len(server.statuses) == len(clients))
        await asyncio.sleep(0.1)
        cycles = [one for one in gc.get_objects() if isinstance(one, GuardedCycle)]
        assert sum(len(cycle.body) for cycle in cycles) == 0
