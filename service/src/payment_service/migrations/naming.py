"""Which environment a database is of: a row says it, so that two environments never share one.

Two environments on one database would apply each other's events, and the contract migration of one would take the
columns from under the pods of the other. So a row of `cursors`, there since the first migration, names the environment.

Who writes it: the first `payments migrate` that runs (not `--plan`, which changes nothing), or, where nothing is to be
migrated, the first `payments smoke` that passes. Both are run in every release, before it gets traffic. Of two at once
exactly one makes the row. Afterwards only `payments database claim` gives the database to another environment.

Who reads it: the same commands, which end with `EXIT_CODE` when it names another environment. The API and the worker do
not: a copy that was restored under pods that serve names the former environment, and they go on and start again
whatever it says (their init container, too: `--lenient`). What serves is kept up; only the next release is refused.

An environment has a name, `namespace/name`, and under the operator the UID of its PaymentEnvironment. The same name
with another UID is the environment made anew (`helm uninstall`, then `install`) and takes the database over. The former
UIDs stay in the row: one that comes back has never been gone, so there are two, for example in two clusters, and it is
refused. Helm alone knows no UID: there the name counts. Outside of Kubernetes an environment has no name, and nothing
is asked or written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from payment_service.storage import audit_log
from payment_service.storage.cursors import add_cursor, read_cursor, write_cursor

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.config.settings import Settings

ROW: Final = "environment"
EXIT_CODE: Final = 8
"""Of the commands that are refused: docs/contracts.md."""
MOST_FORMER: Final = 20
FIRST, LEARNT, MADE_ANEW = "the first one here", "its UID is known now", "made anew under the same name"
"""Reasons in the audit log; of `payments database claim` it is the person's."""


class Named(msgspec.Struct, frozen=True, omit_defaults=True):
    """An environment as the row names it; all empty: the environment that asks is outside of Kubernetes."""

    name: str = ""
    uid: str = ""
    former: tuple[str, ...] = ()
    """UIDs that had the database under this name."""

    def __str__(self) -> str:
        return f"{self.name} (uid {self.uid})" if self.uid else self.name


class DatabaseTaken(Exception):
    """The database is another environment's."""

    def __init__(self, row: Named, here: Named) -> None:
        gone = row.name == here.name
        super().__init__(
            f"this database is of the environment {row}"
            + (", made anew while this one lived on: there are two" if gone else "")
            + f". {here} needs one of its own, or claims it: payments database claim --reason …"
        )


class Claim(NamedTuple):
    """What `payments database claim` found and wrote."""

    former: Named | None
    now: Named

    @property
    def changed(self) -> bool:
        """Whether the row was another one."""
        return self.former != self.now


def named(settings: Settings) -> Named:
    """Return the environment that this process is of."""
    return Named(settings.environment_name, settings.environment_uid)


def admit(row: Named | None, here: Named) -> Named:
    """Return what the row is to say when `here` uses the database.

    Raises:
        DatabaseTaken: it is another environment's.
    """
    if row is None:
        return here
    if row.name != here.name or (here.uid and here.uid in row.former):
        raise DatabaseTaken(row, here)
    return move(row, here)


def move(row: Named | None, here: Named) -> Named:
    """Return what the row says once the database is `here`'s; a UID that is known is never lost."""
    if row is None or row.name != here.name:
        return here
    uid = here.uid or row.uid
    gone = [former for former in (*row.former, row.uid) if former not in ("", uid)]
    return Named(row.name, uid, tuple(gone[-MOST_FORMER:]))


async def check(connection: AsyncConnection, here: Named) -> None:
    """Change nothing; the tables must be there.

    Raises:
        DatabaseTaken: the database is another environment's.
    """
    if here.name:
        admit(_read(await read_cursor(connection, ROW)), here)


async def settle(connection: AsyncConnection, here: Named, *, now: datetime) -> None:
    """Name `here` in the caller's transaction, unless another environment is named.

    Raises:
        DatabaseTaken: one is.
    """
    if not here.name:
        return
    if await add_cursor(connection, ROW, msgspec.to_builtins(here), now=now):
        await _audit(connection, Claim(None, here), reason=FIRST, now=now)
        return
    row = _read(await read_cursor(connection, ROW, lock=True))
    reason = MADE_ANEW if row is not None and row.uid else LEARNT
    await _write(connection, Claim(row, admit(row, here)), reason=reason, now=now)


async def claim(connection: AsyncConnection, here: Named, *, reason: str, now: datetime, dry_run: bool) -> Claim:
    """Name `here` in the caller's transaction, whoever is named."""
    if not dry_run and await add_cursor(connection, ROW, msgspec.to_builtins(here), now=now):
        first = Claim(None, here)
        await _audit(connection, first, reason=reason, now=now)
        return first
    row = _read(await read_cursor(connection, ROW, lock=True))
    found = Claim(row, move(row, here))
    if not dry_run:
        await _write(connection, found, reason=reason, now=now)
    return found


def _read(value: dict[str, Any] | None) -> Named | None:
    """Read the row; one that is no such row names somebody whom nobody is."""
    if value is None:
        return None
    try:
        return msgspec.convert(value, Named)
    except msgspec.ValidationError:
        return Named("(unreadable)")


async def _write(connection: AsyncConnection, found: Claim, *, reason: str, now: datetime) -> None:
    if found.changed:
        await write_cursor(connection, ROW, msgspec.to_builtins(found.now), now=now)
        await _audit(connection, found, reason=reason, now=now)


async def _audit(connection: AsyncConnection, found: Claim, *, reason: str, now: datetime) -> None:
    await audit_log.record(
        connection,
        actor=audit_log.cli_actor(),
        action="database.claim",
        object_type="database",
        object_id=ROW,
        now=now,
        before=None if found.former is None else msgspec.to_builtins(found.former),
        after=msgspec.to_builtins(found.now),
        details={"reason": reason},
        any_schema=True,
    )
