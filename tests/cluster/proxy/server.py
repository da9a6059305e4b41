"""A proxy before a server that cuts a client off at its k-th write and can answer reads from the past.

Before the API server:

    with ApiProxy(kubeconfig) as proxy:
        client = start_client(proxy.kubeconfig)          # a path; the client needs no credentials of its own
        proxy.cut(3, "after", client.kill)               # its 3rd write from now: committed, never answered
        assert proxy.wait_for_cut(seconds=30).resource == "services"
        proxy.writes                                     # every write: number, method, path, status
        with proxy.stale():                              # reads answer as they last did, watches stay silent
            …
        with proxy.overloaded(share=0.2, stream_seconds=2):  # some requests are answered 429, watches end early
            …

A write is a POST, PUT, PATCH or DELETE; Leases (`ignored`), dry runs and access reviews are forwarded and not counted.
Writes reach the API server one at a time, so that their order is the list's. At a cut "before" the request is not
forwarded; "after" it is, and its answer is thrown away. In both cases the callback runs in a thread of its own while
the client still waits; then its connections are closed, and what it had sent meanwhile is dropped. Clients that
connect later are served as usual, so the proxy outlives a killed client. Upgraded connections (exec, port-forward)
are refused with 501.
"""

from __future__ import annotations

import asyncio
import json
import random
import tempfile
import threading
from abc import ABC, abstractmethod
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

import aiohttp
from aiohttp import web
from tests.cluster.proxy import requests, upstream
from tests.cluster.proxy.requests import When, Write
from yarl import URL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType

_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "te", "upgrade", "host", "content-length"})
_STARTUP = 30.0

Answer = tuple[int, list[tuple[str, str]], bytes]


class Cut:
    """One planned cut: at the `at`-th write of the proxy's life."""

    def __init__(self, at: int, when: When, run: Callable[[], object]) -> None:
        self.at, self.when, self.run = at, when, run
        self.write: Write | None = None
        self.done = threading.Event()
        self.error: Exception | None = None


@dataclass
class Overload:
    """What an overloaded API server does, and what it has done."""

    share: float
    """Of the requests that are refused."""
    stream_seconds: float
    refused: int = 0
    closed: int = 0
    """Watches that were cut off."""
    dice: random.Random = field(default_factory=lambda: random.Random(429))

    def refuses(self) -> bool:
        """Whether the next request is refused."""
        refused = self.dice.random() < self.share
        self.refused += refused
        return refused


def _kept(headers: Iterable[tuple[str, str]], *, also: frozenset[str] = frozenset()) -> list[tuple[str, str]]:
    return [(name, value) for name, value in headers if name.lower() not in _HOP | also]


class CuttingProxy(ABC):
    """The proxy, in a thread of its own; use as a context. See the module for what it does.

    Args:
        host: where clients connect, another address than the loopback for pods.
    """

    def __init__(self, *, host: str = "127.0.0.1") -> None:
        self._host = host
        self._writes: list[Write] = []
        self._cut: Cut | None = None
        self._generation = 0  # grows with every cut: requests of an older one belong to a client that was cut off
        self._clients: set[asyncio.Transport] = set()  # those that wait for an answer
        self._remembered: dict[tuple[str, str], Answer] = {}
        self._frozen: dict[tuple[str, str], Answer] | None = None
        self._overload: Overload | None = None
        self._session: aiohttp.ClientSession
        self.url = ""

    @abstractmethod
    async def _open(self) -> aiohttp.ClientSession:
        """Return a session for the server; called once, in the proxy's loop."""

    @abstractmethod
    def _target(self, request: web.Request) -> URL:
        """Return where the request goes on to."""

    @abstractmethod
    def _is_write(self, request: web.Request) -> bool:
        """Tell whether the request counts."""

    def _serving(self) -> None:  # noqa: B027 - only who hands out more than the address needs it
        """Learn that `url` is there."""

    @property
    def writes(self) -> list[Write]:
        """Every counted write until now."""
        return list(self._writes)

    def cut(self, number: int, when: When, run: Callable[[], object]) -> None:
        """Cut the client off at its `number`-th write from now, 1 being the next; one cut is planned at a time."""
        assert number >= 1, number
        self._cut = Cut(len(self._writes) + number, when, run)

    def wait_for_cut(self, *, seconds: float) -> Write | None:
        """Wait for the planned cut and return its write; None when there were fewer writes in that time: it is off."""
        cut = self._cut
        assert cut is not None, "no cut is planned"
        if not cut.done.wait(seconds):
            self._cut = None
            return None
        if cut.error is not None:
            raise cut.error
        return cut.write

    @contextmanager
    def stale(self) -> Iterator[None]:
        """Answer each read that was seen before as it was answered last, and let no watch event through."""
        self._loop.call_soon_threadsafe(self._freeze)
        try:
            yield
        finally:
            self._loop.call_soon_threadsafe(self._thaw)

    def _freeze(self) -> None:
        self._frozen = dict(self._remembered)
        self._flowing.clear()

    def _thaw(self) -> None:
        self._frozen = None
        self._flowing.set()

    @contextmanager
    def overloaded(self, *, share: float, stream_seconds: float) -> Iterator[Overload]:
        """Refuse a share of all requests as priority and fairness does, and cut each watch off after some seconds."""
        self._overload = found = Overload(share, stream_seconds)
        self._loop.call_soon_threadsafe(self._close_clients)
        try:
            yield found
        finally:
            self._overload = None

    def __enter__(self) -> Self:
        self._started = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="api-proxy", daemon=True)
        self._thread.start()
        if not self._started.wait(_STARTUP) or self._failure:
            raise RuntimeError(f"the API proxy did not start: {self._failure}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(_STARTUP)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception as error:  # noqa: BLE001 - told to whoever waits in __enter__
            self._failure = error
            self._started.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop, self._flowing, self._one_write = asyncio.Event(), asyncio.Event(), asyncio.Lock()
        self._flowing.set()
        self._session = await self._open()
        application = web.Application(client_max_size=64 * 1024 * 1024)
        application.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, self._host, 0)
            await site.start()
            self.url = f"http://{self._host}:{runner.addresses[0][1]}"
            self._serving()
            self._started.set()
            await self._stop.wait()
            self._close_clients()
        finally:
            await runner.cleanup()
            await self._session.close()

    def _close_clients(self) -> None:
        for transport in tuple(self._clients):
            transport.abort()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade"):
            return web.Response(status=501, text="the test proxy forwards no upgraded connections")
        transport = request.transport
        if transport is None:
            raise web.HTTPServiceUnavailable  # the client went away
        if self._overload is not None and self._overload.refuses():
            text = "Too many requests, please try again later."
            return web.Response(status=429, text=text, headers={"Retry-After": "1"})
        self._clients.add(transport)
        try:
            if requests.streams(request.query):
                return await self._stream(request)
            if self._is_write(request):
                return await self._write(request)
            return await self._read(request)
        finally:
            self._clients.discard(transport)

    def _ask(self, request: web.Request, body: bytes = b"") -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """Send the request on with the proxy's credentials in place of the client's."""
        own = frozenset(name.lower() for name in self._session.headers)
        headers = _kept(request.headers.items(), also=own)
        return self._session.request(request.method, self._target(request), headers=headers, data=body or None)

    async def _forward(self, request: web.Request, body: bytes) -> Answer:
        async with self._ask(request, body) as answer:
            return answer.status, _kept(answer.headers.items()), await answer.read()

    async def _read(self, request: web.Request) -> web.Response:
        """Answer a read, from the past if that is wanted; and forward a write that does not count."""
        key = (request.raw_path, request.headers.get("Accept", ""))
        old = self._frozen.get(key) if self._frozen is not None and request.method == "GET" else None
        answer = old or await self._forward(request, await request.read())
        if request.method == "GET" and self._frozen is None:
            self._remembered[key] = answer
        return _response(answer)

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        if (overload := self._overload) is not None and request.transport is not None:
            self._loop.call_later(overload.stream_seconds, self._cut_stream, overload, request.transport)
        async with self._ask(request) as answer:
            response = web.StreamResponse(status=answer.status, headers=_kept(answer.headers.items()))
            await response.prepare(request)
            with suppress(ConnectionError, aiohttp.ClientPayloadError):
                async for chunk in answer.content.iter_any():
                    await self._flowing.wait()
                    await response.write(chunk)
            return response

    def _cut_stream(self, overload: Overload, transport: asyncio.Transport) -> None:
        if transport in self._clients:
            overload.closed += 1
            transport.abort()

    async def _write(self, request: web.Request) -> web.Response:
        generation, body = self._generation, await request.read()
        async with self._one_write:
            if generation != self._generation:
                raise web.HTTPServiceUnavailable  # nobody reads it: the connection is closed already
            cut = self._cut if self._cut and self._cut.at == len(self._writes) + 1 else None
            answer = None if cut and cut.when == "before" else await self._forward(request, body)
            write = Write(len(self._writes) + 1, request.method, request.path, status=answer[0] if answer else None)
            self._writes.append(write)
            if cut is not None:
                await self._cut_off(cut, write)
            if answer is None or cut is not None:
                raise web.HTTPServiceUnavailable
            return _response(answer)

    async def _cut_off(self, cut: Cut, write: Write) -> None:
        try:
            await asyncio.to_thread(cut.run)
        except Exception as error:  # noqa: BLE001 - raised again in the thread that waits for the cut
            cut.error = error
        self._generation += 1
        self._close_clients()
        cut.write = write
        cut.done.set()


def _response(answer: Answer) -> web.Response:
    status, headers, body = answer
    response = web.Response(status=status, body=body)
    response.headers.clear()
    for name, value in headers:
        response.headers.add(name, value)
    return response


class ApiProxy(CuttingProxy):
    """Before the API server of a kubeconfig.

    Args:
        kubeconfig: the proxy acts with its credentials.
        host: where clients connect, another address than the loopback for pods.
        ignored: resources whose writes are not counted.
    """

    def __init__(self, kubeconfig: Path, *, host: str = "127.0.0.1", ignored: Iterable[str] = ("leases",)) -> None:
        super().__init__(host=host)
        self._upstream, self._ignored, self._server = kubeconfig, frozenset(ignored), ""
        self._folder = tempfile.TemporaryDirectory(prefix="lean-payments-proxy-")
        self.kubeconfig = Path(self._folder.name) / "kubeconfig"
        """For the client; there once the context is entered."""

    async def _open(self) -> aiohttp.ClientSession:
        self._server, session = await upstream.connect(self._upstream)
        return session

    def _target(self, request: web.Request) -> URL:
        return URL(self._server + request.raw_path, encoded=True)

    def _is_write(self, request: web.Request) -> bool:
        return requests.counts(request.method, request.path, request.query, ignored=self._ignored)

    def _serving(self) -> None:
        self.kubeconfig.write_text(json.dumps(_client_config(self.url)))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        self._folder.cleanup()


def _client_config(server: str) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "proxy",
        "clusters": [{"name": "proxy", "cluster": {"server": server}}],
        "users": [{"name": "proxy", "user": {}}],
        "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "proxy"}}],
    }
