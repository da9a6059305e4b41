"""What of the mirror is about a person: which rows, and which of their fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import or_, select, union_all, update

from payment_service.mirror.charge import charges
from payment_service.mirror.registry import KINDS
from payment_service.storage.changed_rows import note
from payment_service.storage.expressions import Among
from payment_service.storage.statements import ChangeRows
from payment_service.storage.tables import customers

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlalchemy import Select
    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.mirror.person import Person


_OF_THESE: Final = (customers.c.deleted, Among(customers.c.stripe_customer_id, "people"))
_REOPEN: Final = update(customers).where(*_OF_THESE).values(erased_at=None)
_DELETED: Final = select(customers.c.stripe_customer_id).where(*_OF_THESE)
_OF_CHARGES: Final = select(charges.c.id, charges.c.stripe_customer_id).where(Among(charges.c.id, "charges"))


async def clear_mirror(connection: AsyncConnection, person: Person) -> int:
    """Empty the personal fields of every mirrored row; Stripe may keep what stood there, nobody needs it here."""
    for kind in KINDS.values():
        if kind.of_person is None or not kind.personal:
            continue
        table = kind.table
        filled = or_(*(table.c[name].is_distinct_from(value) for name, value in kind.personal.items()))
        clearing = ChangeRows(table, kind.personal, returning=(table.c.id,), where=(kind.of_person(person), filled))
        for changed in await clearing.run(connection, {}):
            note(connection, table.name, changed.id)
    return 0


async def objects_of(connection: AsyncConnection, person: Person) -> list[str]:
    """Return Stripe's ids of the customer and of all objects here that are about it, payment methods included."""
    chosen: list[Select[str]] = []
    for kind in KINDS.values():
        if kind.of_person is None or kind.table is customers:
            continue
        columns = [kind.table.c[name] for name in (kind.key, *kind.names)]
        chosen += [select(column).where(kind.of_person(person), column.is_not(None)) for column in columns]
    found = set(map(str, (await connection.execute(union_all(*chosen))).scalars()))
    return sorted(found | {person.stripe_id} if person.stripe_id else found)


async def reopen(connection: AsyncConnection, objects: Iterable[Mapping[str, object]]) -> None:
    """Let deleted customers be erased again that one of these objects, just written or kept, is about.

    It takes the lock of their rows also where they are due anyway: see `customers/erasure.py`.
    """
    people = {customer for customer in await _customers_of(connection, list(objects)) if customer is not None}
    if people:
        await connection.execute(_REOPEN, {"people": sorted(people)})


async def of_deleted(connection: AsyncConnection, objects: Sequence[Mapping[str, object]]) -> set[str]:
    """Return the ids of those objects that are about a deleted customer: their personal fields are not mirrored."""
    people = await _customers_of(connection, objects)
    known = sorted(filter(None, people))
    deleted = set((await connection.execute(_DELETED, {"people": known})).scalars())
    return {str(obj["id"]) for obj, customer in zip(objects, people, strict=True) if customer in deleted}


async def _customers_of(connection: AsyncConnection, objects: Sequence[Mapping[str, object]]) -> Sequence[str | None]:
    """Return whom each of Stripe's objects is about: refunds and disputes name their charge alone."""
    named = {_id(obj.get("charge")) for obj in objects if not _named(obj)} - {None}
    of_charge: dict[str | None, str | None] = {}
    if named:
        rows = await connection.execute(_OF_CHARGES, {"charges": list(map(str, named))})
        of_charge = {row.id: row.stripe_customer_id for row in rows}
    return [_named(obj) or of_charge.get(_id(obj.get("charge"))) for obj in objects]


def _named(obj: Mapping[str, object]) -> str | None:
    return _id(obj.get("id")) if obj.get("object") == "customer" else _id(obj.get("customer"))


def _id(value: object) -> str | None:
    """Return the id of a field as `mirror.object_id` does; None where it is none, for not every kind is checked."""
    found = value.get("id") if isinstance(value, dict) else value
    return found if isinstance(found, str) else None
