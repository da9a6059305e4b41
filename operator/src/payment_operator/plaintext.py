"""Which addresses send passwords and people's data over a network unencrypted.

The service and the operator hold the same file (tests/unit/test_plaintext.py): both connect to the same servers.
"""

from __future__ import annotations

import os
from ipaddress import ip_address
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

ENCRYPTING: Final = frozenset({"require", "verify-ca", "verify-full"})
"""libpq's modes that never fall back to plain text; the default, `prefer`, does when the server, or who stands between,
offers no TLS (postgresql.org/docs/current/libpq-ssl.html#LIBPQ-SSL-PROTECTION)."""
VERIFY: Final = "verify-full"
"""What an address means that names no mode, where the authority of the server's certificate is given."""
MARIADB: Final = frozenset({"mysql", "mariadb"})
MARIADB_PLAIN: Final = frozenset({"disabled", "preferred"})
"""What MariaDB's addresses call it; one that names no mode is verified (`storage/dialects/mysql_address.py`)."""
REDIS_IN_THE_CLEAR: Final = frozenset({"redis", "redis+cluster", "redis+sentinel"})


def misread(url: str) -> str:
    """Return what is wrong with a login whose password ends the address early for a driver; empty: nothing.

    What is read as the host then may be part of the password, and what is read as options is none (RFC 3986,
    section 3.2: `/`, `?` and `#` end the authority).
    """
    path, _, query = url.partition("://")[2].partition("?")
    if "#" in url or "@" in path.partition("/")[2] or ("@" in query and "=" not in query.partition("@")[0]):
        return "a /, ? or # in its password must be percent-encoded: %2F, %3F, %23"
    return ""


def database_in_the_clear(url: str, *, unsaid: str = "") -> str:
    """Return what is wrong with a database's address, such as `sslmode=prefer to db.example.com`; empty: nothing.

    Unix sockets and this machine's own addresses leave no wire to listen on. `unsaid` is the mode of a PostgreSQL
    address that names none; empty: what this process's environment says.
    """
    query = parse_qs(url.partition("?")[2].partition("#")[0])
    if is_mariadb(url):
        said = [mode for mode in query.get("ssl-mode", []) if mode.lower() in MARIADB_PLAIN]
        away = [host for host in _hosts(url) if not is_here(host)]
        return f"ssl-mode={said[0]} to {away[0]}" if said and away else ""
    mode = (query.get("sslmode") or [unsaid or os.environ.get("PGSSLMODE") or "prefer"])[-1]
    if mode in ENCRYPTING:
        return ""
    named = [*_hosts(url), *(host for value in query.get("host", []) for host in value.split(","))]
    hosts = named or (["a service file's host"] if "service" in query else [os.environ.get("PGHOST", "")])
    away = [host for host in hosts if not is_here(host)]
    return f"sslmode={mode} to {away[0]}" if away else ""


def verified(url: str) -> str:
    """Return what an address of a database says when its server is to be verified, or at least to encrypt."""
    return "ssl-mode=VERIFY_IDENTITY (or REQUIRED)" if is_mariadb(url) else f"sslmode={VERIFY} (or require)"


def is_mariadb(url: str) -> bool:
    """Whether an address is MariaDB's."""
    return url.partition("://")[0].partition("+")[0] in MARIADB


def redis_in_the_clear(url: str) -> str:
    """Return what is wrong with a Redis address, such as `redis:// to redis.example.com`; empty: nothing."""
    scheme = url.partition("://")[0]
    away = [host for host in _hosts(url) if not is_here(host)]
    return f"{scheme}:// to {away[0]}" if scheme in REDIS_IN_THE_CLEAR and away else ""


def is_here(host: str) -> bool:
    """Whether a host is this machine: a Unix socket's folder, `localhost` or a loopback address."""
    name = unquote(host).strip("[]").lower()
    if not name or name.startswith(("/", "@")) or name == "localhost":
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def _hosts(url: str) -> list[str]:
    """Return the hosts between `@` and the path; several, separated by commas, may stand there."""
    authority = url.partition("://")[2].partition("/")[0].partition("?")[0].rpartition("@")[2]
    return [_without_port(part) for part in authority.split(",") if part]


def _without_port(part: str) -> str:
    try:
        return urlsplit(f"//{part}").hostname or ""
    except ValueError:
        return part
