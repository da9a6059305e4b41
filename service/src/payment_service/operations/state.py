"""What an operation knows between its phases: a type for each kind, stored as its phase and its facts.

A row may be of another version of the service. What that version wrote and this one does not know is never dropped:
such an operation is refused by name, waits with its reason, and is completed by a version that knows it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec
from msgspec import Struct

from payment_service.errors import OperationUnreadable


class State(Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What the phases found out. A kind has a subclass, with its phases as a `Literal` and what each of them learns."""

    phase: str
    tries: int = 0
    """How often the keys at Stripe were changed, because under the former ones it has saved a fault."""

    def facts(self) -> dict[str, object]:
        """Return what is stored beside the phase, in JSON types."""
        facts: dict[str, object] = msgspec.to_builtins(self)
        facts.pop("phase", None)
        return facts


class Stored(State, kw_only=True):
    """A state as it was read; its kind makes it its own."""

    values: dict[str, object]

    def facts(self) -> dict[str, object]:
        """Return what is stored, unchanged."""
        return self.values


class Finished(State):
    """Of an operation that is done in the transaction that records it."""

    phase: str = "finished"


S = TypeVar("S", bound=State)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Kind(Generic[S]):
    """A kind of operation."""

    name: str
    state: type[S]

    def read(self, state: State) -> S:
        """Return a state of this kind.

        Raises:
            OperationUnreadable: it has a phase or a fact that this version does not know, or lacks one that it needs.
        """
        if isinstance(state, self.state):
            return state
        return convert({**state.facts(), "phase": state.phase}, self.state)


def convert(stored: dict[str, object], kind: type[T]) -> T:
    """Return stored JSON as a type.

    Raises:
        OperationUnreadable: another version of the service wrote it.
    """
    try:
        return msgspec.convert(stored, kind)
    except msgspec.ValidationError as error:
        raise OperationUnreadable(
            f"Another version of this service has to complete this operation: {error}", retry_after=60
        ) from error
