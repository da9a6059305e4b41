"""Connects to MariaDB: the hosts of an address in turn, each with a time limit of its own."""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from payment_service.storage.dialects.mysql_address import read_address, tls_context
from payment_service.storage.dialects.mysql_failures import REFUSED_LOGIN, error_number
from payment_service.storage.dialects.mysql_server import COLLATION, QUESTION, UnsuitableServer, problems, takes_writes

if TYPE_CHECKING:
    from payment_service.config.secrets import Secret
    from payment_service.config.settings import DatabaseSettings
    from payment_service.storage.dialects.mysql_address import Address

CONNECT_TIMEOUT_SECONDS: Final = 5.0
LEAST_HOST_SECONDS: Final = 1.5
SERVER_GRACE_SECONDS: Final = 5.0
"""How much later than the client the server gives a statement up, as with PostgreSQL."""
IDLE_IN_TRANSACTION_SECONDS: Final = 30
FOUND_ROWS: Final = 2
"""A flag of the protocol: an UPDATE counts the rows it finds, not those it changes, as everywhere else."""
SQL_MODE: Final = (
    "STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"
    ",NO_AUTO_CREATE_USER"  # else a GRANT to a login that is not there makes it, without a password
)


class NoServerTakesWrites(ConnectionError):
    """No host of the address can be used now."""


class MySQLConnector:
    """Opens connections to one address.

    The password is taken from the secret at each new connection, so that a rotated one is picked up.

    Args:
        url: the address.
        settings: time limits.
        application_name: shown in `performance_schema.session_connect_attrs`.
        replica: take a host that is read-only if there is one, else any; otherwise only a host that takes writes.
    """

    def __init__(
        self, url: Secret, *, settings: DatabaseSettings, application_name: str, replica: bool = False
    ) -> None:
        self._url = url
        self._limit = settings.statement_timeout_seconds
        self._lock_seconds = max(1, round(settings.lock_timeout_seconds))
        self._application_name = application_name
        self._replica = replica
        self._last_good: tuple[str, int] | None = None

    async def connect(self, *_: object, **__: object) -> Any:
        """Return a connection to the first host that can be used.

        Raises:
            NoServerTakesWrites: no host does.
            UnsuitableServer: the only host is not set up as it must be.
            TimeoutError: the only host does not answer.
            Exception: what the driver raises for a refused login, or for the only host.
        """
        address = read_address(self._url.reveal())
        hosts = sorted(address.hosts, key=lambda host: host != self._last_good)
        seconds = max(LEAST_HOST_SECONDS, CONNECT_TIMEOUT_SECONDS / len(hosts))
        reasons, spare = [], None
        for host in hosts:
            try:
                async with asyncio.timeout(seconds):  # the driver's own ends before the server's first word
                    connection, writable = await self._open(address, host)
            except Exception as error:
                if len(hosts) == 1 or error_number(error) in REFUSED_LOGIN:
                    raise
                said = str(error) if isinstance(error, UnsuitableServer) else type(error).__name__
                reasons.append(f"{host[0]}:{host[1]}: {said}")
                continue
            if writable != self._replica:
                self._last_good = host
                _close(spare)
                return connection
            reasons.append(f"{host[0]}:{host[1]}: takes no writes")
            _close(spare)
            spare = connection
        if self._replica and spare is not None:
            return spare
        _close(spare)
        raise NoServerTakesWrites("; ".join(reasons))

    async def _open(self, address: Address, host: tuple[str, int]) -> tuple[Any, bool]:
        """Return a connection and whether it takes writes."""
        driver = import_module("asyncmy")
        connection = await driver.connect(
            host=host[0],
            port=host[1],
            user=address.user,
            password=address.password,
            database=address.database,
            ssl=tls_context(address),
            charset="utf8mb4",
            client_flag=FOUND_ROWS,
            connect_timeout=CONNECT_TIMEOUT_SECONDS,
            read_timeout=self._limit,
            program_name=self._application_name,
        )
        try:
            async with connection.cursor() as cursor:
                writable = await _takes_writes(cursor)
                for statement in self._session():
                    await cursor.execute(statement)
        except BaseException:
            connection.close()
            raise
        return connection, writable

    def _session(self) -> tuple[str, ...]:
        """Return what a session begins with. Pure."""
        limit = self._limit + SERVER_GRACE_SECONDS
        return (
            f"SET NAMES utf8mb4 COLLATE {COLLATION}",
            f"SET SESSION sql_mode='{SQL_MODE}', time_zone='+00:00', sql_notes=0",
            f"SET SESSION innodb_lock_wait_timeout={self._lock_seconds}, lock_wait_timeout={self._lock_seconds}",
            f"SET SESSION max_statement_time={limit}, idle_transaction_timeout={IDLE_IN_TRANSACTION_SECONDS}",
            "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
        )


async def _takes_writes(cursor: Any) -> bool:
    """Tell it; raises UnsuitableServer."""
    await cursor.execute(QUESTION)
    found = dict(await cursor.fetchall())
    if wrong := list(problems(found)):
        raise UnsuitableServer("; ".join(wrong))
    return takes_writes(found)


def _close(connection: Any | None) -> None:
    if connection is not None:
        connection.close()
