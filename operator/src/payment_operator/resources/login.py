"""User and password in a database's URL; all else of it stays as the user wrote it."""

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, unquote

NOT_OURS: Final = (
    "may do more than an application's login, and keeps its password: name another in spec.database.rotation.roles"
)
"""Of a login that manages the server: a rotation that named it would lock out who needs it."""


@dataclass(frozen=True)
class Login:
    """A role and its password."""

    role: str
    password: str = field(default="", repr=False)


def login_of(url: str) -> Login:
    """Who logs in with this URL; an empty role when it names none."""
    user, _, password = _split(url)[1].partition(":")
    return Login(unquote(user), unquote(password))


def with_login(url: str, login: Login) -> str:
    """The URL with another login."""
    scheme, _, rest = _split(url)
    return f"{scheme}://{quote(login.role, safe='')}:{quote(login.password, safe='')}@{rest}"


def _split(url: str) -> tuple[str, str, str]:
    """Scheme, user information, and what follows it (RFC 3986, 3.2.1); several hosts are libpq's own form."""
    scheme, _, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    user, at, hosts = authority.rpartition("@")
    return scheme, user if at else "", hosts + slash + path
