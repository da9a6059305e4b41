"""What was refused or failed in a pass, until the next one: its condition, and when to try again."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from payment_operator.backoff import wait_after
from payment_operator.errors import Refused
from payment_operator.model.actions import Action
from payment_operator.model.holds import FIRST_SECONDS, LONGEST_SECONDS, Hold, Holds, target, write_of
from payment_operator.model.observed import Key, Setbacks
from payment_operator.redaction import redact

MOST_CONFLICTS: Final = 5
"""Passes in a row; more, and it is no old view."""
IN_A_ROW: Final = 2
"""What may pass by itself is told when it has failed so often."""


@dataclass
class Trouble:
    """What could not be done in one pass."""

    holds: Holds = field(default_factory=Holds)
    """Carried on from pass to pass."""
    refusals: dict[Key, str] = field(default_factory=dict)
    """By object, in the API server's words: to send the same again does not help."""
    faults: dict[str, str] = field(default_factory=dict)
    """By concern: what may pass by itself, and what is a fault of this program."""
    counts: dict[str, int] = field(default_factory=dict)
    """Passes in a row with a fault of that concern."""
    passes: int = 0
    """In a row with any trouble, this one included."""
    last: str = ""
    pauses: list[float] = field(default_factory=list)
    """Between two attempts at each write that failed."""
    due: dict[Key, datetime] = field(default_factory=dict)
    """When what failed is tried again, by object."""

    @property
    def found(self) -> bool:
        """Whether anything failed."""
        return bool(self.refusals or self.faults)

    @property
    def lasting(self) -> dict[str, str]:
        """The faults that did not pass by themselves."""
        return {where: words for where, words in self.faults.items() if self.counts.get(where, 0) >= IN_A_ROW}

    @property
    def pause(self) -> float:
        """Seconds between two attempts at the write that is tried most often."""
        return min(self.pauses, default=LONGEST_SECONDS)

    def wait(self, now: datetime) -> float:
        """Seconds until the next attempt: longer each time."""
        longest = wait_after(max(0, self.passes - 1), first=FIRST_SECONDS, longest=LONGEST_SECONDS)
        return max(0.0, min(((at - now).total_seconds() for at in self.due.values()), default=longest))

    def setbacks(self, now: datetime) -> Setbacks:
        """What the next pass is to know of it."""
        held = frozenset(key for key, at in self.due.items() if now < at)
        return Setbacks(self.refusals, self.lasting, held, self.pause)

    def too_early(self, action: Action, part: str, *, now: datetime, secrets: tuple[str, ...]) -> bool:
        """Whether an action failed a moment ago and is not to be tried again yet; then it counts as failed still."""
        hold = self.holds.held(write_of(action), now=now) if self.holds.found else None
        if hold is None:
            return False
        self._note(action, part, hold, secrets=secrets)
        return True

    def not_done(self, action: Action, part: str, error: Exception, *, now: datetime, secrets: tuple[str, ...]) -> None:
        """An action was refused, or has failed; it is tried again after a while."""
        self._note(action, part, self.holds.failed(write_of(action), error, now=now), secrets=secrets)

    def failed(self, where: str, error: Exception, *, secrets: tuple[str, ...]) -> None:
        """A concern could not be decided."""
        self.faults[where] = self.last = redact(f"{type(error).__name__}: {error}", secrets)

    def after(self, former: "Trouble", *, now: datetime) -> "Trouble":
        """The same, counted on from the pass before."""
        self.counts = {where: former.counts.get(where, 0) + 1 for where in self.faults}
        self.passes = former.passes + 1 if self.found else 0
        self.holds.tidy(now=now)
        return self

    def _note(self, action: Action, part: str, hold: Hold, *, secrets: tuple[str, ...]) -> None:
        if isinstance(hold.error, Refused):
            self.refusals[target(action)] = self.last = f"{hold.error.reason}: {hold.error.message}"
        else:
            self.failed(part, hold.error, secrets=secrets)
        self.pauses.append(hold.pause)
        self.due[target(action)] = hold.again_at
