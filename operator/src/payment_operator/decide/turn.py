"""One turn of deciding: what was observed, who plays which part, and a part of the decision as it grows."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import msgspec

from payment_operator.backoff import Fault
from payment_operator.decide.placement import Placement
from payment_operator.model.actions import Action, Part, write_record
from payment_operator.model.observed import Observed, Revision
from payment_operator.redaction import redact
from payment_operator.resources.credentials import StagedCredentials
from payment_operator.resources.release_record import ReleaseRecord, StepRecord, moment, stamp

MESSAGE_LIMIT: Final = 1000
AT_ONCE: Final = 0.05


@dataclass(frozen=True)
class Progress:
    """Where a release is."""

    step: str
    waiting: str = ""
    since: str = ""
    deadline: datetime | None = None
    cause: str = ""
    """What keeps it, as a person would find it; part of `waiting` too."""


@dataclass(frozen=True)
class Turn:
    """What the stages share."""

    observed: Observed
    staged: StagedCredentials
    """What may be released; what was observed in the user's Secrets is `observed.sources`."""
    placement: Placement
    decision: Part = field(default_factory=Part)
    others: tuple[Part, ...] = ()
    """The parts of the other concerns."""

    @property
    def planned(self) -> list[Action]:
        """All that this turn asks for, whichever concern does."""
        return [action for part in (self.decision, *self.others) for action in part.actions]

    def save(self, revision: Revision, record: ReleaseRecord) -> None:
        """Write a record; one that this version cannot read is left alone."""
        if revision.record.state == "Unknown":
            return
        self.decision.actions.append(write_record(self.observed.owner.name, revision, record))
        self.decision.look_again(AT_ONCE)

    def attempt(self, action: Action, *, fault: Fault | None) -> None:
        """Do what may fail outside of Kubernetes, unless it failed a moment ago."""
        if fault is not None and self.observed.now < fault.again_at:
            self.decision.look_again(self.seconds_until(fault.again_at))
            return
        self.decision.actions.append(action)
        self.decision.look_again(AT_ONCE)

    def begin(self, revision: Revision, step: str, *, pods: tuple[str, ...] = ()) -> Progress:
        """Write that a step runs, before it does."""
        former, now = revision.record.step(step), stamp(self.observed.now)
        record = msgspec.structs.replace(former, state="Running", at=now, message="", pods=pods)
        self.save(revision, revision.record.with_step(step, record))
        return Progress(step.capitalize(), "", now)

    def finish(self, revision: Revision, step: str, record: ReleaseRecord | None = None) -> Progress:
        """Write that a step has succeeded, into `record` if more of it changes."""
        record = record or revision.record
        former, now = record.step(step), stamp(self.observed.now)
        ended = StepRecord(run=former.run, state="Succeeded", at=now, pods=former.pods, moved=former.moved)
        self.save(revision, record.with_step(step, ended))
        if former.at:
            self.decision.durations.append((step, (self.observed.now - moment(former.at)).total_seconds()))
        return Progress(step.capitalize(), "", now)

    def fail(self, revision: Revision, reason: str, message: str) -> None:
        """End a release that has not had traffic."""
        message = self.clean(message)
        self.save(revision, revision.record.failed(reason, message, at=self.observed.now))
        self.decision.emit_event("ReleaseFailed", f"Revision {revision.number}: {reason}: {message}", warning=True)
        self.decision.outcomes.append("failed")

    def clean(self, message: str) -> str:
        """The message without secrets, at most a thousand characters: the last ones."""
        return redact(message, (*self.observed.sources.secrets, *self.staged.secrets)).strip()[-MESSAGE_LIMIT:]

    def since(self, revision: Revision, step: str) -> str:
        """Since when a step is in its state."""
        return revision.record.step(step).at or revision.record.started_at

    def deadline(self, revision: Revision, step: str, *, seconds: float) -> datetime:
        """When a step that began must be over."""
        begun = revision.record.step(step).at
        return (moment(begun) if begun else self.observed.now) + timedelta(seconds=seconds)

    def seconds_until(self, at: datetime) -> float:
        """Seconds from now, never negative."""
        return max(0.0, (at - self.observed.now).total_seconds())
