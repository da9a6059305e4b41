"""The database and how its password is rotated."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from payment_operator.api.fields import Fields, Name, SecretRef

RoleName = Annotated[str, Meta(min_length=1, max_length=63)]
"""At most what PostgreSQL takes as an identifier; MariaDB takes twice as many."""


class DatabaseRotation(Fields, frozen=True, kw_only=True):
    """Rotation of the application's password over two roles, one of which is always idle."""

    mode: Annotated[
        Literal["None", "AlternatingRoles"],
        Meta(description="AlternatingRoles: each rotation gives the idle role a new password and releases it."),
    ] = "None"
    interval_seconds: Annotated[
        int, Meta(ge=1, le=31_536_000, description="Time from one rotation to the next; at least a day in Live mode.")
    ] = 2_592_000
    roles: Annotated[
        list[RoleName],
        Meta(
            max_length=2,
            description="The two roles. The operator makes them; urlSecretRef's own role is locked after the first "
            "rotation.",
        ),
    ] = msgspec.field(default_factory=list)
    group_role: Annotated[
        RoleName | None,
        Meta(
            description="Role that has the application's rights (payments database grants); both roles become members. "
            "Left out: the user of urlSecretRef. On MariaDB it is a role (CREATE ROLE), and must be named."
        ),
    ] = None
    admin_secret_ref: Annotated[
        SecretRef | None,
        Meta(
            description="URL (key DATABASE_ADMIN_URL) of a role with CREATEROLE, ADMIN on the group role and "
            "pg_signal_backend (on MariaDB: CREATE USER, ADMIN on the group role and CONNECTION ADMIN). Only the "
            "operator uses it."
        ),
    ] = None


class Authority(Fields, frozen=True, kw_only=True):
    """The certificates of the authority that has signed the database's, in a ConfigMap or a Secret."""

    config_map: Annotated[Name | None, Meta(description="Name of a ConfigMap in the same namespace.")] = None
    secret: Annotated[
        Name | None, Meta(description="Name of a Secret in the same namespace. Pods mount this key of it.")
    ] = None
    key: Annotated[Name, Meta(description="Key with the certificates in PEM.")] = "ca.crt"

    @property
    def source(self) -> tuple[str, str]:
        """Kind and name of the object."""
        return ("ConfigMap", self.config_map) if self.config_map else ("Secret", self.secret or "")


class Database(Fields, frozen=True, kw_only=True):
    """PostgreSQL or MariaDB; the addresses say which."""

    url_secret_ref: Annotated[SecretRef, Meta(description="The application's URL (key DATABASE_URL).")]
    migration_url_secret_ref: Annotated[
        SecretRef | None,
        Meta(description="The owner role's URL (key DATABASE_MIGRATION_URL), for migrations. Left out: urlSecretRef."),
    ] = None
    replica_url_secret_ref: Annotated[
        SecretRef | None, Meta(description="URL of a read replica (key DATABASE_REPLICA_URL).")
    ] = None
    ca: Annotated[
        Authority | None,
        Meta(
            description="Verify the database's certificate by this authority (PGSSLROOTCERT), from every container "
            "and the operator; URLs without an sslmode then mean verify-full (PGSSLMODE)."
        ),
    ] = None
    allow_plaintext: Annotated[
        bool,
        Meta(
            description="Let the database be reached unencrypted on another host: only where the network itself "
            "encrypts, as a service mesh does."
        ),
    ] = False
    rotation: Annotated[DatabaseRotation, Meta(description="Rotation of the application's password.")] = (
        DatabaseRotation()
    )
