"""A database's roles in memory: who logs in with which password, and what an administrator may do to them."""

from dataclasses import dataclass, field

from payment_operator.errors import DatabaseFault
from payment_operator.resources.login import login_of


@dataclass
class InMemoryRoles:
    """Roles by name; the administrator is whoever the URL names."""

    passwords: dict[str, tuple[str, bool]] = field(default_factory=dict)
    """Password and whether it logs in, by role."""
    superusers: set[str] = field(default_factory=set)
    fault: str = ""
    """Why nothing is done; empty: it is."""

    async def prepare_role(self, *, admin_url: str, url: str, group: str, authority: str = "") -> None:
        """Let the role of `url` log in with its password; the group must be there."""
        del admin_url, authority
        self._answer()
        if group not in self.passwords:
            raise DatabaseFault(f"there is no role {group}: make it")
        login = login_of(url)
        self.passwords[login.role] = (login.password, True)

    async def lock_role(self, *, admin_url: str, role: str, authority: str = "") -> bool:
        """Let the role log in no more; a superuser is left as it is."""
        del admin_url, authority
        self._answer()
        if role in self.superusers:
            return False
        if role in self.passwords:
            self.passwords[role] = (self.passwords[role][0], False)
        return True

    def logs_in(self, url: str) -> bool:
        """Whether the database takes this login."""
        login = login_of(url)
        return self.passwords.get(login.role) == (login.password, True)

    def _answer(self) -> None:
        if self.fault:
            raise DatabaseFault(self.fault)
