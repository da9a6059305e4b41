"""What the service has to know of a kind of Stripe object that has rows here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from msgspec import Struct

from payment_service.mirror.batch import write_batch, write_changes
from payment_service.storage.mirror import NeedsFetch, State
from payment_service.storage.succession import Course, Ended
from payment_service.stripe_api.objects import read

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy import ColumnElement, Table
    from sqlalchemy.engine import Row
    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.json_types import JsonObject
    from payment_service.mirror.batch import StateOf
    from payment_service.mirror.person import Person
    from payment_service.storage.mirror import Provenance
    from payment_service.storage.rows import Values, WholeRow

Columns = dict[str, object]
"""What a row holds of an object."""

IMPORT: Final = "import"
"""The cause of what the import of the account's history writes, and the name of the row that says how far it is."""
_NO_STATE: Final = {"id", "object", "livemode", "deleted"}
"""Members that name an object, and tell whether it is there."""
DELETED: Final = Ended("deleted", frozenset({True}))


def ends(*statuses: str) -> Ended:
    """Return the statuses that an object never leaves."""
    return Ended("status", frozenset(statuses))


def shows_state(obj: JsonObject) -> bool:
    """Tell whether more is shown of an object than its name and whether it is there."""
    return not obj.keys() <= _NO_STATE


class Reference(NamedTuple):
    """Names an object at Stripe."""

    kind: str
    id: str


class Shape(Struct, kw_only=True):
    """What is read of an object, of any API version that events come in; a member that is missing counts as null."""

    livemode: bool

    def columns(self) -> Columns:
        """Return what the row holds: only what the shapes of all versions tell."""
        raise NotImplementedError


class Remains(Shape, kw_only=True):
    """All that is known of an object whose deletion is told without showing it."""

    left: Columns

    def columns(self) -> Columns:
        """Return what is left of the row."""
        return {**self.left, "livemode": self.livemode}


class DeletedObject(Struct):
    """What a thin event tells of a deleted object."""

    livemode: bool


class Part(NamedTuple):
    """A list within an object, of which Stripe shows the first entries only."""

    member: str
    collection: str
    """Path of the list that is whole."""
    parameter: str
    """Of that list: names the object."""

    def is_cut(self, obj: JsonObject) -> bool:
        """Tell whether there are more entries than the object shows."""
        shown = obj.get(self.member)
        return isinstance(shown, dict) and bool(shown.get("has_more"))


class Told(NamedTuple):
    """What an event, a list or an answer shows of an object."""

    obj: JsonObject
    shape: Shape
    """What is read of it."""
    provenance: Provenance

    @property
    def id(self) -> str:
        """Stripe's id."""
        return str(self.obj["id"])


class Plan(Protocol):
    """Reads what states depend on beside their rows, of many objects at once."""

    async def __call__(
        self, connection: AsyncConnection, told: Mapping[str, Sequence[Told]], rows: dict[str, WholeRow]
    ) -> StateOf:
        """Return the pure function that gives the state of an object, told what is shown and its row, if there is one.

        Args:
            connection: in a transaction.
            told: what is shown of each object, by id.
            rows: their locked rows; one that is found under another name than the object's id is added.
        """


class Beside(Protocol):
    """Compares an object with a row."""

    def __call__(self, obj: JsonObject, row: Values) -> Columns:
        """Return what the row is to hold when it shows `obj`, where that depends on what only the row knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """How one kind of object is told of, read, written, compared and erased."""

    name: str
    """The objects' `object` member."""
    collection: str
    """Path of Stripe's list of them."""
    table: Table
    shape: type[Shape]
    events: tuple[str, ...]
    """The types of events that tell of them (docs.stripe.com/api/events/types): Stripe has to send these."""
    deletion: str | None = None
    """The type that says that the object is gone: nothing in the object does."""
    left: Columns | None = None
    """Of a deleted object that no snapshot shows: this alone is known of it, too little for a row that is not there."""
    ended: Ended | None
    stage: Callable[[Values], tuple[int, ...]] | None = None
    """Returns what of a row only grows until the object ends."""
    key: str = "id"
    """The column that holds Stripe's id."""
    planned: Plan | None = None
    """None: the row holds nothing but what Stripe says."""
    beside: Beside | None = None
    part: Part | None = None
    silent_change: Callable[[JsonObject], Reference | None] | None = None
    """Returns the object that changed with this one without an event of its own."""
    listing: Mapping[str, str] = field(default_factory=dict)
    """Parameters that make Stripe's list complete."""
    listed: bool = True
    """Whether Stripe lists all of them; else a customer's are listed, once somebody asks for them."""
    guards: bool = False
    """Whether a creation's guards look at these rows: the history is imported, and a recovery must have seen it."""
    of_person: Callable[[Person], ColumnElement[bool]] | None
    """The condition of the rows that are about a person; None: none is."""
    personal: Mapping[str, object] = field(default_factory=dict)
    """The personal columns, and what they hold of a person who is erased."""
    names: tuple[str, ...] = ()
    """Columns with the ids of objects without rows that are about the same person."""

    @property
    def course(self) -> Course:
        """What of an object never goes back."""
        return Course(self.ended, self.stage)

    @property
    def creation(self) -> str | None:
        """The type that shows the object as it was made: nothing is told of it before; None: there is none."""
        return next((name for name in self.events if name.endswith(".created")), None)

    def columns(self, obj: JsonObject) -> Columns:
        """Return what the row holds of an object.

        Raises:
            StripeUnreadable: a member is not as Stripe's reference says.
        """
        return self.shape_of(obj).columns()

    def shape_of(self, obj: JsonObject) -> Shape:
        """Return what is read of an object.

        Raises:
            StripeUnreadable: a member is not as Stripe's reference says.
        """
        if self.left is not None and obj.get("deleted") and not shows_state(obj):
            return Remains(livemode=read(obj, DeletedObject).livemode, left=self.left)
        return read(obj, self.shape)

    def compared(self, obj: JsonObject, row: Row[*tuple[object, ...]]) -> Columns:
        """Return what the row is to hold when it shows `obj`; of a list that is cut nothing is known."""
        columns = self.columns(obj) if self.beside is None else self.beside(obj, row._asdict())
        if self.part is not None and self.is_cut(obj):
            columns.pop(self.part.member)
        return columns

    def is_cut(self, obj: JsonObject) -> bool:
        """Tell whether the object shows some of its parts only."""
        return self.part is not None and self.part.is_cut(obj)

    def only_marks(self, obj: JsonObject) -> bool:
        """Tell whether the object can only mark a row as deleted."""
        return self.left is not None and not shows_state(obj)

    async def plan(
        self, connection: AsyncConnection, told: Mapping[str, Sequence[Told]], rows: dict[str, WholeRow]
    ) -> StateOf:
        """Return what gives the state of an object; see `Plan`."""
        return _as_shown if self.planned is None else await self.planned(connection, told, rows)

    async def write(self, connection: AsyncConnection, obj: JsonObject, *, provenance: Provenance) -> None:
        """Write one object.

        Raises:
            NeedsFetch: it may be older than the row.
            StripeUnreadable: a member is not as Stripe's reference says.
        """
        told = Told(obj, self.shape_of(obj), provenance)
        written = await write_batch(connection, self, {told.id: [told]})
        if not written.taken[told.id]:
            raise NeedsFetch
        await write_changes(connection, written.changes)


def _as_shown(told: Told, row: Values | None) -> State:  # noqa: ARG001 - the row tells nothing more
    return State(told.shape.columns())
