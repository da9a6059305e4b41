"""Connects to PostgreSQL: the hosts of an address in turn, each with a time limit of its own.

asyncpg tries several hosts too, but under one time limit, so that a first host that does not answer at all leaves no
time for the second; after a failover that is the usual case. The address itself is given to asyncpg as the user wrote
it: `sslmode`, `sslrootcert` and the rest mean what they mean to libpq
(postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING).
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any, Final

import asyncpg
from asyncpg.connect_utils import SessionAttribute
from asyncpg.exceptions import TargetServerAttributeNotMatched

if TYPE_CHECKING:
    from payment_service.config.secrets import Secret
    from payment_service.config.settings import DatabaseSettings

CONNECT_TIMEOUT_SECONDS: Final = 5.0
LEAST_HOST_SECONDS: Final = 1.5
DEFAULT_PORT: Final = 5432
IDLE_IN_TRANSACTION_MILLISECONDS: Final = 30_000
SERVER_GRACE_SECONDS: Final = 5.0
"""How much later than the client the server gives a statement up.

The client must be first: a statement time limit that ends the wait for a synchronous standby makes the server answer
COMMIT with success and a warning (postgresql.org/docs/current/warm-standby.html#SYNCHRONOUS-REPLICATION), although
the write may be lost with the primary.
"""
_UNANSWERED_MILLISECONDS: Final = 5000
_TCP_OPTIONS: Final = (
    (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
    (socket.IPPROTO_TCP, "TCP_KEEPIDLE", 5),
    (socket.IPPROTO_TCP, "TCP_KEEPINTVL", 2),
    (socket.IPPROTO_TCP, "TCP_KEEPCNT", 3),
    (socket.IPPROTO_TCP, "TCP_USER_TIMEOUT", _UNANSWERED_MILLISECONDS),
)
"""A host that vanished without a word is noticed within seconds instead of the system's quarter of an hour."""


class NoHostAnswers(ConnectionError):
    """No host of the address can be used now."""


def plain_dsn(url: str) -> str:
    """Drop SQLAlchemy's driver suffix: `postgresql+asyncpg://` becomes `postgresql://`."""
    scheme, _, rest = url.partition("://")
    return f"{scheme.partition('+')[0]}://{rest}"


def hosts_of(dsn: str) -> list[tuple[str, int]]:
    """Return the hosts and ports between `@` and the path; none when they stand elsewhere (`?host=`, a service)."""
    authority = dsn.partition("://")[2].partition("/")[0].partition("?")[0].rpartition("@")[2]
    found = []
    for part in filter(None, authority.split(",")):
        host, colon, port = part.rpartition(":")
        if not colon or part.endswith("]"):
            host, port = part, ""
        found.append((host.strip("[]"), int(port or DEFAULT_PORT)))
    return found


class Connector:
    """Opens connections to one address.

    The password is taken from the secret at each new connection, so that a rotated one is picked up.

    Args:
        url: the address.
        settings: time limits.
        application_name: shown in `pg_stat_activity`.
        replica: take a standby if there is one, else any host; otherwise only a host that takes writes.
    """

    def __init__(
        self, url: Secret, *, settings: DatabaseSettings, application_name: str, replica: bool = False
    ) -> None:
        self._url = url
        self._limit = settings.statement_timeout_seconds
        self._attributes = SessionAttribute.prefer_standby if replica else SessionAttribute.read_write
        self._replica = replica
        self._last_good: tuple[str, int] | None = None
        self._server_settings = {
            "application_name": application_name,
            "statement_timeout": str(int((self._limit + SERVER_GRACE_SECONDS) * 1000)),
            "lock_timeout": str(int(settings.lock_timeout_seconds * 1000)),
            "idle_in_transaction_session_timeout": str(IDLE_IN_TRANSACTION_MILLISECONDS),
        }

    async def connect(self) -> asyncpg.Connection[Any]:
        """Return a connection to the first host that can be used.

        Raises:
            NoHostAnswers: none of several hosts.
            Exception: what the driver raises for a refused login, or for the only host.
        """
        dsn = plain_dsn(self._url.reveal())
        hosts = hosts_of(dsn)
        if len(hosts) <= 1 or self._replica:
            return await self._open(dsn, CONNECT_TIMEOUT_SECONDS)
        hosts.sort(key=lambda host: host != self._last_good)
        seconds = max(LEAST_HOST_SECONDS, CONNECT_TIMEOUT_SECONDS / len(hosts))
        reasons = []
        for host, port in hosts:
            try:
                connection = await self._open(dsn, seconds, host=host, port=port)
            except (OSError, NoHostAnswers) as error:
                reasons.append(f"{host}:{port}: {str(error) or type(error).__name__}")
            else:
                self._last_good = (host, port)
                return connection
        raise NoHostAnswers("; ".join(reasons))

    async def _open(self, dsn: str, seconds: float, **host: Any) -> asyncpg.Connection[Any]:
        try:
            connection: asyncpg.Connection[Any] = await asyncpg.connect(
                dsn,
                **host,
                timeout=seconds,
                command_timeout=self._limit,
                target_session_attrs=self._attributes,
                server_settings=self._server_settings,
            )
        except TargetServerAttributeNotMatched as error:
            raise NoHostAnswers("takes no writes") from error
        except asyncpg.CannotConnectNowError as error:
            raise NoHostAnswers("is starting or stopping") from error
        _watch(connection)
        return connection


def _watch(connection: asyncpg.Connection[Any]) -> None:
    """Make the system tell soon of a peer that vanished; a Unix socket needs none of it."""
    transport: Any = connection._transport  # type: ignore[attr-defined] # noqa: SLF001 - asyncpg offers no other way
    peer = transport.get_extra_info("socket")
    if peer is None or peer.family == socket.AF_UNIX:
        return
    for level, name, value in _TCP_OPTIONS:
        if hasattr(socket, name):
            peer.setsockopt(level, getattr(socket, name), value)
