"""The application's logins, in whichever database the administrator's address names."""

from payment_operator.clients import mariadb, postgresql
from payment_operator.clients.protocols import DatabaseRoles
from payment_operator.plaintext import is_mariadb


async def prepare_role(*, admin_url: str, url: str, group: str, authority: str = "") -> None:
    """Let the role of `url` log in with its password and with the rights of `group`, and prove that it does.

    Raises:
        DatabaseFault: it does not.
    """
    await _of(admin_url).prepare_role(admin_url=admin_url, url=url, group=group, authority=authority)


async def lock_role(*, admin_url: str, role: str, authority: str = "") -> bool:
    """Let the role log in no more and end its sessions; tell whether it was locked: a superuser is left as it is.

    Raises:
        DatabaseFault: the database refuses it.
    """
    return await _of(admin_url).lock_role(admin_url=admin_url, role=role, authority=authority)


def _of(url: str) -> DatabaseRoles:
    return mariadb if is_mariadb(url) else postgresql
