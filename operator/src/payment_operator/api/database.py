"""The database and how its password is rotated."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from payment_operator.api.fields import Fields, SecretRef

RoleName = Annotated[str, Meta(min_length=1, max_length=63)]
"""At most what PostgreSQL takes as an identifier."""


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
            "Left out: the user of urlSecretRef."
        ),
    ] = None
    admin_secret_ref: Annotated[
        SecretRef | None,
        Meta(
            description="URL (key DATABASE_ADMIN_URL) of a role with CREATEROLE, ADMIN on the group role and "
            "pg_signal_backend. Only the operator uses it."
        ),
    ] = None


class Database(Fields, frozen=True, kw_only=True):
    """PostgreSQL."""

    url_secret_ref: Annotated[SecretRef, Meta(description="The application's URL (key DATABASE_URL).")]
    migration_url_secret_ref: Annotated[
        SecretRef | None,
        Meta(description="The owner role's URL (key DATABASE_MIGRATION_URL), for migrations. Left out: urlSecretRef."),
    ] = None
    replica_url_secret_ref: Annotated[
        SecretRef | None, Meta(description="URL of a read replica (key DATABASE_REPLICA_URL).")
    ] = None
    rotation: Annotated[DatabaseRotation, Meta(description="Rotation of the application's password.")] = (
        DatabaseRotation()
    )
