"""SQL of the feed."""

from __future__ import annotations

from collections import defaultdict
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Protocol

from sqlalchemy import bindparam, func, or_, select

from payment_service.feed.states import ToldChange, joined
from payment_service.mirror.registry import KINDS as MIRRORED
from payment_service.storage.column_types import lenient
from payment_service.storage.feed_table import feed
from payment_service.storage.personal_tables import personal_data
from payment_service.storage.statements import RemoveRows
from payment_service.storage.tables import outbox

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Select, Table
    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.feed.states import State
    from payment_service.storage.column_types import Unreadable

Name = tuple[str, str]
"""The outbox's names of the kind and of the object."""
LAST: Final = select(func.coalesce(func.max(feed.c.sequence), 0))
"""The highest number given; 0: none."""
_OLDEST: Final = select(func.min(outbox.c.seq))
_FIRST_KEPT: Final = select(func.min(feed.c.sequence)).where(feed.c.outbox_seq >= _OLDEST.scalar_subquery())
_TRIM: Final = RemoveRows(
    feed,
    select(feed.c.sequence).order_by(feed.c.sequence).limit(bindparam("limit")),
    where=(feed.c.outbox_seq < _OLDEST.scalar_subquery(),),
)
"""The row of the highest number stays whatever goes, for there is nothing above it."""
_NAMED: Final = (
    feed.c.sequence,
    outbox.c.seq,
    outbox.c.object_type,
    outbox.c.object_id,
    lenient(outbox.c.created_at, "created_at"),
)
_PLACES: Final = select(*_NAMED, outbox.c.cause).join(outbox, outbox.c.seq == feed.c.outbox_seq)
_AT: Final = _PLACES.where(feed.c.sequence == bindparam("sequence"))
_AMONG: Final = _PLACES.where(feed.c.sequence.in_(bindparam("sequences", expanding=True))).order_by(feed.c.sequence)
_TOLD: Final = (
    select(
        outbox.c.seq,
        outbox.c.object_type,
        outbox.c.object_id,
        lenient(outbox.c.before, "before"),
        lenient(outbox.c.after, "after"),
        lenient(personal_data.c.content, "content"),
    )
    .join(personal_data, personal_data.c.id == outbox.c.personal_id, isouter=True)
    .where(outbox.c.object_id.in_(bindparam("ids", expanding=True)), outbox.c.seq >= bindparam("since"))
    .order_by(outbox.c.seq)
)


class Place(Protocol):
    """A row of `_PLACES`."""

    sequence: int
    seq: int
    object_type: str
    object_id: str
    created_at: datetime | Unreadable
    cause: str


async def last_sequence(connection: AsyncConnection) -> int:
    """Return the highest number given; 0: none."""
    last: int = (await connection.execute(LAST)).scalar_one()
    return last


async def first_kept(connection: AsyncConnection) -> int | None:
    """Return the lowest number whose event is kept."""
    first: int | None = (await connection.execute(_FIRST_KEPT)).scalar_one()
    return first


async def trim(connection: AsyncConnection, *, limit: int) -> int:
    """Remove at most so many numbers of rows that are past their retention, and return how many."""
    return await _TRIM.run(connection, {"limit": limit})


async def place_at(connection: AsyncConnection, sequence: int) -> Place | None:
    """Return what has this number."""
    return (await connection.execute(_AT, {"sequence": sequence})).first()


async def places_at(connection: AsyncConnection, sequences: Collection[int]) -> Sequence[Place]:
    """Return what has these numbers and is kept, ascending."""
    return (await connection.execute(_AMONG, {"sequences": list(sequences)})).all()


async def places(
    connection: AsyncConnection,
    *,
    after: int,
    until: int,
    limit: int,
    object_types: Collection[str] | None,
    object_ids: Collection[str] | None,
) -> Sequence[Place]:
    """Return what is numbered above `after` up to `until` and passes the filters, ascending."""
    statement = _PLACES.where(feed.c.sequence > after, feed.c.sequence <= until)
    if object_types is not None:
        statement = statement.where(outbox.c.object_type.in_(object_types))
    if object_ids is not None:
        statement = statement.where(outbox.c.object_id.in_(object_ids))
    return (await connection.execute(statement.order_by(feed.c.sequence).limit(limit))).all()


async def names_of(connection: AsyncConnection, object_id: str) -> set[str]:
    """Return the names under which the outbox may tell of an object given by our id or Stripe's."""
    names = {object_id}
    for kind in MIRRORED.values():
        if kind.key == "id":
            continue
        for state in await _rows(connection, kind.table, key=kind.key, names=[object_id]):
            names |= {str(name) for name in (state["id"], state[kind.key]) if name}
    return names


async def objects(connection: AsyncConnection, wanted: Iterable[Name]) -> dict[Name, State]:
    """Return the objects that there are of these, as they are now, by each of their names."""
    by_type: dict[str, list[str]] = defaultdict(list)
    for object_type, object_id in wanted:
        by_type[object_type].append(object_id)
    found: dict[Name, State] = {}
    for kind in MIRRORED.values():
        names = by_type.get(kind.table.name)
        for state in await _rows(connection, kind.table, key=kind.key, names=names) if names else ():
            found |= {(kind.table.name, str(name)): state for name in (state["id"], state[kind.key]) if name}
    return found


async def changes_of(
    connection: AsyncConnection, names: Mapping[Name, str], *, since: int
) -> dict[Name, list[ToldChange]]:
    """Return what the outbox tells from a row on, ascending, by kind and object.

    Args:
        connection: to read from, after the objects themselves.
        names: all names of the objects, and what each is called in the answer.
        since: the number of that row.
    """
    found: dict[Name, list[ToldChange]] = defaultdict(list)
    values = {"ids": sorted({object_id for _, object_id in names}), "since": since}
    for row in await connection.execute(_TOLD, values):
        called = names.get((row.object_type, row.object_id))
        if called is not None:
            sides = (joined(getattr(row, side), personal=row.content, side=side) for side in ("before", "after"))
            found[row.object_type, called].append(ToldChange(row.seq, *sides))
    return found


async def _rows(connection: AsyncConnection, table: Table, *, key: str, names: Collection[str]) -> list[State]:
    named = or_(table.c.id.in_(names), table.c[key].in_(names))
    statement = _whole(table).where(named)
    return [dict(row._mapping) for row in await connection.execute(statement)]  # noqa: SLF001 - SQLAlchemy's public name


@cache
def _whole(table: Table) -> Select[Any]:
    return select(*(lenient(column, column.name) for column in table.c))
