"""Connections that end at a checked address: names are looked up once, and what was checked is connected to.

aiohttp asks `CheckedResolver` for the addresses of a name and connects to those, by TLS with the name, so a name server
that answers something else a moment later (DNS rebinding) has no second question to answer. A name with one bad
address is refused whole: whoever mixes them is trying. `open_checked` looks at the very address that a socket is made
for, whatever led there.
"""

from __future__ import annotations

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from payment_service.deliveries.addresses import AddressRefused

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Sequence

    from aiohappyeyeballs import AddrInfoType

    from payment_service.deliveries.addresses import Rules
    from payment_service.http.addresses import Address

    LookUp = Callable[[str], Sequence[str]]

LOOK_UPS: Final = 32
"""Names that are looked up at once. asyncio's own threads, or libuv's four, serve the rest of the process, and a name
server that hangs would hold them; each name holds one of these at most, however many wait for it."""
CACHE_SECONDS: Final = 10
"""How long the checked addresses of a name serve further connections."""
KEPT_SECONDS: Final = 1.5
"""How long a connection waits for the next webhook: less than any common receiver waits (gunicorn 2 s, Node 5 s), or
webhooks would be lost on connections that the other side is just closing."""


def look_up(name: str) -> Sequence[str]:
    """Return the addresses of a name as the system finds them: `/etc/hosts`, search domains, DNS.

    Raises:
        OSError: there are none.
    """
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class CheckedResolver(AbstractResolver):
    """Looks names up and lets those pass of which every address is allowed."""

    def __init__(self, rules: Rules, *, look_up: LookUp) -> None:
        self._rules = rules
        self._look_up = look_up
        self._threads = ThreadPoolExecutor(LOOK_UPS, thread_name_prefix="look-up")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return what to connect to.

        Raises:
            AddressRefused: one of its addresses is not allowed.
            OSError: it has none.
        """
        del family  # both kinds
        found = await asyncio.get_running_loop().run_in_executor(self._threads, self._look_up, host)
        return [self._result(host, port, text) for text in found]

    def _result(self, host: str, port: int, text: str) -> ResolveResult:
        address = _allowed(text, self._rules)
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6  # noqa: PLR2004 - IP's versions
        flags = socket.AI_NUMERICHOST
        return ResolveResult(hostname=host, host=str(address), port=port, family=family, proto=0, flags=flags)

    async def close(self) -> None:
        """Start no further look-up."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def connector(rules: Rules, *, resolver: CheckedResolver, tls: ssl.SSLContext | bool) -> aiohttp.TCPConnector:
    """Return the one connector of a sender; it sets no limit, for receivers that hang would use it up."""

    def open_checked(entry: AddrInfoType) -> socket.socket:
        family, kind, protocol, _, address = entry
        try:
            _allowed(str(address[0]), rules)
        except AddressRefused as error:
            raise PermissionError(str(error)) from error
        return socket.socket(family, kind, protocol)

    return aiohttp.TCPConnector(
        resolver=resolver,
        socket_factory=open_checked,
        ttl_dns_cache=CACHE_SECONDS,
        keepalive_timeout=KEPT_SECONDS,
        limit=0,
        ssl=tls,
    )


def _allowed(text: str, rules: Rules) -> Address:
    """Return the address in `text` if it is allowed."""
    try:
        address = ip_address(text)
    except ValueError as error:
        raise AddressRefused("not an address") from error
    if not rules.allow(address):
        raise AddressRefused("address not allowed")
    return address
