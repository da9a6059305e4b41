"""The only module that talks to MariaDB: it makes the application's logins, proves them and locks them.

The application's rights are a role's there, and each login has it as its default role, which only the login itself may
say unless one may write the server's own tables. The password never reaches the server's logs: it gets its hash.
Every statement can be run again.
"""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any, Final

from payment_operator.clients.mariadb_address import Address, read_address
from payment_operator.errors import DatabaseFault
from payment_operator.resources.login import NOT_OURS, Login, login_of

SECONDS: Final = 10.0
HOST_SECONDS: Final = 5.0
_REFUSED_LOGIN: Final = frozenset({1044, 1045, 1049, 4151})
"""The next host would say the same; 4151: the login is locked (mariadb.com/docs/server/reference/error-codes)."""
_DENIED: Final = frozenset({1044, 1142, 1143, 1227, 1698})
_FIX: Final = "the administrator's GRANTs stand in docs/rotation.md"
_ANYWHERE: Final = "%"
_GLOBAL: Final = re.compile(r"GRANT (.+) ON \*\.\* TO ")
_ENDING: Final = frozenset({"CONNECTION ADMIN", "SUPER", "ALL PRIVILEGES"})


async def prepare_role(*, admin_url: str, url: str, group: str, authority: str = "") -> None:
    """Let the login of `url` in with its password and with the rights of the role `group`, and prove that it is.

    `authority` holds the certificates in PEM that the server is verified by; empty: the URLs say how.

    Raises:
        DatabaseFault: it does not.
    """
    login = login_of(url)
    what = f"the login test of {login.role}"
    async with _connected(admin_url, "the administrator's login", authority) as admin:
        await _make(admin, login, group)
    async with _connected(url, what, authority) as connection:
        await _run(connection, f"SET DEFAULT ROLE {_name(group)}", f"{what}: its default role")
    async with _connected(url, what, authority, database=True) as connection:  # as pods do
        ((role,),) = await _run(connection, "SELECT CURRENT_ROLE()", what)
    if role != group:
        raise DatabaseFault(f"{login.role} does not have the rights of {group}: GRANT {group} TO {login.role}")


async def lock_role(*, admin_url: str, role: str, authority: str = "") -> bool:
    """Let the login in no more and end its sessions; tell whether it was locked: a superuser is left as it is.

    Raises:
        DatabaseFault: MariaDB refuses it.
    """
    async with _connected(admin_url, "the administrator's login", authority) as admin:
        found = await _accounts(admin, role)
        if any(superuser for _, _, superuser in found):
            return False
        for host, is_role, _ in found:
            if not is_role:
                await _run(admin, f"ALTER USER {_text(role)}@{_text(host)} ACCOUNT LOCK", f"locking {role}")
        await _end_sessions(admin, role)
    return True


async def _end_sessions(admin: Any, role: str) -> None:
    """End them; who may not is told by no error: it ends none."""
    what = f"sessions of {role}"
    granted = [
        found[1].split(", ") for row in await _run(admin, "SHOW GRANTS", what) if (found := _GLOBAL.match(row[0]))
    ]
    if _ENDING.isdisjoint(word for words in granted for word in words):
        raise DatabaseFault(f"{what}: the administrator needs CONNECTION ADMIN; {_FIX}")
    await _run(admin, f"KILL USER {_text(role)}", what)


async def _make(admin: Any, login: Login, group: str) -> None:
    if not any(is_role for _, is_role, _ in await _accounts(admin, group)):
        make = f"CREATE ROLE {group}, then payments database grants --role {group} --apply"
        raise DatabaseFault(f"there is no role {group}: {make}")
    found = await _accounts(admin, login.role)
    if any(is_role for _, is_role, _ in found):
        raise DatabaseFault(f"{login.role} is a role and cannot log in: name another in spec.database.rotation.roles")
    word, what = f"IDENTIFIED BY PASSWORD '{native_hash(login.password)}'", f"the password of {login.role}"
    if any(superuser for _, _, superuser in found) or login.role == await _own_name(admin):
        raise DatabaseFault(f"{login.role} {NOT_OURS}")
    if not found:
        await _run(admin, f"CREATE USER IF NOT EXISTS {_text(login.role)}@'{_ANYWHERE}' {word}", what)
    for host in [host for host, _, _ in found] or [_ANYWHERE]:
        account = f"{_text(login.role)}@{_text(host)}"
        await _run(admin, f"ALTER USER {account} {word} ACCOUNT UNLOCK", what)
        await _run(admin, f"GRANT {_name(group)} TO {account}", f"the rights of {group} for {login.role}")


async def _own_name(admin: Any) -> str:
    """Of the administrator's account."""
    ((account,),) = await _run(admin, "SELECT CURRENT_USER()", "the administrator's login")
    return str(account).rpartition("@")[0]


async def _accounts(admin: Any, name: str) -> list[tuple[str, bool, bool]]:
    """The accounts of a name: the host each may come from, whether it is a role, whether it is a superuser."""
    asked = "SELECT Host, is_role = 'Y', Super_priv = 'Y' FROM mysql.user WHERE User = %s"
    found = await _run(admin, asked, f"looking for {name}", values=(name,))
    return [(str(host), bool(is_role), bool(superuser)) for host, is_role, superuser in found]


def native_hash(password: str) -> str:
    """What MariaDB needs to check a password of `mysql_native_password`, as `PASSWORD()` makes it.

    Two rounds of SHA-1: enough for 256 random bits, and what every server and driver knows without a plug-in.
    """
    once = hashlib.sha1(password.encode(), usedforsecurity=False).digest()
    return f"*{hashlib.sha1(once, usedforsecurity=False).hexdigest().upper()}"


async def _run(
    connection: Any, statement: str, what: str, *, values: tuple[str, ...] | None = None
) -> Sequence[Sequence[Any]]:
    try:
        async with connection.cursor() as cursor:
            await cursor.execute(statement, values)
            return list(await cursor.fetchall()) if cursor.description else []
    except Exception as error:
        if _number(error) not in _DENIED:
            raise
        raise DatabaseFault(f"{what}: {_said(error)}; {_FIX}") from error


@asynccontextmanager
async def _connected(url: str, what: str, authority: str, *, database: bool = False) -> AsyncIterator[Any]:
    try:
        async with asyncio.timeout(SECONDS):
            connection = await _first_writable(read_address(url, authority=authority), database=database)
    except (DatabaseFault, OSError, ValueError) as error:
        raise DatabaseFault(f"{what}: {str(error) or type(error).__name__}") from error
    try:
        async with asyncio.timeout(SECONDS):
            yield connection
    except Exception as error:
        if not _is_fault(error):
            raise
        raise DatabaseFault(f"{what}: {_said(error)}") from error
    finally:
        connection.close()


async def _first_writable(address: Address, *, database: bool) -> Any:
    """A connection to the first host that takes writes.

    Raises:
        DatabaseFault: none does, with what each said.
    """
    said = []
    for host, port in address.hosts:
        try:
            async with asyncio.timeout(HOST_SECONDS):  # the driver's own ends before the server's first word
                connection = await import_module("asyncmy").connect(
                    host=host,
                    port=port,
                    user=address.user,
                    password=address.password,
                    database=address.database if database else None,
                    ssl=address.tls,
                    charset="utf8mb4",
                    connect_timeout=HOST_SECONDS,
                    autocommit=True,
                )
        except Exception as error:
            if not _is_fault(error):
                raise
            if _number(error) in _REFUSED_LOGIN:
                raise DatabaseFault(_said(error)) from error
            said.append(f"{host}:{port}: {_said(error)}")
            continue
        ((writable,),) = await _run(connection, "SELECT CONCAT(@@global.read_only) IN ('0', 'OFF')", "the server")
        if writable:
            return connection
        connection.close()
        said.append(f"{host}:{port}: takes no writes")
    raise DatabaseFault("; ".join(said))


def _is_fault(error: Exception) -> bool:
    """Whether the driver, the network or the time limit says no; anything else is a fault of ours."""
    return isinstance(error, OSError | TimeoutError) or type(error).__module__.startswith("asyncmy")


def _number(error: Exception) -> int:
    number = error.args[0] if type(error).__module__.startswith("asyncmy") and error.args else 0
    return number if isinstance(number, int) else 0


def _said(error: Exception) -> str:
    """The server's words; neither it nor the driver quotes a password."""
    words = error.args[-1] if _number(error) else error
    return str(words) or type(error).__name__


def _name(name: str) -> str:
    """Quote an identifier (mariadb.com/docs/server/reference/sql-structure/sql-language-structure)."""
    return "`" + name.replace("`", "``") + "`"


def _text(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"
