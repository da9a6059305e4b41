"""Reads MariaDB's addresses as the service reads them (its `storage/dialects/mysql_address.py`)."""

import ssl
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, unquote

from payment_operator.plaintext import is_here
from payment_operator.resources.login import login_of

PORT: Final = 3306
_DISABLED, _REQUIRED, _CA, _IDENTITY = "DISABLED", "REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY"


@dataclass(frozen=True)
class Address:
    """Where the servers are, who logs in, and what the handshake is held to; None: there is none."""

    hosts: tuple[tuple[str, int], ...]
    user: str
    password: str = field(repr=False)
    database: str
    tls: ssl.SSLContext | None


def read_address(url: str, *, authority: str = "") -> Address:
    """Read an address; `authority` holds certificates in PEM, for one that names none itself.

    Raises:
        ValueError: it is none; the words quote nothing of it but the mode.
        OSError: a file that it names cannot be read.
    """
    rest, _, query = url.partition("://")[2].partition("?")
    logged_in, _, database = rest.partition("/")
    hosts = tuple(_host(place) for place in logged_in.rpartition("@")[2].split(","))
    login = login_of(url)
    tls = _tls(dict(parse_qsl(query)), here=all(is_here(host) for host, _ in hosts), authority=authority)
    return Address(hosts, login.role, login.password, unquote(database), tls)


def _tls(options: dict[str, str], *, here: bool, authority: str) -> ssl.SSLContext | None:
    file = options.get("ssl-ca")
    mode = options.get("ssl-mode", _DISABLED if here and not file else _IDENTITY).upper()
    if mode == _DISABLED:
        return None
    if mode not in {_REQUIRED, _CA, _IDENTITY}:
        raise ValueError(f"ssl-mode={mode[:32]!r} is none of {_IDENTITY}, {_CA}, {_REQUIRED}, {_DISABLED}")
    context = ssl.create_default_context(cafile=file, cadata=None if file else authority or None)
    context.check_hostname = mode == _IDENTITY
    if mode == _REQUIRED:
        context.verify_mode = ssl.CERT_NONE
    if certificate := options.get("ssl-cert"):
        context.load_cert_chain(certificate, options.get("ssl-key"))
    return context


def _host(place: str) -> tuple[str, int]:
    host, colon, port = place.rpartition(":")
    if not colon or place.endswith("]"):
        host, port = place, str(PORT)
    if not host or not port.isdigit():
        raise ValueError("its URL cannot be read: percent-encode special characters of the password")
    return host.strip("[]"), int(port)
