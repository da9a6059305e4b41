"""What finished operations hold of people, and how it is taken out of them.

The request and the answer stay as they are for as long as a key can ask for them again: whichever version of the
service meets the retry answers the same. Then the worker moves what is personal to `personal_data`. Once a customer is
erased it is kept nowhere, and a replay answers without it: the status, the ids and the moments stay.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
from sqlalchemy import bindparam, insert, select, update

from payment_service.storage.ids import first_id
from payment_service.storage.personal_tables import NOTHING, personal_data
from payment_service.storage.tables import customers, operations

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from sqlalchemy import ColumnElement, Select
    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.clock import Clock
    from payment_service.config.settings import WorkSettings
    from payment_service.storage.database import Database
    from payment_service.storage.rows import OperationRow

MOVE_SECONDS: Final = 60.0
BATCH: Final = 200
ROUNDS: Final = 20
MARGIN: Final = timedelta(hours=1)
"""Between the end of a key and the move: clocks differ."""
REQUEST: Final = frozenset({"email", "name", "reference", "customer_reference", "metadata", "description"})
FACTS: Final = frozenset({"card", "end_user", "declined"})
"""Marks of a card and of an end user's address are made of what is personal; a decline may quote Stripe."""
ANSWER: Final = frozenset({"email", "name", "reference", "metadata", "description", "card", "billing_details"})
REFUSAL: Final = frozenset({"detail", "errors"})
_EMPTY: Final[dict[str, object]] = {"metadata": {}}
"""What takes the place of a field; null where it is not named here."""
_REFUSED: Final = 400
_INLINE: Final = (operations.c.finished, operations.c.personal_id.is_(None))
_TOLD: Final = ("id", "request", "facts", "response_status", "response_body", "kind")
_SELECT: Final = select(*(operations.c[name] for name in _TOLD)).where(*_INLINE).order_by(operations.c.id)
_PART: Final = (
    update(operations)
    .where(operations.c.id == bindparam("o_id"), *_INLINE)
    .values({name: bindparam(f"n_{name}") for name in ("request", "facts", "response_body", "personal_id")})
)


class Parted(NamedTuple):
    """An operation without what is personal, and that."""

    request: dict[str, object]
    facts: dict[str, object]
    body: bytes
    content: dict[str, object]
    """What was taken out; empty: nothing."""
    customer_id: str | None
    """Our id of the customer, if the operation got as far."""
    stripe_customer_id: str | None


def part(row: OperationRow) -> Parted:
    """Take what is personal out of a finished operation's row. Pure."""
    body = bytes(row.response_body or b"")
    answer: dict[str, object] = msgspec.json.decode(body) if body else {}
    assert row.response_status is not None  # it is finished
    of_answer = REFUSAL if row.response_status >= _REFUSED else ANSWER
    request, of_request = _divide(row.request, REQUEST)
    facts, of_facts = _divide(row.facts, FACTS, leave_out=True)
    told, of_told = _divide(answer, of_answer, leave_out=of_answer is REFUSAL)
    if "detail" in of_told:
        told["detail"] = answer.get("title", "")
    content = {"request": of_request, "facts": of_facts, "answer": of_told}
    ours = _text(facts, "customer_id") or _text(told, "customer_id")
    if row.kind == "create_customer":
        ours = ours or _text(told, "id")
    return Parted(
        request=request,
        facts=facts,
        body=msgspec.json.encode(told) if of_told else body,
        content={name: part for name, part in content.items() if part},
        customer_id=ours,
        stripe_customer_id=_text(facts, "stripe_customer_id") or _text(told, "stripe_customer_id"),
    )


def _text(values: Mapping[str, object], name: str) -> str | None:
    value = values.get(name)
    return value if isinstance(value, str) else None


def _divide(
    values: dict[str, object], names: frozenset[str], *, leave_out: bool = False
) -> tuple[dict[str, object], dict[str, object]]:
    """Return what stays and what was taken out; empty values are nothing."""
    taken = {name: value for name, value in values.items() if name in names and value}
    emptied = {} if leave_out else {name: _EMPTY.get(name) for name in taken}
    return {**{name: value for name, value in values.items() if name not in taken or not leave_out}, **emptied}, taken


class Mover:
    """Moves what is personal out of operations whose key has ended.

    Args:
        database: that holds them.
        clock: the time.
        settings: how long keys are kept.
    """

    def __init__(self, database: Database, *, clock: Clock, settings: WorkSettings) -> None:
        self._database = database
        self._clock = clock
        self._settings = settings

    async def move_due(self) -> None:
        """Move it to `personal_data` from operations whose key has ended, some in each transaction."""
        ended = self._clock.now() - timedelta(hours=self._settings.idempotency_retention_hours) - MARGIN
        for _ in range(ROUNDS):
            if await self._step(operations.c.id < first_id("lpo", ended)) < BATCH:
                return

    async def _step(self, condition: ColumnElement[bool]) -> int:
        async with self._database.transaction() as connection:
            rows = await _read(connection, condition, skip_locked=True)
            parted = {row.id: part(row) for row in rows}
            alive = await _alive(connection, parted.values())
            kept = {key: one for key, one in parted.items() if one.content and one.customer_id in alive}
            if kept:
                held = [
                    {
                        "id": key,
                        "customer_id": one.customer_id,
                        "stripe_customer_id": alive[one.customer_id],
                        "content": one.content,
                        "created_at": self._clock.now(),
                    }
                    for key, one in kept.items()
                ]
                await connection.execute(insert(personal_data), held)
            await _write(connection, parted, kept=kept.keys())
        return len(rows)


async def erase_operations(
    connection: AsyncConnection, *, customer_ids: Iterable[str], subscription_ids: Select[str | None]
) -> int:
    """Take what is personal out of a customer's operations, at most `BATCH` found in each way, and keep it nowhere.

    Return how many. It finds them whichever version wrote them, each way by its index. Those whose key has ended refer
    to `personal_data` already.
    """
    of_customer = operations.c.facts["customer_id"].as_string().in_(list(customer_ids))
    of_subscription = operations.c.facts["stripe_subscription_id"].as_string().in_(subscription_ids)
    found = 0
    for condition in (of_customer, of_subscription):
        rows = await _read(connection, condition)
        await _write(connection, {row.id: part(row) for row in rows}, kept=())
        found += len(rows)
    return found


async def _read(
    connection: AsyncConnection, condition: ColumnElement[bool], *, skip_locked: bool = False
) -> Sequence[OperationRow]:
    """Lock rows; those that another worker moves are its own."""
    statement = _SELECT.where(condition).limit(BATCH).with_for_update(skip_locked=skip_locked)
    return (await connection.execute(statement)).all()


async def _write(connection: AsyncConnection, parted: Mapping[str, Parted], *, kept: Collection[str]) -> None:
    rows = [
        {
            "o_id": key,
            "n_request": one.request,
            "n_facts": one.facts,
            "n_response_body": one.body,
            "n_personal_id": key if key in kept else NOTHING,
        }
        for key, one in parted.items()
    ]
    if rows:
        await connection.execute(_PART, rows)


async def _alive(connection: AsyncConnection, parted: Iterable[Parted]) -> dict[str | None, str | None]:
    """Return which of their customers have a row, with Stripe's id: of others nothing is kept."""
    ids = {one.customer_id for one in parted if one.customer_id is not None}
    statement = select(customers.c.id, customers.c.stripe_customer_id)
    found = await connection.execute(statement.where(customers.c.id.in_(ids), ~customers.c.deleted))
    return {row.id: row.stripe_customer_id for row in found}
