"""Redis or Valkey by URL: plain, TLS, sentinel and cluster. Never the only copy of anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, urlsplit

from redis import asyncio as redis
from redis.asyncio.sentinel import Sentinel
from redis.exceptions import RedisError

if TYPE_CHECKING:
    from payment_service.config.secrets import Secret

CONNECT_SECONDS: Final = 1.0
COMMAND_SECONDS: Final = 1.0
UNAVAILABLE: Final = (RedisError, OSError, TimeoutError)
"""What a command raises when Redis is away."""


def connect(url: Secret) -> Any:
    """Return a client for the address; nothing connects yet.

    `redis://`, `rediss://`; `redis+cluster://` and `rediss+cluster://` name any node of a cluster;
    `redis+sentinel://host1:26379,host2:26379/0?service=mymaster` names the sentinels, `rediss+sentinel://` with TLS to
    them and to the servers. `?ssl_ca_certs=/path` names the authority where TLS is used.
    """
    address = url.reveal()
    options: dict[str, Any] = {
        "socket_connect_timeout": CONNECT_SECONDS,
        "socket_timeout": COMMAND_SECONDS,
        "decode_responses": False,
    }
    scheme, _, rest = address.partition("://")
    if scheme.endswith("+cluster"):
        return redis.RedisCluster.from_url(f"{scheme.removesuffix('+cluster')}://{rest}", **options)
    if scheme.endswith("+sentinel"):
        return _sentinel(rest, options, encrypted=scheme.startswith("rediss"))
    return redis.Redis.from_url(address, **options)


async def close(client: Any) -> None:
    """Close every connection of a client, those to sentinels too, which the library leaves open."""
    pool = getattr(client, "connection_pool", None)
    if pool is None:
        await client.aclose()
        return
    await client.aclose(close_connection_pool=True)
    for sentinel in getattr(getattr(pool, "sentinel_manager", None), "sentinels", ()):
        await sentinel.aclose(close_connection_pool=True)


def _sentinel(rest: str, options: dict[str, Any], *, encrypted: bool) -> Any:
    hosts, _, tail = rest.partition("/")
    credentials, _, addresses = hosts.rpartition("@")
    user, _, password = credentials.partition(":")
    database, _, query = tail.partition("?")
    asked = parse_qs(query)
    service = asked.get("service", ["mymaster"])[0]
    if encrypted:
        options |= {"ssl": True, "ssl_ca_certs": asked.get("ssl_ca_certs", [None])[0]}
    parts = [urlsplit(f"//{host}") for host in addresses.split(",")]
    login: dict[str, Any] = {"username": user or None, "password": password or None} if credentials else {}
    hosts_and_ports = [(part.hostname, part.port or 26379) for part in parts]
    sentinel = Sentinel(hosts_and_ports, sentinel_kwargs=options, **options)  # type: ignore[no-untyped-call] # untyped in the library
    return sentinel.master_for(service, db=int(database or 0), **login, **options)
