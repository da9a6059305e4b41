"""SQL of operations and idempotency keys. Statements are built once, at import."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import and_, bindparam, insert, or_, select, update

from payment_service.errors import IdempotencyKeyReused
from payment_service.operations.schemas import IdempotencyKey, Operation, StoredResponse
from payment_service.operations.state import State, Stored
from payment_service.storage.ids import first_id
from payment_service.storage.statements import ChangeRows, InsertNew, RemoveRows
from payment_service.storage.tables import idempotency_keys, operations

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.engine import Row
    from sqlalchemy.ext.asyncio import AsyncConnection

_KEY_COLUMNS: Final = ("principal", "livemode", "method", "route", "key")
_CLAIM_KEY: Final = InsertNew(idempotency_keys, returning=(idempotency_keys.c.key,))
_READ_KEY: Final = (
    select(idempotency_keys.c.fingerprint, idempotency_keys.c.expires_at, operations)
    .join_from(idempotency_keys, operations, idempotency_keys.c.operation_id == operations.c.id, isouter=True)
    .where(and_(*(idempotency_keys.c[name] == bindparam(f"k_{name}") for name in _KEY_COLUMNS)))
)
_FIND_KEY: Final = _READ_KEY.with_for_update(of=idempotency_keys)
_BOUND: Final = ("fingerprint", "operation_id", "created_at", "expires_at")
_REBIND_KEY: Final = (
    update(idempotency_keys)
    .where(and_(*(idempotency_keys.c[name] == bindparam(f"k_{name}") for name in _KEY_COLUMNS)))
    .values({name: bindparam(f"v_{name}") for name in _BOUND})
)
_INSERT: Final = insert(operations)
_MINE: Final = and_(
    operations.c.id == bindparam("o_id"), operations.c.fence == bindparam("o_fence"), ~operations.c.finished
)
_ADVANCE: Final = update(operations).where(_MINE)
_SAVED: Final = ("phase", "facts", "lease_expires_at", "updated_at", "last_error")
_ANSWER: Final = ("finished", "response_status", "response_body", "response_content_type")
_SAVE: Final = _ADVANCE.values({name: bindparam(f"v_{name}") for name in _SAVED})
_FINISH: Final = _ADVANCE.values({name: bindparam(f"v_{name}") for name in (*_SAVED, *_ANSWER)})
_TAKE: Final = ChangeRows(
    operations,
    {
        "lease_owner": bindparam("n_owner"),
        "lease_expires_at": bindparam("n_expires"),
        "fence": operations.c.fence + 1,
        "attempts": operations.c.attempts + 1,
        "updated_at": bindparam("o_now"),
    },
    returning=tuple(operations.c),
    where=(_MINE, operations.c.lease_expires_at <= bindparam("o_now")),
)
_EXPIRED: Final = (
    select(operations.c.id, operations.c.fence)
    .where(
        ~operations.c.finished,
        operations.c.lease_expires_at <= bindparam("now"),
        operations.c.kind.in_(bindparam("kinds", expanding=True)),
    )
    .order_by(operations.c.lease_expires_at)
    .limit(bindparam("limit"))
)
_KEY: Final = tuple(idempotency_keys.c[name] for name in _KEY_COLUMNS)
_HAS_EXPIRED: Final = idempotency_keys.c.expires_at < bindparam("before")
_REMOVE_KEYS: Final = RemoveRows(
    idempotency_keys,
    select(*_KEY)
    .join_from(idempotency_keys, operations, idempotency_keys.c.operation_id == operations.c.id, isouter=True)
    .where(_HAS_EXPIRED, or_(operations.c.id.is_(None), operations.c.finished))
    .limit(bindparam("limit")),
    where=(_HAS_EXPIRED,),
)
_REMOVE_OPERATIONS: Final = RemoveRows(
    operations,
    select(operations.c.id)
    .where(operations.c.finished, operations.c.id < bindparam("before"))
    .order_by(operations.c.id)
    .limit(bindparam("limit")),
)


async def insert_operation(
    connection: AsyncConnection, operation: Operation[State], *, now: datetime, lease_seconds: float
) -> None:
    """Insert a new operation with its driver's lease, and with its answer when it has one already."""
    response = operation.response
    await connection.execute(
        _INSERT,
        {
            "id": operation.id,
            "kind": operation.kind,
            "mark": operation.reference,
            "principal": operation.principal,
            "livemode": operation.livemode,
            "request": operation.request,
            "phase": operation.state.phase,
            "facts": operation.state.facts(),
            "finished": response is not None,
            "response_status": response.status if response else None,
            "response_body": response.body if response else None,
            "response_content_type": response.content_type if response else None,
            "request_id": operation.request_id,
            "lease_owner": operation.owner,
            "lease_expires_at": now + timedelta(seconds=lease_seconds),
            "fence": operation.fence,
            "attempts": operation.attempts,
            "created_at": now,
            "updated_at": now,
        },
    )


async def claim_key(
    connection: AsyncConnection, key: IdempotencyKey, *, operation_id: str, now: datetime, expires_at: datetime
) -> bool:
    """Bind the key to the operation; False when it is bound already (waits for a concurrent transaction)."""
    row = {name: getattr(key, name) for name in (*_KEY_COLUMNS, "fingerprint")} | {
        "operation_id": operation_id,
        "created_at": now,
        "expires_at": expires_at,
    }
    return await _CLAIM_KEY.run(connection, row) is not None


async def find_key(connection: AsyncConnection, key: IdempotencyKey, *, lock: bool) -> Row[Any] | None:
    """Return the key's fingerprint and expiry with its operation."""
    statement = _FIND_KEY if lock else _READ_KEY
    return (await connection.execute(statement, {f"k_{name}": getattr(key, name) for name in _KEY_COLUMNS})).first()


async def rebind_key(
    connection: AsyncConnection, key: IdempotencyKey, *, operation_id: str, now: datetime, expires_at: datetime
) -> None:
    """Bind an expired key, locked by `find_key`, to another operation."""
    parameters = {f"k_{name}": getattr(key, name) for name in _KEY_COLUMNS} | {
        "v_fingerprint": key.fingerprint,
        "v_operation_id": operation_id,
        "v_created_at": now,
        "v_expires_at": expires_at,
    }
    await connection.execute(_REBIND_KEY, parameters)


async def save(
    connection: AsyncConnection,
    operation: Operation[State],
    *,
    state: State,
    response: StoredResponse | None,
    now: datetime,
    lease_seconds: float,
) -> bool:
    """Write phase, facts and, when there is one, the response; False when somebody else drives the operation now."""
    values: dict[str, object] = {
        "phase": state.phase,
        "facts": state.facts(),
        "lease_expires_at": now + timedelta(seconds=lease_seconds),
        "updated_at": now,
        "last_error": None,
    }
    if response is not None:
        values |= {
            "finished": True,
            "response_status": response.status,
            "response_body": response.body,
            "response_content_type": response.content_type,
        }
    parameters = {f"v_{name}": value for name, value in values.items()}
    parameters |= {"o_id": operation.id, "o_fence": operation.fence}
    result = await connection.execute(_SAVE if response is None else _FINISH, parameters)
    return bool(result.rowcount)


async def release(
    connection: AsyncConnection, operation: Operation[State], *, facts: dict[str, object], until: datetime, error: str
) -> None:
    """Give the lease back so that another try may begin at `until`."""
    await connection.execute(
        _ADVANCE.values(lease_owner=None, lease_expires_at=until, facts=facts, last_error=error),
        {"o_id": operation.id, "o_fence": operation.fence},
    )


async def take(
    connection: AsyncConnection, operation_id: str, *, fence: int, owner: str, now: datetime, lease_seconds: float
) -> Operation[State] | None:
    """Take over an operation whose lease has expired; None when somebody else was faster."""
    rows = await _TAKE.run(
        connection,
        {
            "o_id": operation_id,
            "o_fence": fence,
            "o_now": now,
            "n_owner": owner,
            "n_expires": now + timedelta(seconds=lease_seconds),
        },
    )
    return to_operation(rows[0], now=now) if rows else None


async def expired(
    connection: AsyncConnection, *, now: datetime, kinds: tuple[str, ...], limit: int
) -> list[tuple[str, int]]:
    """Return id and fence of unfinished operations of these kinds whose lease has expired, longest first."""
    rows = await connection.execute(_EXPIRED, {"now": now, "kinds": kinds, "limit": limit})
    return [(row.id, row.fence) for row in rows]


async def get(connection: AsyncConnection, operation_id: str, *, now: datetime) -> Operation[State] | None:
    """Return an operation."""
    row = (await connection.execute(select(operations).where(operations.c.id == operation_id))).first()
    return None if row is None else to_operation(row, now=now)


def known(key: IdempotencyKey, row: Row[Any], *, now: datetime) -> Operation[State]:
    """Return the operation of a key's row.

    Raises:
        IdempotencyKeyReused: the key was sent with another request.
    """
    if bytes(row.fingerprint) != key.fingerprint:
        raise IdempotencyKeyReused("This Idempotency-Key was used with another request body; use a new key")
    return to_operation(row, now=now)


def to_operation(row: Row[Any], *, now: datetime) -> Operation[State]:
    """Build the value from a row."""
    response = None
    if row.finished:
        response = StoredResponse(
            status=row.response_status, body=bytes(row.response_body), content_type=row.response_content_type
        )
    return Operation(
        id=row.id,
        kind=row.kind,
        principal=row.principal,
        livemode=row.livemode,
        request=row.request,
        request_id=row.request_id,
        reference=row.mark or "",
        state=Stored(phase=row.phase, values=row.facts),
        owner=row.lease_owner or "",
        fence=row.fence,
        attempts=row.attempts,
        age_seconds=(now - row.created_at).total_seconds(),
        response=response,
    )


async def remove_expired_keys(connection: AsyncConnection, *, before: datetime, limit: int) -> int:
    """Remove up to `limit` keys that expired before a moment and whose operation has its answer; return how many.

    The outer condition on the expiry keeps a key that another request has bound anew meanwhile.
    """
    return await _REMOVE_KEYS.run(connection, {"before": before, "limit": limit})


async def remove_operations(connection: AsyncConnection, *, before: datetime, limit: int) -> int:
    """Remove up to `limit` finished operations begun before a moment; return how many."""
    parameters = {"before": first_id("lpo", before), "limit": limit}
    return await _REMOVE_OPERATIONS.run(connection, parameters)
