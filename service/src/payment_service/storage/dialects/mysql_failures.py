"""What MariaDB's errors mean (mariadb.com/docs/server/reference/error-codes)."""

from __future__ import annotations

from typing import Final

DUPLICATE_KEY: Final = 1062
NOT_NULL: Final = 1048
LOCK_WAIT_TIMEOUT: Final = 1205
REFUSED_LOGIN: Final = frozenset({1044, 1045, 1049, 4151})
"""The next host would say the same; 4151: the login is locked."""
READ_ONLY: Final = frozenset({1290, 1792, 1836})
"""The server, this transaction, or what the server calls read-only mode."""
DEADLOCK: Final = 1213
_BUSY: Final = frozenset({LOCK_WAIT_TIMEOUT, DEADLOCK, 1969, 3024, 3572})
"""A lock was waited for too long; a deadlock; a statement took too long (MariaDB's code, MySQL's); NOWAIT."""
_NOT_NOW: Final = frozenset(
    {
        *(1021, 1037, 1038, 1041, 1114),  # disk, memory or table full
        *(1040, 1129, 1203, 1226),  # too many connections
        *(1053, 1077, 1079, 1927, 3169),  # shutdown, or a killed connection
        *(1152, 1158, 1159, 1160, 1161, 1184),  # the network
        *(2002, 2003, 2005, 2006, 2012, 2013, 2014, 2026, 2055),  # as the client sees it
    }
)
_NEVER: Final = frozenset({1264, 1265, 1292, 1300, 1366, 1406, 3140, 3141, 4025})
"""Out of range, truncated, no such value, not the character set's, too long, no JSON, against a constraint."""
_NOT_PERMITTED: Final = frozenset({1142, 1227, 1305, 1370})


class MySQLFailures:
    """Tells errors apart by their numbers."""

    def is_unavailable(self, error: BaseException) -> bool:
        """Tell whether its driver says that it cannot serve now."""
        return error_number(error) in _NOT_NOW | _BUSY | READ_ONLY

    def is_busy(self, error: BaseException) -> bool:
        """Tell whether a statement or a lock took too long, or two transactions collided."""
        return error_number(error) in _BUSY

    def is_collision(self, error: BaseException) -> bool:
        """Tell whether a whole transaction was rolled back for the sake of another, which then could go on."""
        return error_number(error) == DEADLOCK

    def is_lock_timeout(self, error: BaseException) -> bool:
        """Tell whether a statement gave up waiting for a lock."""
        return error_number(error) == LOCK_WAIT_TIMEOUT

    def is_refused_value(self, error: BaseException) -> bool:
        """Tell whether it can never hold a value."""
        return error_number(error) in _NEVER

    def is_not_permitted(self, error: BaseException) -> bool:
        """Tell whether a function is not this login's to call, or is not there."""
        return error_number(error) in _NOT_PERMITTED


def is_duplicate(error: BaseException, *, column: str) -> bool:
    """Tell whether a row is there already: a key says it, or this column, which is set to null for that."""
    number = error_number(error)
    return number == DUPLICATE_KEY or (number == NOT_NULL and f"'{column}'" in str(getattr(error, "orig", error)))


def error_number(error: BaseException) -> int:
    """Return the number of the driver's error, or of SQLAlchemy's around it; 0: it is another's."""
    original = getattr(error, "orig", None) or error
    if not type(original).__module__.startswith("asyncmy") or not original.args:
        return 0
    number = original.args[0]
    return number if isinstance(number, int) else 0
