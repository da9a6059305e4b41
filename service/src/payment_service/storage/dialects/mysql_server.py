"""What a server must be for the service to keep its promises on it; each that is not is refused by name.

The session says the rest itself (`mysql_connector.py`): a strict SQL mode, UTC, the isolation level, time limits.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

COLLATION: Final = "utf8mb4_nopad_bin"
"""MariaDB's, byte by byte; without `nopad` an id and the same with a space behind it would be one."""
OLDEST: Final = (10, 6)
"""Of MariaDB: the first with SKIP LOCKED (mariadb.com/docs/release-notes/community-server/10.6)."""
LEAST_PACKET_BYTES: Final = 4 << 20
"""A webhook has up to 512 KiB, a statement several rows of the outbox."""
VARIABLES: Final = (
    "read_only",
    "version",
    "default_storage_engine",
    "collation_database",
    "log_bin",
    "binlog_format",
    "max_allowed_packet",
    "auto_increment_increment",
    "wsrep_on",
)
"""System variables that a new connection asks for (mariadb.com/docs/server/server-management/variables-and-modes)."""
QUESTION: Final = f"SHOW VARIABLES WHERE Variable_name IN ({', '.join(map(repr, VARIABLES))})"
"""Unlike `SELECT @@…` it is no error where a server has none of the name: `wsrep_on` is an option of the build."""


class UnsuitableServer(ConnectionError):
    """The server cannot be used as it is set up; the message says what to change."""


def takes_writes(found: Mapping[str, str]) -> bool:
    """Tell whether a server takes writes, given its `VARIABLES`; newer ones know several ways not to. Pure."""
    return found["read_only"] == "OFF"


def problems(found: Mapping[str, str]) -> Iterator[str]:
    """Say what is wrong with a server, and how it is mended. Pure.

    Args:
        found: the values of `VARIABLES`, as `QUESTION` answers.
    """
    version = found["version"]
    numbers = tuple(map(int, re.findall(r"\d+", version)[:2]))
    if "MariaDB" not in version or numbers < OLDEST:
        yield f"version {version}: MariaDB from 10.6 on is needed"
        return
    if found["default_storage_engine"].lower() != "innodb":
        yield f"default_storage_engine={found['default_storage_engine']} has no transactions: set it to InnoDB"
    if found["collation_database"] != COLLATION:
        yield (
            f"the database's collation {found['collation_database']} takes different ids for the same: "
            f"ALTER DATABASE … CHARACTER SET utf8mb4 COLLATE {COLLATION}, before payments migrate"
        )
    if found["log_bin"] == "ON" and found["binlog_format"] == "STATEMENT":
        yield "binlog_format=STATEMENT cannot replicate READ COMMITTED: set it to ROW or MIXED"
    if int(found["max_allowed_packet"]) < LEAST_PACKET_BYTES:
        yield f"max_allowed_packet={found['max_allowed_packet']}: set it to {LEAST_PACKET_BYTES} or more"
    if found.get("wsrep_on") == "ON":
        yield "wsrep_on=ON: Galera's nodes do not know each other's locks: use one primary with replicas"
    if int(found["auto_increment_increment"]) != 1:
        yield (
            f"auto_increment_increment={found['auto_increment_increment']} is for several servers that write: "
            "use one primary, and set it to 1"
        )
