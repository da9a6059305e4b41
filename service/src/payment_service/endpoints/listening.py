"""Reads the feed of a running service over HTTP and forwards each event to an address, signed as deliveries are.

For development: one attempt an event, in the feed's order, and no memory but the place in the feed, which is told at
the end. What must not be lost is sent to a webhook endpoint.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, NamedTuple

import aiohttp
import msgspec

from payment_service.deliveries.addresses import Rules
from payment_service.deliveries.schedule import parse_retry_after
from payment_service.errors import PaymentsError
from payment_service.feed.schemas import LATEST, MAXIMUM_WAIT
from payment_service.http.addresses import parse_network

if TYPE_CHECKING:
    from collections.abc import Callable

    from payment_service.clock import Clock
    from payment_service.deliveries.sender import Answer, Sender
    from payment_service.http.addresses import Address

AGAIN_SECONDS: Final = 1.0
LONGEST_SECONDS: Final = 30.0
SILENT_SECONDS: Final = MAXIMUM_WAIT + 15.0
"""Longer than the service waits for an event before it answers that there is none."""
ANYWHERE: Final = Rules(plain_http=True, networks=(parse_network("0.0.0.0/0"), parse_network("::/0")))
"""What is allowed by a flag; where clouds keep the credentials of a machine stays refused."""
_AGAIN: Final = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.REQUEST_TIMEOUT})


class Loopback(Rules):
    """Lets nothing pass but this machine."""

    def allow(self, address: Address) -> bool:
        """Tell whether an address is this machine's."""
        return address.is_loopback


class ListeningRefused(PaymentsError):
    """The service does not let this caller read events, or not from this place; trying again would not help."""


class Forwarded(msgspec.Struct):
    """What of an event is looked at here."""

    id: str
    type: str
    object_id: str


class _Page(msgspec.Struct):
    data: list[msgspec.Raw]
    """Events as they were answered, which is how they are forwarded."""
    has_more: bool
    next: str | None


class _Problem(msgspec.Struct):
    code: str = "unknown"
    detail: str = "no reason was given"


class Source(NamedTuple):
    """What is read."""

    base_url: str
    """Of the service: scheme, host and perhaps a port."""
    api_key: str
    """Of the scope `events:read` or more; empty: none, which a service in development takes."""
    types: str | None
    """As `invoice.paid,customer.*`; None: all."""


class Listener:
    """Forwards events for as long as it runs.

    Args:
        source: what is read.
        sender: forwards.
        url: where to.
        secret: `whsec_…`.
        clock: the time of signatures.
        report: is told of each event that was forwarded, and what came of it.
        warn: is told, in a sentence, why the feed cannot be read now.
    """

    def __init__(
        self,
        source: Source,
        *,
        sender: Sender,
        url: str,
        secret: str,
        clock: Clock,
        report: Callable[[Forwarded, Answer], None],
        warn: Callable[[str], None],
    ) -> None:
        self._source = source
        self._sender = sender
        self._url = url
        self._secret = secret
        self._clock = clock
        self._report = report
        self._warn = warn
        self.after: str | None = LATEST
        """Behind this event it goes on; None: from the oldest that is kept."""

    async def run(self) -> None:
        """Read and forward until cancelled, then close the sender.

        Raises:
            ListeningRefused: see there.
            BadSecret: the secret is none.
        """
        try:
            await self._work()
        finally:
            await self._sender.close()

    async def _work(self) -> None:
        wait, failures = 0, 0
        timeout = aiohttp.ClientTimeout(total=SILENT_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout, headers=self._headers()) as session:
            while True:
                page = await self._read(session, wait=wait)
                if isinstance(page, float):
                    await asyncio.sleep(max(page, min(AGAIN_SECONDS * 2**failures, LONGEST_SECONDS)))
                    failures = min(failures + 1, 10)
                    continue
                wait, failures = MAXIMUM_WAIT, 0
                await self._forward(page)

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._source.api_key}"} if self._source.api_key else {}

    async def _read(self, session: aiohttp.ClientSession, *, wait: int) -> _Page | float:
        """Return what comes next; or for how many seconds the service asked to be left alone, 0: it did not.

        Raises:
            ListeningRefused: see there.
        """
        asked = {"after": self.after, "types": self._source.types, "wait": str(wait)}
        params = {name: value for name, value in asked.items() if value is not None}
        try:
            url = f"{self._source.base_url.rstrip('/')}/api/v1/events"
            async with session.get(url, params=params, allow_redirects=False) as answer:
                status, body = answer.status, await answer.read()
                retry_after = parse_retry_after(answer.headers.get("Retry-After"), now=self._clock.now()) or 0.0
            if status == HTTPStatus.OK:
                return msgspec.json.decode(body, type=_Page)
        except (aiohttp.ClientError, OSError, msgspec.DecodeError) as error:  # TimeoutError among them
            self._warn(f"The feed cannot be read, trying again: {type(error).__name__}")
            return 0.0
        if status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in _AGAIN:
            raise ListeningRefused(_described(status, body))
        self._warn(f"The feed cannot be read, trying again: {_described(status, body)}")
        return retry_after

    async def _forward(self, page: _Page) -> None:
        for raw in page.data:
            event = msgspec.json.decode(raw, type=Forwarded)
            answer = await self._sender.send(
                url=self._url,
                webhook_id=event.id,
                timestamp=int(self._clock.timestamp()),
                body=bytes(raw),
                secrets=(self._secret,),
            )
            self.after = event.id
            self._report(event, answer)
        self.after = page.next  # null while the feed holds nothing at all: then from its first event on


def _described(status: int, body: bytes) -> str:
    try:
        problem = msgspec.json.decode(body, type=_Problem)
    except msgspec.DecodeError:
        problem = _Problem()
    return f"{status} {problem.code}: {problem.detail}"
