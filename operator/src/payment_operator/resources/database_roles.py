"""The record of the database's role rotation: one Secret of the operator's own, written before anything is done.

`next` is the login that is being made; nothing uses it. `current` is the login that revisions get; the Secret's write
that moves `next` there is the rotation's commit. `former` is who served before, until that role is locked.
"""

import base64
from typing import Final, Self

import msgspec

from payment_operator import names
from payment_operator.resources.login import Login
from payment_operator.resources.metadata import Manifest, Owner

KEY: Final = "rotation"


class StoredLogin(msgspec.Struct, frozen=True, omit_defaults=True):
    """A role and its password."""

    role: str
    password: str

    @classmethod
    def of(cls, login: Login) -> Self:
        """As the record stores it."""
        return cls(login.role, login.password)

    def login(self) -> Login:
        """As the rest of the operator knows it."""
        return Login(self.role, self.password)

    def __repr__(self) -> str:
        """Without the password."""
        return f"StoredLogin({self.role!r})"


class RoleRotation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """How far the rotation is."""

    number: int = 0
    current: StoredLogin | None = None
    next: StoredLogin | None = None
    former: StoredLogin | None = None
    rotated_at: str = ""
    """When `current` became what revisions get."""
    compromised: bool = False
    """Whether a password has leaked: the present rotation skips hold and retention, and at rest one is to begin."""
    again: bool = False
    """Whether another rotation follows at once: a password leaked while this one's new password was there."""
    operation: str = ""
    """Id of the request that began it."""
    version: str = ""
    """The Secret's resourceVersion; not stored."""


def decode(secret: Manifest | None) -> RoleRotation | None:
    """Read the record; None when there is none, or it cannot be read."""
    encoded = ((secret or {}).get("data") or {}).get(KEY, "")
    try:
        found = msgspec.json.decode(base64.b64decode(encoded), type=RoleRotation)
    except (msgspec.DecodeError, ValueError):
        return None
    return msgspec.structs.replace(found, version=(secret or {})["metadata"].get("resourceVersion", ""))


def encode(rotation: RoleRotation) -> str:
    """The record as the Secret's data hold it."""
    stored = msgspec.structs.replace(rotation, version="")
    return base64.b64encode(msgspec.json.encode(stored, order="sorted")).decode()


def secret(owner: Owner, rotation: RoleRotation) -> Manifest:
    """The Secret with the record."""
    return owner.owned(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": names.database_roles(owner.name), "labels": owner.labels()},
            "type": "Opaque",
            "data": {KEY: encode(rotation)},
        }
    )
