"""Pages of lists: newest first, walked by the id of an object (docs.stripe.com/api/pagination).

A handler asks for `page: NamedDependency[Page]` and so declares every parameter that lists share. Rows are in the order
of a key that never changes, and a cursor is that key of its object, so a walk during inserts neither misses nor repeats
what was there when it began, even if the cursor's own object no longer passes the filters.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import msgspec
from litestar.params import QueryParameter
from sqlalchemy import Column, literal, or_, select, tuple_

from payment_service.errors import Unprocessable
from payment_service.http.id_types import INSTANT, MAXIMUM_CHARACTERS, OBJECT

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from sqlalchemy import ColumnElement, Select
    from sqlalchemy.engine import Row
    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.storage.database import Database

ResultT = TypeVar("ResultT")
SIGNS: Final = ("gte", "gt", "lte", "lt")
_FIRST: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST: Final = datetime(2200, 1, 1, tzinfo=UTC)


class Page(msgspec.Struct, kw_only=True, frozen=True):
    """What was asked of a list."""

    limit: int = 10
    starting_after: str | None = None
    ending_before: str | None = None
    created: dict[str, datetime] = {}
    """Bounds of the creation by `gte`, `gt`, `lte` and `lt`."""

    @classmethod
    def since(cls, moment: datetime | None, *, limit: int) -> Page:
        """Return the first page of what was created at `moment` or later."""
        return cls(limit=limit, created={} if moment is None else {"gte": moment})

    @property
    def cursor(self) -> tuple[str, str] | None:
        """The parameter that names a place in the list, and the id it names."""
        if self.ending_before is not None:
            return "ending_before", self.ending_before
        return None if self.starting_after is None else ("starting_after", self.starting_after)


class UnknownCursor(Unprocessable):
    """The object after or before which a page was to begin is not in the list."""


class Order(msgspec.Struct, kw_only=True, frozen=True):
    """How the rows of a table stand in a list.

    Args:
        noun: what a row is called in messages.
        key: columns that never change, the last of them unique; rows are shown from the highest down.
        ids: columns of which any may hold the id of a cursor.
        created: the moment that `created[…]` is about.
    """

    noun: str
    key: tuple[Column[Any], ...]
    ids: tuple[Column[Any], ...]
    created: Column[Any]


def _bound(sign: str) -> QueryParameter:
    words = {"gte": "at this moment or later", "gt": "after", "lte": "at this moment or earlier", "lt": "before"}[sign]
    form = "Unix seconds or RFC 3339, for example 2026-01-31T12:00:00Z"
    return QueryParameter(
        name=f"created[{sign}]", pattern=INSTANT, max_length=40, description=f"Created {words}: {form}."
    )


def provide_page(
    *,
    limit: Annotated[int, QueryParameter(ge=1, le=100, description="How many to return.")] = 10,
    starting_after: Annotated[
        str | None,
        QueryParameter(
            pattern=OBJECT,
            max_length=MAXIMUM_CHARACTERS,
            description="The last id of the page before: go on with older.",
        ),
    ] = None,
    ending_before: Annotated[
        str | None,
        QueryParameter(
            pattern=OBJECT, max_length=MAXIMUM_CHARACTERS, description="The first id of a page: go back to newer."
        ),
    ] = None,
    created_gte: Annotated[str | None, _bound("gte")] = None,
    created_gt: Annotated[str | None, _bound("gt")] = None,
    created_lte: Annotated[str | None, _bound("lte")] = None,
    created_lt: Annotated[str | None, _bound("lt")] = None,
) -> Page:
    """Read what lists share.

    Raises:
        Unprocessable: both cursors, or a moment that does not exist.
    """
    if starting_after is not None and ending_before is not None:
        raise _invalid("ending_before", "give either starting_after or ending_before")
    texts = zip(SIGNS, (created_gte, created_gt, created_lte, created_lt), strict=True)
    created = {sign: _instant(text, field=f"created[{sign}]") for sign, text in texts if text is not None}
    return Page(limit=limit, starting_after=starting_after, ending_before=ending_before, created=created)


def _instant(text: str, *, field: str) -> datetime:
    try:
        found = datetime.fromtimestamp(int(text), tz=UTC) if text.isdigit() else datetime.fromisoformat(text)
        if not _FIRST <= found <= _LAST:
            raise ValueError(text)
        return found.astimezone(UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise _invalid(field, "give Unix seconds or a moment between 1970 and 2200") from error


async def read_page(
    connection: AsyncConnection,
    statement: Select[Any],
    *,
    order: Order,
    page: Page,
    among: Sequence[ColumnElement[bool]] = (),
) -> tuple[list[Row[Any]], bool]:
    """Return the rows of a page, newest first, and whether there are more in the direction of the walk.

    Args:
        connection: to read from.
        statement: selects what passes the filters, in no order.
        order: of the list.
        page: that was asked for.
        among: the conditions that say which objects there are at all, filters aside.

    Raises:
        UnknownCursor: the cursor names none of them.
    """
    statement = statement.where(*among, *_within(order.created, page.created))
    backwards = page.ending_before is not None
    if page.cursor is not None:
        parameter, cursor_id = page.cursor
        named = or_(*(column == cursor_id for column in order.ids))
        place = (await connection.execute(select(*order.key).where(named, *among))).first()
        if place is None:
            raise unknown_cursor(parameter, order.noun)
        at = tuple_(*(literal(value, column.type) for value, column in zip(place, order.key, strict=True)))
        key = tuple_(*order.key)
        statement = statement.where(key > at if backwards else key < at)
    sort = [column.asc() if backwards else column.desc() for column in order.key]
    found = (await connection.execute(statement.order_by(*sort).limit(page.limit + 1))).all()
    rows = list(found[: page.limit])
    return rows[::-1] if backwards else rows, len(found) > page.limit


async def read_listed(database: Database, read: Callable[[AsyncConnection], Awaitable[ResultT]]) -> ResultT:
    """Read a page, possibly from the replica; what it does not know yet, the primary is asked for."""
    try:
        async with database.read(may_lag=True) as connection:
            return await read(connection)
    except UnknownCursor:
        async with database.read() as connection:
            return await read(connection)


def unknown_cursor(parameter: str, noun: str) -> UnknownCursor:
    """Return the refusal of a cursor."""
    message = f"there is no such {noun}; give an id from this list"
    return UnknownCursor(f"{parameter}: {message}", errors=[{"field": parameter, "message": message}])


def whole_seconds(sign: str, bound: datetime) -> int:
    """Return a bound in Stripe's whole seconds that lets the same objects pass: theirs are created in whole seconds."""
    return math.floor(bound.timestamp()) if sign in {"gt", "lte"} else math.ceil(bound.timestamp())


def _within(column: Column[Any], bounds: dict[str, datetime]) -> list[ColumnElement[bool]]:
    conditions = {
        "gte": column.__ge__,
        "gt": column.__gt__,
        "lte": column.__le__,
        "lt": column.__lt__,
    }
    return [conditions[sign](bound) for sign, bound in bounds.items()]


def _invalid(field: str, message: str) -> Unprocessable:
    return Unprocessable(f"{field}: {message}", errors=[{"field": field, "message": message}])
