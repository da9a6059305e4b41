"""What the operator reports about a PaymentEnvironment."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from payment_operator.api.fields import Fields
from payment_operator.api.rotation import RotationStatus


class Condition(Fields, frozen=True, kw_only=True):
    """One observation, by Kubernetes' conventions."""

    type: Annotated[str, Meta(max_length=316, description="What is observed.")]
    status: Annotated[Literal["True", "False", "Unknown"], Meta(description="Whether it holds.")]
    reason: Annotated[str, Meta(max_length=1024, description="Why, as one word.")]
    message: Annotated[str, Meta(max_length=4096, description="Why, for people.")] = ""
    observed_generation: Annotated[int, Meta(ge=0, description="Generation of the resource that was looked at.")] = 0
    last_transition_time: Annotated[str, Meta(description="When the status changed last.")]


class RevisionStatus(Fields, frozen=True, kw_only=True):
    """A revision that has, or had, traffic."""

    revision: Annotated[int, Meta(description="Number of the revision.")]
    hash: Annotated[str, Meta(description="Hash of the revision.")]
    image: Annotated[str, Meta(description="Its image.")] = ""
    credentials_version: Annotated[int, Meta(description="Version of its credentials.")] = 0
    since: Annotated[str | None, Meta(description="When it got the traffic.")] = None
    ready_replicas: Annotated[int, Meta(description="Its ready API pods.")] = 0


class CandidateStatus(Fields, frozen=True, kw_only=True):
    """The revision being released."""

    revision: Annotated[int, Meta(description="Number of the revision.")]
    hash: Annotated[str, Meta(description="Hash of the revision.")]
    image: Annotated[str, Meta(description="Its image.")] = ""
    step: Annotated[
        str,
        Meta(
            description="Where the release is: Validate, Plan, Expand, Deploy, Smoke, Hold, Scale, CutOver, Bake, "
            "Retire, Contract, or Rollback."
        ),
    ]
    step_since: Annotated[str | None, Meta(description="When the step began.")] = None
    started_at: Annotated[str | None, Meta(description="When the release began.")] = None
    deadline: Annotated[
        str | None, Meta(description="When the step ends by itself: it fails, or its time is over.")
    ] = None
    waiting_for: Annotated[str, Meta(description="What the step waits for.")] = ""
    cause: Annotated[str, Meta(description="What keeps it, as far as Kubernetes has told.")] = ""
    attempt: Annotated[int, Meta(description="Which attempt this is.")] = 1
    ready_replicas: Annotated[int, Meta(description="Its ready API pods.")] = 0


class PreviousStatus(Fields, frozen=True, kw_only=True):
    """The revision that had the traffic before."""

    revision: Annotated[int, Meta(description="Number of the revision.")]
    hash: Annotated[str, Meta(description="Hash of the revision.")]
    image: Annotated[str, Meta(description="Its image.")] = ""
    rollbackable: Annotated[bool, Meta(description="Whether traffic can go back to it.")]
    blocked_reason: Annotated[str | None, Meta(description="Why traffic cannot go back.")] = None
    retain_until: Annotated[str | None, Meta(description="How long it keeps running.")] = None
    ready_replicas: Annotated[int, Meta(description="Its ready API pods.")] = 0


class FailedStatus(Fields, frozen=True, kw_only=True):
    """A revision that failed; it is not tried again by itself."""

    revision: Annotated[int, Meta(description="Number of the revision.")]
    hash: Annotated[str, Meta(description="Hash of the revision.")]
    attempt: Annotated[int, Meta(description="The attempt that failed.")]
    reason: Annotated[str, Meta(description="Why, as one word.")]
    message: Annotated[str, Meta(description="Why, for people; secrets removed.")] = ""
    at: Annotated[str, Meta(description="When.")]


class MigrationStatus(Fields, frozen=True, kw_only=True):
    """The database's schema as the last migration Job left it, and what is left to run."""

    current: Annotated[str, Meta(description="Schema of the database, by the last Job's answer.")] = ""
    target: Annotated[str, Meta(description="Schema that the image wants.")] = ""
    pending: Annotated[list[str], Meta(description="Migrations still to run, with their phase.")] = msgspec.field(
        default_factory=list
    )
    lint: Annotated[list[str], Meta(description="What the plan found.")] = msgspec.field(default_factory=list)
    sql: Annotated[str, Meta(description="The first lines of the SQL still to run; the Job's log has all.")] = ""
    contract_pending: Annotated[bool, Meta(description="Whether contract migrations wait.")] = False


class MeasureStatus(Fields, frozen=True, kw_only=True):
    """One measure of a bake."""

    name: Annotated[str, Meta(description="What is measured.")]
    verdict: Annotated[
        Literal["Passed", "Failed", "Inconclusive"],
        Meta(description="Inconclusive: no answer, or too little evidence; never a pass."),
    ]
    value: Annotated[str, Meta(description="What was found.")] = ""
    limit: Annotated[str, Meta(description="What passes.")] = ""
    evidence: Annotated[str, Meta(max_length=1024, description="What it rests on, or what is missing.")] = ""


class BakeStatus(Fields, frozen=True, kw_only=True):
    """What was measured of a revision since it got the traffic; numbers are at most a minute old."""

    revision: Annotated[int, Meta(description="Number of the revision.")]
    verdict: Annotated[
        Literal["Watching", "Passed", "Failed", "Inconclusive"],
        Meta(description="Watching: the bake goes on. The others stay until the next bake."),
    ]
    looks: Annotated[int, Meta(description="Looks so far that counted.")] = 0
    measures: Annotated[list[MeasureStatus], Meta(max_length=40, description="Every measure.")] = msgspec.field(
        default_factory=list
    )


class EnvironmentStatus(Fields, frozen=True, kw_only=True):
    """What the operator reports."""

    observed_generation: Annotated[int, Meta(ge=0, description="Generation that was looked at.")] = 0
    replicas: Annotated[int, Meta(ge=0, description="API pods of the active revision.")] = 0
    ready_replicas: Annotated[int, Meta(ge=0, description="Ready API pods of the active revision.")] = 0
    selector: Annotated[str, Meta(description="Selects the active revision's API pods, for the autoscaler.")] = ""
    active: Annotated[RevisionStatus | None, Meta(description="The revision that has the traffic.")] = None
    candidate: Annotated[CandidateStatus | None, Meta(description="The revision being released.")] = None
    stable: Annotated[int | None, Meta(description="The last revision that passed its bake.")] = None
    previous: Annotated[PreviousStatus | None, Meta(description="The revision that had the traffic before.")] = None
    failed: Annotated[list[FailedStatus], Meta(max_length=10, description="Failed revisions, newest first.")] = (
        msgspec.field(default_factory=list)
    )
    bake: Annotated[BakeStatus | None, Meta(description="What the last bake measured, or does.")] = None
    migration: Annotated[MigrationStatus | None, Meta(description="The database's schema.")] = None
    rotation: Annotated[RotationStatus | None, Meta(description="The secrets that are rotated.")] = None
    conditions: Annotated[list[Condition], Meta(description="Observations.")] = msgspec.field(default_factory=list)
