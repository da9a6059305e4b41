"""What PostgreSQL's and asyncpg's errors mean (postgresql.org/docs/current/errcodes-appendix.html)."""

from __future__ import annotations

from typing import Final

import asyncpg
from sqlalchemy import exc

from payment_service.storage.dialects.sqlstate import sqlstate

READ_ONLY: Final = "25006"
# SQLSTATE classes and codes that say "not now", not "wrong":
# connection exception, insufficient resources (disk full, too many connections), operator intervention (shutdown),
# system error, read-only transaction (a demoted primary), rolled back for the sake of another transaction, lock not
# available in time, statement not ended in time.
_UNAVAILABLE: Final = ("08", "53", "57P", "58", READ_ONLY, "40", "55P03", "57014")
_COLLISION: Final = frozenset({"40001", "40P01"})
"""Serialization failure, deadlock."""
_BUSY: Final = frozenset({"57014", "55P03"}) | _COLLISION
_NEVER: Final = ("22", "54")
"""A data exception; beyond a limit of the program's."""
_LOCK_NOT_AVAILABLE: Final = "55P03"
_NOT_PERMITTED: Final = frozenset({"42501", "42883", "0A000"})
"""Insufficient privilege; undefined function; feature not supported."""


class PostgreSQLFailures:
    """Tells errors apart."""

    def is_unavailable(self, error: BaseException) -> bool:
        """Tell whether its driver says that it cannot serve now."""
        cause = getattr(getattr(error, "orig", None), "__cause__", None)
        return sqlstate(error).startswith(_UNAVAILABLE) or _is_driver_failure(error) or _is_driver_failure(cause)

    def is_busy(self, error: BaseException) -> bool:
        """Tell whether a statement or a lock took too long, or two transactions collided."""
        return sqlstate(error) in _BUSY

    def is_collision(self, error: BaseException) -> bool:
        """Tell whether a whole transaction was rolled back for the sake of another, which then could go on."""
        return sqlstate(error) in _COLLISION

    def is_lock_timeout(self, error: BaseException) -> bool:
        """Tell whether a statement gave up waiting for a lock."""
        return isinstance(error, exc.DBAPIError) and getattr(error.orig, "sqlstate", None) == _LOCK_NOT_AVAILABLE

    def is_refused_value(self, error: BaseException) -> bool:
        """Tell whether it can never hold a value."""
        return sqlstate(error).startswith(_NEVER)

    def is_not_permitted(self, error: BaseException) -> bool:
        """Tell whether a function is not this login's to call, is not there, or does nothing on this server."""
        return sqlstate(error) in _NOT_PERMITTED


def _is_driver_failure(error: BaseException | None) -> bool:
    """Tell whether asyncpg could not use its connection, by whichever of its two trees says so.

    `InternalClientError` is what a statement meets between the server's last words (57P01) and the closed socket.
    An `InterfaceError` that is a `ValueError` is about the values: trying again cannot help.
    """
    failures = asyncpg.InterfaceError | asyncpg.InternalClientError
    return isinstance(error, failures) and not isinstance(error, ValueError)
