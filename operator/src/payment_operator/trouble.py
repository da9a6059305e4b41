"""What was refused or failed in a pass, until the next one: its condition, and when to try again."""

from dataclasses import dataclass, field
from typing import Final

from payment_operator.actions import Action, Apply, Create, Delete, Patch, key_of
from payment_operator.backoff import wait_after
from payment_operator.errors import Refused
from payment_operator.observed import Key
from payment_operator.redaction import redact

FIRST_SECONDS: Final = 1.0
LONGEST_SECONDS: Final = 30.0
IN_A_ROW: Final = 2
"""What may pass by itself is told when it has failed so often."""


@dataclass
class Trouble:
    """What could not be done in one pass."""

    refusals: dict[Key, str] = field(default_factory=dict)
    """By object, in the API server's words: to send the same again does not help."""
    faults: dict[str, str] = field(default_factory=dict)
    """By concern: what may pass by itself, and what is a fault of this program."""
    counts: dict[str, int] = field(default_factory=dict)
    """Passes in a row with a fault of that concern."""
    passes: int = 0
    """In a row with any trouble, this one included."""
    last: str = ""

    @property
    def found(self) -> bool:
        """Whether anything was in vain."""
        return bool(self.refusals or self.faults)

    @property
    def lasting(self) -> dict[str, str]:
        """The faults that did not pass by themselves."""
        return {where: words for where, words in self.faults.items() if self.counts.get(where, 0) >= IN_A_ROW}

    @property
    def wait(self) -> float:
        """Seconds until the next attempt: longer each time."""
        return wait_after(max(0, self.passes - 1), first=FIRST_SECONDS, longest=LONGEST_SECONDS)

    def refused(self, action: Action, error: Refused) -> None:
        """The API server does not take it."""
        key = target(action)
        self.refusals[key] = self.last = f"{error.reason}: {error.message}"

    def failed(self, where: str, error: Exception, *, secrets: tuple[str, ...]) -> None:
        """A concern could not be carried out."""
        self.faults[where] = self.last = redact(f"{type(error).__name__}: {error}", secrets)

    def after(self, former: "Trouble") -> "Trouble":
        """The same, counted on from the pass before."""
        self.counts = {where: former.counts.get(where, 0) + 1 for where in self.faults}
        self.passes = former.passes + 1 if self.found else 0
        return self


def target(action: Action) -> Key:
    """The object that an action writes; of work elsewhere, the one that records it."""
    match action:
        case Apply(manifest) | Create(manifest):
            return key_of(manifest)
        case Patch(kind, name) | Delete(kind, name):
            return kind, name
    then = getattr(action, "then", None)
    return target(then) if then is not None else (type(action).__name__, "")
