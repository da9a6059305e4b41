"""Redis or Valkey by URL: plain, TLS, sentinel and cluster. Never the only copy of anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, Self, TypedDict, cast
from urllib.parse import parse_qs, urlsplit

from redis import asyncio as redis
from redis.asyncio.sentinel import Sentinel
from redis.exceptions import RedisError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from payment_service.config.secrets import Secret


class Script(Protocol):
    """A script that the server runs; what it answers depends on the script."""

    async def __call__(self, keys: Sequence[str], args: Sequence[str | int | bytes]) -> object:
        """Run it."""


class Message(TypedDict):
    """What comes over a channel."""

    type: str
    channel: bytes | None
    """None: it answers a ping."""
    data: bytes


class Channel(Protocol):
    """Publish and subscribe, over one connection."""

    async def __aenter__(self) -> Self:
        """Take a connection."""

    async def __aexit__(self, *_: object) -> None:
        """Give it back."""

    async def subscribe(self, *channels: str) -> object:
        """Listen."""

    async def ping(self) -> object:
        """Ask for a sign of life, which comes as a message."""

    async def get_message(self, *, ignore_subscribe_messages: bool, timeout: float) -> Message | None:  # noqa: ASYNC109 - the library's signature
        """Return the next message; None: none came in time."""


class RedisClient(Protocol):
    """What is used of a client, of one server or of a cluster."""

    def register_script(self, script: str) -> Script:
        """Return a script."""

    def pubsub(self) -> Channel:
        """Return a channel."""

    async def initialize(self) -> object:
        """Learn the nodes of a cluster."""

    async def ping(self) -> object:
        """Ask for a sign of life."""

    async def time(self) -> tuple[int, int]:
        """Return the server's time, in seconds and microseconds."""

    async def get(self, name: str) -> bytes | None:
        """Read."""

    async def set(self, name: str, value: str | int | bytes, *, px: int | None = None) -> object:
        """Write, for so many milliseconds."""

    async def delete(self, *names: str) -> object:
        """Remove."""

    async def publish(self, channel: str, message: str) -> object:
        """Tell all who listen."""

    async def aclose(self, *, close_connection_pool: bool | None = None) -> None:
        """Close the connections."""


class _Options(TypedDict, total=False):
    """How connections are made."""

    socket_connect_timeout: float
    socket_timeout: float
    decode_responses: bool
    ssl: bool
    ssl_ca_certs: str | None


class _Login(TypedDict, total=False):
    username: str | None
    password: str | None


CONNECT_SECONDS: Final = 1.0
COMMAND_SECONDS: Final = 1.0
UNAVAILABLE: Final = (RedisError, OSError, TimeoutError)
"""What a command raises when Redis is away."""


def connect(url: Secret) -> RedisClient:
    """Return a client for the address; nothing connects yet.

    `redis://`, `rediss://`; `redis+cluster://` and `rediss+cluster://` name any node of a cluster;
    `redis+sentinel://host1:26379,host2:26379/0?service=mymaster` names the sentinels, `rediss+sentinel://` with TLS to
    them and to the servers. `?ssl_ca_certs=/path` names the authority where TLS is used.
    """
    address = url.reveal()
    options: _Options = {
        "socket_connect_timeout": CONNECT_SECONDS,
        "socket_timeout": COMMAND_SECONDS,
        "decode_responses": False,
    }
    scheme, _, rest = address.partition("://")
    if scheme.endswith("+cluster"):
        cluster = redis.RedisCluster.from_url(f"{scheme.removesuffix('+cluster')}://{rest}", **options)
        return cast("RedisClient", cluster)
    if scheme.endswith("+sentinel"):
        return _sentinel(rest, options, encrypted=scheme.startswith("rediss"))
    return cast("RedisClient", redis.Redis.from_url(address, **options))


async def close(client: RedisClient) -> None:
    """Close every connection of a client, those to sentinels too, which the library leaves open."""
    pool = getattr(client, "connection_pool", None)
    if pool is None:
        await client.aclose()
        return
    await client.aclose(close_connection_pool=True)
    for sentinel in getattr(getattr(pool, "sentinel_manager", None), "sentinels", ()):
        await sentinel.aclose(close_connection_pool=True)


def _sentinel(rest: str, options: _Options, *, encrypted: bool) -> RedisClient:
    hosts, _, tail = rest.partition("/")
    credentials, _, addresses = hosts.rpartition("@")
    user, _, password = credentials.partition(":")
    database, _, query = tail.partition("?")
    asked = parse_qs(query)
    service = asked.get("service", ["mymaster"])[0]
    if encrypted:
        options["ssl"], options["ssl_ca_certs"] = True, next(iter(asked.get("ssl_ca_certs", ())), None)
    parts = [urlsplit(f"//{host}") for host in addresses.split(",")]
    login = _Login(username=user or None, password=password or None) if credentials else _Login()
    hosts_and_ports = [(part.hostname, part.port or 26379) for part in parts]
    sentinel = Sentinel(hosts_and_ports, sentinel_kwargs=options, **options)  # type: ignore[no-untyped-call] # untyped in the library
    return cast("RedisClient", sentinel.master_for(service, db=int(database or 0), **login, **options))
