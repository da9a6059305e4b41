"""The only module that talks to PostgreSQL: it makes the application's roles, proves their login and locks them.

The password never reaches the server: it gets a SCRAM verifier. Every statement can be run again.
"""

import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final
from urllib.parse import parse_qs, urlencode

import asyncpg
from asyncpg.connect_utils import SessionAttribute

from payment_operator.clients.scram import verifier
from payment_operator.errors import DatabaseFault
from payment_operator.plaintext import VERIFY
from payment_operator.resources.login import NOT_OURS, Login, login_of

SECONDS: Final = 10.0
PER_GRANT: Final = 16
"""From this version on each membership says whether it inherits (postgresql.org/docs/16/release-16.html)."""
_FAULTS: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError, ValueError)


async def prepare_role(*, admin_url: str, url: str, group: str, authority: str = "") -> None:
    """Let the role of `url` log in with its password and with the rights of `group`, and prove that it does.

    `authority` holds the certificates in PEM that the server is verified by; empty: the URLs say how.

    Raises:
        DatabaseFault: it does not.
    """
    login = login_of(url)
    async with _connected(admin_url, "the administrator's login", authority) as admin:
        await _make(admin, login, group)
    async with _connected(url, f"the login test of {login.role}", authority) as connection:
        member = await connection.fetchval("SELECT pg_has_role(current_user, $1, 'USAGE')", group)
    if not member:
        raise DatabaseFault(f"{login.role} does not have the rights of {group}: GRANT {group} TO {login.role}")


async def lock_role(*, admin_url: str, role: str, authority: str = "") -> bool:
    """Let the role log in no more and end its sessions; tell whether it was locked: a superuser is left as it is.

    Raises:
        DatabaseFault: PostgreSQL refuses it.
    """
    async with _connected(admin_url, "the administrator's login", authority) as admin:
        superuser = await admin.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = $1", role)
        if superuser:
            return False
        if superuser is not None:
            await _run(admin, f"ALTER ROLE {_quoted(role)} NOLOGIN", f"locking {role}")
        try:
            await admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1 AND pid <> pg_backend_pid()",
                role,
            )
        except asyncpg.InsufficientPrivilegeError as error:
            raise DatabaseFault(f"sessions of {role}: {error}; GRANT pg_signal_backend to the administrator") from error
    return True


async def _make(admin: "asyncpg.Connection[Any]", login: Login, group: str) -> None:
    if await admin.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", group) is None:
        raise DatabaseFault(f"there is no role {group}: make it, then payments database grants --role {group} --apply")
    known = await admin.fetchrow(
        "SELECT rolsuper OR rolcreaterole OR rolname = current_user AS kept FROM pg_roles WHERE rolname = $1",
        login.role,
    )
    if known is not None and known["kept"]:
        raise DatabaseFault(f"{login.role} {NOT_OURS}")
    role, secret = _quoted(login.role), verifier(login.password)
    verb = "ALTER" if known else "CREATE"
    await _run(admin, f"{verb} ROLE {role} LOGIN INHERIT PASSWORD '{secret}'", f"the password of {login.role}")
    if not await admin.fetchval("SELECT pg_has_role($1, $2, 'USAGE')", login.role, group):
        inherits = " WITH INHERIT TRUE" if admin.get_server_version().major >= PER_GRANT else ""
        await _run(admin, f"GRANT {_quoted(group)} TO {role}{inherits}", f"the rights of {group} for {login.role}")


async def _run(admin: "asyncpg.Connection[Any]", statement: str, what: str) -> None:
    try:
        await admin.execute(statement)
    except asyncpg.InsufficientPrivilegeError as error:
        fix = "the administrator needs CREATEROLE and, from PostgreSQL 16 on, GRANT … WITH ADMIN OPTION on the role"
        raise DatabaseFault(f"{what}: {error}; {fix}") from error


@asynccontextmanager
async def _connected(url: str, what: str, authority: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    scheme, _, rest = url.partition("://")
    dsn = f"{scheme.partition('+')[0]}://{rest}"
    try:
        with _authority_file(authority) as file:
            connection = await asyncpg.connect(
                _verifying(dsn, file) if file else dsn,
                timeout=SECONDS,
                command_timeout=SECONDS,
                target_session_attrs=SessionAttribute.read_write,
            )
    except _FAULTS as error:
        raise DatabaseFault(f"{what}: {login_error(error)}") from error
    try:
        yield connection
    except DatabaseFault:
        raise
    except _FAULTS as error:
        raise DatabaseFault(f"{what}: {str(error) or type(error).__name__}") from error
    finally:
        connection.terminate()


@contextmanager
def _authority_file(authority: str) -> Iterator[str]:
    """The certificates as a file, for as long as a connection is made; empty without them."""
    if not authority:
        yield ""
        return
    with tempfile.NamedTemporaryFile("w", suffix=".crt") as file:
        file.write(authority)
        file.flush()
        yield file.name


def _verifying(dsn: str, file: str) -> str:
    """The address with what pods have in PGSSLMODE and PGSSLROOTCERT, unless it says otherwise itself."""
    dsn = dsn.rstrip("?&")
    given = parse_qs(dsn.partition("?")[2])
    added = {"sslmode": VERIFY, "sslrootcert": file}
    more = urlencode({name: value for name, value in added.items() if name not in given})
    return f"{dsn}{'&' if given else '?'}{more}" if more else dsn


def login_error(error: Exception) -> str:
    """What may be told of a failed login: a URL that cannot be read is quoted in its error, the password with it."""
    if isinstance(error, ValueError) and not isinstance(error, OSError):  # a refused certificate is both
        return "its URL cannot be read: percent-encode special characters of the password"
    return str(error) or type(error).__name__


def _quoted(name: str) -> str:
    """Quote an identifier (postgresql.org/docs/current/sql-syntax-lexical.html)."""
    return '"' + name.replace('"', '""') + '"'
