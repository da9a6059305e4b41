"""`payments listen` against a running service, forwarding to a real server."""

from __future__ import annotations

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.integration.test_webhook_deliveries import change
from tests.servers.process import free_port
from tests.servers.webhook_receiver import OK, receiving

from payment_service.access.keys import ApiKeys

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.servers.stack import Stack
    from tests.servers.webhook_receiver import Receiver

PAYMENTS = Path(sys.executable).with_name("payments")
ONE_DATABASE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as running:
        yield running


@asynccontextmanager
async def listening(stack: Stack, *words: str, **environ: str) -> AsyncIterator[tuple[Process, str]]:
    """Run it until it has said its secret; then end it, if the test has not."""
    base_url = words if "--base-url" in words else ("--base-url", str(stack.client.base_url).rstrip("/"), *words)
    process = await asyncio.create_subprocess_exec(
        PAYMENTS,
        "listen",
        *base_url,
        stdout=PIPE,
        stderr=PIPE,
        env={"PYTHONUNBUFFERED": "1", **environ},
        # tests that a shell runs in the background ignore it, and what they start does so too
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        yield process, (await said(process)).rpartition(" ")[2]
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def said(process: Process) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(60):
        return (await process.stdout.readline()).decode().strip()


async def warned(process: Process, words: str) -> str:
    """Return the next line of standard error that holds these words."""
    assert process.stderr is not None
    async with asyncio.timeout(60):
        while words not in (line := (await process.stderr.readline()).decode()):
            assert line
    return line


class Relay:
    """Passes bytes on in both directions until it is cut."""

    def __init__(self, target: int) -> None:
        self._target = target
        self.port = free_port()
        self._open: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", self.port)

    async def cut(self) -> None:
        self._server.close()
        for writer in list(self._open):
            writer.transport.abort()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_target, to_target = await asyncio.open_connection("127.0.0.1", self._target)
        self._open |= {writer, to_target}
        await asyncio.gather(self._copy(reader, to_target), self._copy(from_target, writer))

    async def _copy(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while received := await source.read(65536):
                target.write(received)
                await target.drain()
        self._open.discard(target)
        target.close()


@ONE_DATABASE
async def test_events_are_forwarded_signed_and_told_with_the_answer(stack: Stack, receiver: Receiver) -> None:
    await change(stack, "before")
    receiver.answer = lambda got: (500, {}) if got.event["object_id"] == "bad" else OK
    words = ("--forward-to", receiver.url, "--types", "webhook_endpoint.*")
    key, _ = await ApiKeys(stack.parts.settings, stack.parts.database, clock=stack.clock).create(
        "listener", scope="events:read", days=None, actor="cli:test"
    )
    async with listening(stack, *words, LISTEN_API_KEY=key) as (process, secret):
        await warned(process, "until Ctrl-C")
        await asyncio.sleep(2)  # its first look tells it where the feed ends
        await change(stack, "good", "bad", "good")
        lines = [(await said(process)).split() for _ in range(3)]
        assert [(line[1], line[2], line[4]) for line in lines] == [
            (status, "webhook_endpoint.disabled", name)
            for status, name in (("200", "good"), ("500", "bad"), ("200", "good"))
        ]
        for got in receiver.got:
            got.verify(secret)
            assert got.headers["webhook-id"] == got.event["id"]
        feed = (await stack.client.get("/api/v1/events", params={"limit": 10})).json()["data"]
        assert [got.event for got in receiver.got] == feed[1:]
        process.send_signal(signal.SIGINT)
        told = await warned(process, "go on with --after")
        assert feed[-1]["id"] in told
        async with asyncio.timeout(30):
            assert await process.wait() == 0
    given = {"LISTEN_SECRET": secret, "LISTEN_API_KEY": key}
    async with listening(stack, *words, "--after", feed[-2]["id"], **given) as (process, same):
        assert same == secret
        assert (await said(process)).split()[3] == feed[-1]["id"]


@ONE_DATABASE
async def test_it_comes_again_when_the_service_was_away(stack: Stack, receiver: Receiver) -> None:
    relay = Relay(int(stack.client.base_url.port or 0))
    words = ("--base-url", f"http://127.0.0.1:{relay.port}", "--forward-to", receiver.url, "--from-the-oldest")
    async with listening(stack, *words) as (process, _):
        await warned(process, "cannot be read, trying again")
        await change(stack, "one")
        await relay.start()
        assert "one" in await said(process)
        await relay.cut()
        await warned(process, "cannot be read, trying again")
        await change(stack, "two")
        await relay.start()
        assert "two" in await said(process)
    await relay.cut()
    assert [got.event["object_id"] for got in receiver.got] == ["one", "two"]


@ONE_DATABASE
@pytest.mark.parametrize(
    ("words", "environ", "told"),
    [
        (("--forward-to", "https://10.0.0.1/hooks"), {}, "--anywhere"),
        (("--forward-to", "http://169.254.169.254/", "--anywhere"), {}, "not sent to"),
        (("--forward-to", "http://127.0.0.1:9/"), {"LISTEN_SECRET": "whsec_short"}, "LISTEN_SECRET"),
        (("--forward-to", "http://127.0.0.1:9/", "--after", f"evt_{'f' * 24}"), {}, "410 cursor_unknown"),
        (("--forward-to", "http://127.0.0.1:9/", "--types", "nonsense.*"), {}, "422"),
    ],
)
async def test_what_would_not_help_is_not_tried_again(
    stack: Stack, words: tuple[str, ...], environ: dict[str, str], told: str
) -> None:
    async with listening(stack, *words, **environ) as (process, _):
        async with asyncio.timeout(60):
            _, error = await process.communicate()
        assert process.returncode in {1, 2}
        assert told in error.decode()
        assert "Traceback" not in error.decode()


@ONE_DATABASE
async def test_nothing_is_sent_to_another_machine(stack: Stack, receiver: Receiver) -> None:
    """A name is held to this machine too: what it leads to is looked at, not how it is called."""
    await change(stack, "one")
    url: Any = "http://example.invalid/hooks"
    async with listening(stack, "--forward-to", url, "--from-the-oldest") as (process, _):
        assert (await said(process)).split()[1] in {"name_not_found", "address_not_allowed"}
    assert receiver.got == []
