"""What is no proper HTTP/1.1 gets one 400 problem and a closed connection; nothing behind it is taken for a request."""

from __future__ import annotations

import asyncio
import json

import pytest
from tests.integration.door.house import house, statuses

HOST = "Host: x\r\n"
INNER = f"GET /smuggled HTTP/1.1\r\n{HOST}\r\n"
FAULTY = {
    "Content-Length and Transfer-Encoding": (
        f"POST / HTTP/1.1\r\n{HOST}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{INNER}"
    ),
    "Transfer-Encoding and Content-Length": (
        f"POST / HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n{INNER}"
    ),
    "two Content-Length": f"POST / HTTP/1.1\r\n{HOST}Content-Length: 2\r\nContent-Length: 40\r\n\r\n{{}}{INNER}",
    "a list in Content-Length": f"POST / HTTP/1.1\r\n{HOST}Content-Length: 2, 40\r\n\r\n{{}}{INNER}",
    "a sign in Content-Length": f"POST / HTTP/1.1\r\n{HOST}Content-Length: +2\r\n\r\n{{}}{INNER}",
    "a huge Content-Length": f"POST / HTTP/1.1\r\n{HOST}Content-Length: 99999999999999999999\r\n\r\n{INNER}",
    "unknown Transfer-Encoding": f"POST / HTTP/1.1\r\n{HOST}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n{INNER}",
    "both behind an offer": (
        f"POST / HTTP/1.1\r\n{HOST}Connection: Upgrade\r\nUpgrade: h2c\r\n"
        f"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{INNER}"
    ),
    "unknown Transfer-Encoding behind an offer": (
        f"POST / HTTP/1.1\r\n{HOST}Connection: Upgrade\r\nUpgrade: h2c\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n{INNER}"
    ),
    "chunked is not last": f"POST / HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n{INNER}",
    "a space before the colon": f"POST / HTTP/1.1\r\n{HOST}Content-Length : 2\r\n\r\n{{}}{INNER}",
    "a folded header line": f"GET / HTTP/1.1\r\n{HOST}X-A: b\r\n c\r\n\r\n{INNER}",
    "bare line feeds": f"GET / HTTP/1.1\nHost: x\n\n{INNER}",
    "a bare line feed among headers": f"GET / HTTP/1.1\r\n{HOST}X-A: b\nX-B: c\r\n\r\n{INNER}",
    "a bare carriage return": f"GET / HTTP/1.1\r\n{HOST}X-A: b\rX-B: c\r\n\r\n{INNER}",
    "no Host": f"GET / HTTP/1.1\r\n\r\n{INNER}",
    "two Hosts": f"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n{INNER}",
    "two Hosts in HTTP/1.0": f"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n{INNER}",
    "Transfer-Encoding in HTTP/1.0": f"POST / HTTP/1.0\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n{INNER}",
    "HTTP/2.0 in words": f"GET / HTTP/2.0\r\n{HOST}\r\n{INNER}",
    "HTTP/2's preface": f"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{INNER}",
    "unknown method": f"FOO / HTTP/1.1\r\n{HOST}\r\n{INNER}",
    "a tunnel": f"CONNECT evil:443 HTTP/1.1\r\n{HOST}\r\n{INNER}",
    "a control character in a value": f"GET / HTTP/1.1\r\n{HOST}X-A: a\x0bb\r\n\r\n{INNER}",
    "a NUL in a value": f"GET / HTTP/1.1\r\n{HOST}X-A: a\x00b\r\n\r\n{INNER}",
    "a byte over 127 in the path": f"GET /\xff HTTP/1.1\r\n{HOST}\r\n{INNER}",
    "a fragment": f"GET /api/v1/subscriptions#/../admin HTTP/1.1\r\n{HOST}\r\n{INNER}",
    "a fragment behind a query": f"GET /?a=b#c HTTP/1.1\r\n{HOST}\r\n{INNER}",
    "a fragment in absolute form": f"GET http://x/#c HTTP/1.1\r\n{HOST}\r\n{INNER}",
    "not HTTP": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}
CHUNKED = f"POST / HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n"
IN_THE_BODY = {
    "a negative chunk": f"{CHUNKED}-1\r\nx\r\n0\r\n\r\n{INNER}",
    "a chunk too large to count": (f"{CHUNKED}ffffffffffffffffff\r\nx\r\n0\r\n\r\n{INNER}"),
    "a chunk without its end": f"{CHUNKED}1\r\nxx\r\n0\r\n\r\n{INNER}",
}


async def test_faulty_framing_is_refused_and_nothing_behind_it_is_answered() -> None:
    cases = FAULTY | IN_THE_BODY
    async with house() as server:
        received = await asyncio.gather(*(server.received(data.encode("latin-1")) for data in cases.values()))
        told = {name: statuses(each) for name, each in zip(cases, received, strict=True)}
        assert told == {name: ["400"] for name in cases}
        for head, _, body in (each.partition(b"\r\n\r\n") for each in received):
            assert b"\r\nconnection: close" in head
            assert b"content-type: application/problem+json" in head
            assert json.loads(body)["code"] == "bad_request"
        assert server.seen == []
        assert server.cut() == {"malformed": len(cases)}


async def test_a_broken_request_behind_a_good_one_does_not_take_the_good_ones_answer() -> None:
    async with house() as server:
        client = await server.connect(
            f"POST /hang HTTP/1.1\r\n{HOST}Content-Length: 2\r\n\r\n{{}}GARBAGE\r\n\r\n".encode()
        )
        await server.until(lambda: server.seen)
        server.go_on()
        assert await client.answers() == ["200"]


LARGE = {
    "a long header": (f"GET / HTTP/1.1\r\n{HOST}X: {'a' * 100_000}\r\n\r\n", "431"),
    "a header just too long": (f"GET / HTTP/1.1\r\n{HOST}X: {'a' * 4090}\r\n\r\n", "431"),
    "many headers": (f"GET / HTTP/1.1\r\n{HOST}" + "".join(f"X{n}: b\r\n" for n in range(2000)) + "\r\n", "431"),
    "a header too many": (f"GET / HTTP/1.1\r\n{HOST}" + "".join(f"X{n}: b\r\n" for n in range(20)) + "\r\n", "431"),
    "a long path": (f"GET /{'a' * 100_000} HTTP/1.1\r\n{HOST}\r\n", "414"),
    "an endless method": ("G" * 100_000, "400"),
    "an endless header": (f"GET / HTTP/1.1\r\n{HOST}X: {'a' * 3_000_000}", "431"),
}


async def test_a_head_that_is_too_large_is_refused() -> None:
    async with house() as server:
        received = await asyncio.gather(*(server.received((data + INNER).encode()) for data, _ in LARGE.values()))
        told = {name: statuses(each) for name, each in zip(LARGE, received, strict=True)}
        assert told == {name: [status] for name, (_, status) in LARGE.items()}
        assert server.seen == []
        assert server.cut() == {"head_size": 5, "head_fields": 1, "malformed": 1}


async def test_a_head_of_the_greatest_size_is_answered_whole_and_in_parts() -> None:
    request = f"GET / HTTP/1.1\r\n{HOST}X: {'a' * 4000}\r\n\r\n".encode()
    async with house(head_seconds=5) as server:
        client = await server.connect(request)
        assert await client.answer() == (200, b"0")
        for start in range(0, len(request), 500):
            client.writer.write(request[start : start + 500])
            await asyncio.sleep(0.005)
        assert await client.answer() == (200, b"0")
        assert server.cut() == {}


async def test_an_offer_to_speak_another_protocol_is_ignored() -> None:
    offers = {"websocket": "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n", "h2c": ""}
    async with house() as server:
        for offer, more in offers.items():
            head = f"GET /{offer} HTTP/1.1\r\n{HOST}Connection: Upgrade\r\nUpgrade: {offer}\r\n{more}\r\n"
            client = await server.connect((head + f"GET /next HTTP/1.1\r\n{HOST}\r\n").encode())
            assert [await client.answer(), await client.answer()] == [(200, b"0"), (200, b"0")]
        assert [path for path, _ in server.seen] == ["/websocket", "/next", "/h2c", "/next"]


@pytest.mark.parametrize("apart", [False, True])
async def test_the_body_behind_an_offer_arrives(*, apart: bool) -> None:
    async with house() as server:
        for framing, sent, size in (
            ("Content-Length: 4", "abcd", 4),
            ("Content-Length: 0", "", 0),
            ("Transfer-Encoding: chunked", "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", 5),
        ):
            head = f"POST /h2c HTTP/1.1\r\n{HOST}Connection: Upgrade\r\nUpgrade: h2c\r\n{framing}\r\n\r\n"
            rest = f"{sent}GET /next HTTP/1.1\r\n{HOST}\r\n"
            client = await server.connect((head if apart else head + rest).encode())
            if apart:
                await asyncio.sleep(0.05)
                client.writer.write(rest.encode())
            assert [await client.answer(), await client.answer()] == [(200, str(size).encode()), (200, b"0")]
        assert [path for path, _ in server.seen] == ["/h2c", "/next"] * 3
        assert all((b"host", b"x") in fields for fields in server.headers)


async def test_trailers_do_not_become_headers() -> None:
    async with house() as server:
        client = await server.connect(f"{CHUNKED}1\r\nx\r\n0\r\nAuthorization: me\r\n\r\n".encode())
        assert await client.answer() == (200, b"1")
        assert [name for name, _ in server.headers[0]] == [b"host", b"transfer-encoding"]


@pytest.mark.parametrize("framing", [b"1;" + b"a" * 60_000 + b"\r\nx\r\n", b"0\r\n" + b"X: y\r\n" * 9000])
async def test_chunks_with_much_more_framing_than_content_are_refused(framing: bytes) -> None:
    async with house() as server:
        client = await server.connect(CHUNKED.encode() + framing)
        assert await client.answers() == ["400"]
        assert server.cut() == {"chunk_framing": 1}


async def test_chunks_of_one_byte_are_taken() -> None:
    async with house() as server:
        client = await server.connect(CHUNKED.encode())
        client.writer.write(b"1\r\nx\r\n" * 20_000 + b"0\r\n\r\n")
        assert await client.answer() == (200, b"20000")


async def test_pipelined_requests_are_answered_in_order_and_not_without_end() -> None:
    async with house() as server:
        few = "".join(f"POST /{n} HTTP/1.1\r\n{HOST}Content-Length: {n}\r\n\r\n{'x' * n}" for n in range(10))
        client = await server.connect(few.encode())
        assert [await client.answer() for _ in range(10)] == [(200, b"%d" % n) for n in range(10)]
        many = statuses(await server.received(f"GET / HTTP/1.1\r\n{HOST}\r\n".encode() * 5000))
        assert set(many) == {"200"}
        assert len(many) < 100
        assert server.cut() == {"pipelined": 1}
