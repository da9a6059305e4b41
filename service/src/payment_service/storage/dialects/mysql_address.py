"""Reads `mariadb://user:password@host1,host2:3306/name?ssl-mode=VERIFY_IDENTITY`, or the same with `mysql://`.

The words are those of the servers' own clients (dev.mysql.com/doc/refman/8.4/en/connection-options.html).
`PREFERRED`, their default, is refused: it falls back to plain text when the server, or who stands between, offers no
TLS. An address that says nothing is verified, unless every host is this machine. Where the chart's `database.ca` gives
every container the authority of the database's certificate, in PostgreSQL's variable, an address need not name it.
"""

from __future__ import annotations

import os
import ssl
from ipaddress import ip_address
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, unquote

SCHEMES: Final = frozenset({"mysql", "mariadb"})
DEFAULT_PORT: Final = 3306
HIGHEST_PORT: Final = 65_535
DISABLED, REQUIRED, VERIFY_CA, VERIFY_IDENTITY = "DISABLED", "REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY"
SSL_MODES: Final = (DISABLED, REQUIRED, VERIFY_CA, VERIFY_IDENTITY)
AUTHORITY: Final = "PGSSLROOTCERT"
"""The variable in which the chart names the authority (postgresql.org/docs/current/libpq-envars.html)."""
SSL_FILES: Final = ("ssl-ca", "ssl-cert", "ssl-key")


class BadAddress(ValueError):
    """The address cannot be used; the message says why, without the password."""


class Address(NamedTuple):
    """Where the servers are, and how to log in."""

    hosts: tuple[tuple[str, int], ...]
    user: str
    password: str
    database: str
    ssl_mode: str
    ca: str | None = None
    """A file with the authorities that are trusted; None: what `AUTHORITY` names, else the system's."""
    certificate: str | None = None
    key: str | None = None


def read_address(url: str) -> Address:
    """Read an address. Pure.

    Raises:
        BadAddress: it is none.
    """
    rest, _, query = url.partition("://")[2].partition("?")
    authority, _, database = rest.partition("/")
    login, _, places = authority.rpartition("@")
    user, _, password = login.partition(":")
    if not database:
        raise BadAddress("the address names no database: mysql://user:password@host:3306/database")
    hosts = tuple(_host(place) for place in places.split(","))
    options = _options(query)
    away = not all(_is_here(host) for host, _ in hosts)
    mode = options.get("ssl-mode", VERIFY_IDENTITY if away or "ssl-ca" in options else DISABLED).upper()
    if mode == "PREFERRED":
        raise BadAddress("ssl-mode=PREFERRED falls back to plain text; use VERIFY_IDENTITY, VERIFY_CA or REQUIRED")
    if mode not in SSL_MODES:
        raise BadAddress(f"ssl-mode={mode[:32]!r} is not one of {', '.join(SSL_MODES)}")
    return Address(
        hosts,
        unquote(user),
        unquote(password),
        unquote(database),
        mode,
        options.get("ssl-ca"),
        options.get("ssl-cert"),
        options.get("ssl-key"),
    )


def tls_context(address: Address) -> ssl.SSLContext | None:
    """Return what the handshake is held to; None: there is none.

    Raises:
        OSError: a file cannot be read.
    """
    if address.ssl_mode == DISABLED:
        return None
    context = ssl.create_default_context(cafile=address.ca or os.environ.get(AUTHORITY) or None)
    context.check_hostname = address.ssl_mode == VERIFY_IDENTITY
    if address.ssl_mode == REQUIRED:
        context.verify_mode = ssl.CERT_NONE
    if address.certificate:
        context.load_cert_chain(address.certificate, address.key)
    return context


def _host(place: str) -> tuple[str, int]:
    host, colon, port = place.rpartition(":")
    if not colon or place.endswith("]"):
        host, port = place, str(DEFAULT_PORT)
    if not host:
        raise BadAddress("the address names no host: mysql://user:password@host:3306/database")
    if not (port.isascii() and port.isdigit() and 0 < int(port) <= HIGHEST_PORT):
        raise BadAddress("a port of the address is not a number from 1 to 65535")
    return host.strip("[]"), int(port)


def _options(query: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in ("ssl-mode", *SSL_FILES):
            raise BadAddress(f"{name[:32]!r} is no option of the address; there are ssl-mode, {', '.join(SSL_FILES)}")
        if name in options:
            raise BadAddress(f"{name} is there twice")
        options[name] = value
    return options


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
