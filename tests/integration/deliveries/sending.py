"""A sender that may reach one address of this machine, and what the process connects to."""

from __future__ import annotations

import sys
from contextlib import asynccontextmanager, contextmanager
from ipaddress import ip_network
from typing import TYPE_CHECKING, NamedTuple

from payment_service.deliveries.addresses import Rules
from payment_service.deliveries.connections import look_up as look_up_by_system
from payment_service.deliveries.sender import Answer, Sender
from payment_service.deliveries.signing import make_secret

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

    from payment_service.deliveries.connections import LookUp

RECEIVER = "127.0.0.1"
"""Allowed; all others of 127.0.0.0/8 are not."""
RULES = Rules(plain_http=True, networks=(ip_network(RECEIVER),))
SECRET = make_secret()
BODY = b'{"type": "invoice.paid"}'


class Watched(NamedTuple):
    """What this process did."""

    connected: list[str]
    """Addresses that sockets were connected to: most of those refused have no server here that could count."""
    asked: list[str]
    """Names that the system was asked for."""


_now: list[Watched] = []


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    for watched in _now:
        if event == "socket.connect" and isinstance(arguments[1], tuple):
            watched.connected.append(str(arguments[1][0]))
        elif event == "socket.getaddrinfo":
            watched.asked.append(str(arguments[0]))


sys.addaudithook(_watch)  # for good: Python takes none back


@contextmanager
def watching() -> Iterator[Watched]:
    """Note what sockets do meanwhile."""
    watched = Watched([], [])
    _now.append(watched)
    try:
        yield watched
    finally:
        _now.remove(watched)


@asynccontextmanager
async def running_sender(
    *,
    rules: Rules = RULES,
    look_up: LookUp = look_up_by_system,
    tls: ssl.SSLContext | bool = True,
    timeout_seconds: float = 15.0,
) -> AsyncIterator[Sender]:
    """Make a sender, and close it."""
    sender = Sender(rules, version="9", look_up=look_up, tls=tls, timeout_seconds=timeout_seconds)
    try:
        yield sender
    finally:
        await sender.close()


async def send(
    sender: Sender,
    url: str,
    *,
    secrets: Sequence[str] = (SECRET,),
    headers: Mapping[str, str] | None = None,
    timestamp: int = 1_800_000_000,
) -> Answer:
    """Send one webhook."""
    return await sender.send(
        url=url, webhook_id="evt_1", timestamp=timestamp, body=BODY, secrets=secrets, headers=headers
    )


def always(*addresses: str) -> LookUp:
    """Give every name these addresses."""
    return lambda _: addresses
