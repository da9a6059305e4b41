"""The audit log: who changed what, written in the transaction of the change and never altered.

The table refuses UPDATE, TRUNCATE, and DELETE of what is younger than 90 days by triggers, for the owner too. The
application's role has no right to them: what is past its retention goes by a function of the owner's
(`storage/retention.py`).

Who wrote a row is the database's word: `actor` is `database:<login>` on PostgreSQL. For whom that was done is the
application's, in `on_behalf_of`, in one of these forms: `api:<principal>` (the holder of an API key), `anonymous`
(development, without a key), `cli:<user>` (a person at a terminal), `worker:<task>` (what nobody asked for). The
database takes no other (migration 18), none with a principal that has no key, and of one whose keys have all ended it
says `ended:<principal>`. SQLite has no logins, and whoever writes its file may write anything: there `actor` is
`database:sqlite`, the time is the application's, and of principals those that never had a key are refused.
"""

from __future__ import annotations

import getpass
import os
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import insert

from payment_service.storage.mirror import to_json
from payment_service.storage.tables import audit_log

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

ANONYMOUS: Final = "anonymous"
"""The principal of whoever calls without a key, in development."""
_INSERT: Final = insert(audit_log)


async def record(
    connection: AsyncConnection,
    *,
    actor: str,
    action: str,
    object_type: str,
    object_id: str,
    now: datetime,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    details: Mapping[str, Any] | None = None,
    any_schema: bool = False,
) -> None:
    """Append one change, in the caller's transaction.

    Args:
        connection: in the transaction of the change.
        actor: for whom, in one of the forms above.
        action: `<object>.<verb>`, for example `subscription.cancel`.
        object_type: of what was changed, for example `subscription`.
        object_id: its id.
        now: the present time.
        before: what it was, as far as it changed; never a secret or a card.
        after: what it is now, likewise.
        details: anything else that explains the change.
        any_schema: the database may be of before migration 18, such as a copy of an older version's: the row is written
            as that version does, which later ones take too.
    """
    who = {"actor": actor} if any_schema else {"actor": "database:sqlite", "on_behalf_of": actor}
    states = {"before": to_json(before), "after": to_json(after)}
    told = {name: value for name, value in states.items() if value is not None} | (to_json(details) or {})
    await connection.execute(
        _INSERT,
        who  # PostgreSQL overwrites the actor, and the time
        | {
            "action": action,
            "object_type": object_type,
            "object_id": object_id,
            "details": told,
            "created_at": now,
        },
    )


async def record_verb(
    connection: AsyncConnection,
    object_type: str,
    object_id: str,
    verb: str,
    *,
    actor: str,
    now: datetime,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Append what was done to an object, as `<object type>.<verb>`; the arguments are those of `record`."""
    await record(
        connection,
        actor=actor,
        action=f"{object_type}.{verb}",
        object_type=object_type,
        object_id=object_id,
        now=now,
        details=details,
    )


def api_actor(principal: str) -> str:
    """Return who calls the API as an actor."""
    return ANONYMOUS if principal == ANONYMOUS else f"api:{principal}"


def cli_actor() -> str:
    """Return the person at the terminal as an actor; by number in a pod, whose user has no name."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):  # Python < 3.13 raises the former
        return f"cli:{os.getuid()}"
