"""The release record: one annotation on a ControllerRevision says how far the release of that revision is.

Every transition is one patch that tests the record's former text, so an operator that acts on an old view changes
nothing. The record is written before what it allows is done, and a Job's result before anything builds on it.
"""

from datetime import UTC, datetime
from typing import Final, Literal

import msgspec

from payment_operator import names

State = Literal["Releasing", "Active", "Replaced", "Superseded", "Failed", "Unknown"]
"""Unknown is never written: it stands for a record that this version cannot read, and nothing acts on it."""
VERSION: Final = 1
"""Of the record; a newer operator's is left alone."""
StepState = Literal["", "Running", "Succeeded", "Failed"]
ACTIVATED: Final = frozenset({"Active", "Replaced"})


class Part(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """Base of the record's parts."""


class StepRecord(Part, frozen=True, kw_only=True):
    """One step. `run` numbers its Jobs over the whole life of the revision, so that no old result is read again."""

    run: int = 1
    state: StepState = ""
    at: str = ""
    """Since when the state holds."""
    message: str = ""
    pods: tuple[str, ...] = ()
    """Smoke: the pods it proves, as `uid:restarts`."""
    failures: int = 0
    """Smoke: runs of this attempt that failed."""
    moved: int = 0
    """Smoke: runs of this attempt that count as nothing, for pods were moved to other nodes."""
    made: int = 0
    """How often its Job was made in this attempt; Jobs that vanish, or whose answer does, are not made for ever."""


class MigrationRecord(Part, frozen=True, kw_only=True):
    """What the plan said."""

    current: str = ""
    target: str = ""
    pending: tuple[str, ...] = ()
    lint: tuple[str, ...] = ()
    sql: str = ""
    expand: bool = False
    """Whether there is something to run before the switch."""
    contract: bool = False
    """Whether something is left for after it."""


class Failure(Part, frozen=True, kw_only=True):
    """Why a release failed."""

    reason: str
    message: str = ""
    at: str = ""


class ReleaseRecord(Part, frozen=True, kw_only=True):
    """How far the release of one revision is."""

    version: int = VERSION
    state: State = "Releasing"
    attempt: int = 1
    started_at: str = ""
    steps: dict[str, StepRecord] = msgspec.field(default_factory=dict)
    migration: MigrationRecord | None = None
    promoted: bool = False
    key_leaked: bool = False
    """Whether the API key in its credentials has leaked: what replaces it is not held, and it is not retained."""
    switch: int = 0
    """Which switch of the environment, counted from 1, gave it the traffic: no clock tells their order."""
    active_at: str = ""
    stable_at: str = ""
    unproven: str = ""
    """Why it counts as stable though its bake has proven nothing."""
    replaced_at: str = ""
    retired_at: str = ""
    failure: Failure | None = None
    rollback_from: str = ""
    """Hash of what the spec asks for and what a person left for this one: of the revision, if the two differ only in
    their credentials, else without the credentials."""
    operation: str = ""
    """Id of the last request that changed this record."""

    def step(self, name: str) -> StepRecord:
        """The record of a step, new if it has not begun."""
        return self.steps.get(name, StepRecord())

    def done(self, name: str) -> bool:
        """Whether a step has succeeded."""
        return self.step(name).state == "Succeeded"

    def with_step(self, name: str, step: StepRecord) -> "ReleaseRecord":
        """The record with this step in it."""
        return msgspec.structs.replace(self, steps=self.steps | {name: step})

    def again(self, *, at: datetime, operation: str = "", rollback_from: str = "") -> "ReleaseRecord":
        """The record of the next attempt: every step runs anew under new numbers."""
        steps = {name: StepRecord(run=step.run + (step.state != "")) for name, step in self.steps.items()}
        return ReleaseRecord(
            attempt=self.attempt + 1,
            started_at=stamp(at),
            steps=steps,
            operation=operation or self.operation,
            rollback_from=rollback_from,
            key_leaked=self.key_leaked,
        )

    def failed(self, reason: str, message: str, *, at: datetime, operation: str = "") -> "ReleaseRecord":
        """The record of a release that is over without success."""
        failure = Failure(reason=reason, message=message, at=stamp(at))
        operation = operation or self.operation
        return msgspec.structs.replace(self, state="Failed", failure=failure, operation=operation)

    @property
    def times(self) -> list[str]:
        """Every moment in it."""
        own = [self.started_at, self.active_at, self.stable_at, self.replaced_at, self.retired_at]
        return own + [step.at for step in self.steps.values()] + ([self.failure.at] if self.failure else [])

    def encode(self) -> str:
        """The annotation's text."""
        return msgspec.json.encode(self, order="sorted").decode()


def decode(annotations: dict[str, str]) -> ReleaseRecord:
    """Read the record of a ControllerRevision; one that cannot be read is Unknown, with the reason as its failure."""
    try:
        found = msgspec.json.decode(annotations.get(names.ANNOTATION_RELEASE, "{}"), type=ReleaseRecord)
    except msgspec.DecodeError as error:
        return _unknown(str(error))
    if found.version > VERSION:
        return _unknown(f"its version is {found.version}, this operator reads {VERSION}")
    if wrong := next((at for at in found.times if at and not readable(at)), ""):
        return _unknown(f"{wrong[:40]!r} is no moment")
    return found


def _unknown(why: str) -> ReleaseRecord:
    return ReleaseRecord(state="Unknown", failure=Failure(reason="RecordUnknown", message=why))


def stamp(at: datetime) -> str:
    """A moment as the API writes it, to the second."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def readable(text: str) -> bool:
    """Whether `moment` can read it."""
    try:
        return moment(text).tzinfo is not None
    except ValueError:
        return False


def moment(text: str) -> datetime:
    """The moment that `stamp` wrote."""
    return datetime.fromisoformat(text)
