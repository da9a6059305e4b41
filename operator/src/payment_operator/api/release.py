"""The parts of the resource that shape a release: migrations, smoke, cutover, bake, rollback."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from payment_operator.api.fields import Fields, Seconds
from payment_operator.api.measures import MOST, ProbeKey, PrometheusMeasure, WebhookMeasure


class Migrations(Fields, frozen=True, kw_only=True):
    """How the database is migrated. Expand runs before the switch, contract after no older pod exists."""

    mode: Annotated[
        Literal["Enabled", "Disabled"], Meta(description="Disabled: somebody else migrates the database.")
    ] = "Enabled"
    contract_policy: Annotated[
        Literal["AfterBake", "Never"],
        Meta(description="AfterBake: contract migrations run once the release is proven and old pods are gone."),
    ] = "AfterBake"
    lock_timeout_seconds: Annotated[
        int, Meta(ge=1, le=3600, description="A migration gives up a table lock it waits for this long.")
    ] = 10
    statement_timeout_seconds: Annotated[
        int, Meta(ge=1, le=86400, description="A migration's statement is cancelled after this long.")
    ] = 900
    active_deadline_seconds: Annotated[
        int, Meta(ge=10, le=86400, description="A migration Job fails after this long, retries included.")
    ] = 1800
    backoff_limit: Annotated[
        int, Meta(ge=0, le=20, description="How often a migration Job is retried when the failure may pass by itself.")
    ] = 4


class Smoke(Fields, frozen=True, kw_only=True):
    """The check of the candidate's pods before users reach them."""

    timeout_seconds: Annotated[int, Meta(ge=5, le=3600, description="A smoke run fails after this long.")] = 120
    attempts: Annotated[int, Meta(ge=1, le=10, description="The release fails after this many failed runs.")] = 2
    valid_seconds: Annotated[
        int,
        Meta(ge=5, le=86400, description="A result older than this is not trusted at the switch; smoke runs again."),
    ] = 900


class Cutover(Fields, frozen=True, kw_only=True):
    """How traffic moves from the active revision to the candidate."""

    mode: Annotated[
        Literal["Overlap", "Atomic"],
        Meta(
            description="Overlap: the Service selects both revisions for a while, then only the new one; safe with "
            "load balancers that learn endpoints slowly. Atomic: one patch."
        ),
    ] = "Overlap"
    overlap_seconds: Annotated[Seconds, Meta(description="How long both are selected (mode Overlap).")] = 15


class Bake(Fields, frozen=True, kw_only=True):
    """Watching the new revision under real traffic; a breach rolls back."""

    seconds: Annotated[Seconds, Meta(description="How long the new revision is watched after the switch.")] = 300
    interval_seconds: Annotated[int, Meta(ge=1, le=600, description="Time between two looks at the metrics.")] = 10
    max_error_rate_permille: Annotated[
        int, Meta(ge=0, le=1000, description="Largest share of answers 5xx, in thousandths.")
    ] = 10
    max_p99_millis: Annotated[
        int, Meta(ge=1, le=600_000, description="Largest 99th percentile of the answer time, in milliseconds.")
    ] = 1500
    max_restarts: Annotated[
        int, Meta(ge=0, le=100, description="Container restarts of the new revision that are still accepted.")
    ] = 0
    max_database_errors: Annotated[
        int,
        Meta(ge=0, le=1_000_000, description="Database errors of the new revision that are still accepted per look."),
    ] = 5
    max_stripe_error_rate_permille: Annotated[
        int, Meta(ge=0, le=1000, description="Largest share of Stripe calls that fail, in thousandths.")
    ] = 200
    max_interrupted_permille: Annotated[
        int,
        Meta(ge=0, le=1000, description="Largest share of operations' phases that a fault interrupts, in thousandths."),
    ] = 200
    max_decline_increase_permille: Annotated[
        int,
        Meta(
            ge=0,
            le=1000,
            description="So many thousandths more of the payment attempts may be declined than of the former "
            "revision's; judged when both have had minRequests attempts.",
        ),
    ] = 200
    max_refusal_increase_permille: Annotated[
        int,
        Meta(
            ge=0,
            le=1000,
            description="The same of attempts that are refused before any money is asked for, duplicates included.",
        ),
    ] = 300
    min_requests: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="Answers, over as many looks as it takes, that a verdict needs: over the whole bake too.",
        ),
    ] = 20
    min_payment_attempts: Annotated[
        int, Meta(ge=0, le=1_000_000, description="Payment attempts during the bake without which it proves nothing.")
    ] = 1
    failure_limit: Annotated[
        int, Meta(ge=1, le=100, description="This many breaches in a row roll the release back.")
    ] = 3
    max_seconds: Annotated[
        Seconds,
        Meta(description="The longest bake of onInconclusive: Extend, from the switch on."),
    ] = 3600
    prometheus: Annotated[
        list[PrometheusMeasure], Meta(max_length=MOST, description="Further measures, by PromQL.")
    ] = msgspec.field(default_factory=list)
    webhooks: Annotated[list[WebhookMeasure], Meta(max_length=MOST, description="Further measures, by webhook.")] = (
        msgspec.field(default_factory=list)
    )


class Release(Fields, frozen=True, kw_only=True):
    """The steps of a release."""

    promotion: Annotated[
        Literal["Auto", "Manual"],
        Meta(description="Manual: after smoke the release waits for the request promote or approve."),
    ] = "Auto"
    preview_replicas: Annotated[
        int, Meta(ge=1, le=1000, description="API pods of the candidate while it is being tested.")
    ] = 1
    progress_deadline_seconds: Annotated[
        int, Meta(ge=5, le=86400, description="A candidate that is not ready after this long has failed.")
    ] = 600
    smoke: Annotated[Smoke, Meta(description="The check of the candidate's pods.")] = Smoke()
    cutover: Annotated[Cutover, Meta(description="How traffic moves.")] = Cutover()
    bake: Annotated[Bake, Meta(description="What is watched after the switch.")] = Bake()
    probe_key_secret_ref: Annotated[
        ProbeKey | None,
        Meta(
            description="An API key with the scope read that smoke and every look of the bake use: a revision that "
            "refuses every valid key has no callers to be measured by. Without it that is not looked for."
        ),
    ] = None
    on_override: Annotated[
        Literal["Hold", "Restore", "Adopt"] | None,
        Meta(
            description="What follows when somebody else moves the Service's selector. Hold: it stays, nothing is "
            "drained or retired, releases wait. Restore: it is put back. Adopt: the revision that it names becomes the "
            "active one. Left out: Hold in Live mode, Restore in Test mode."
        ),
    ] = None
    on_inconclusive: Annotated[
        Literal["Hold", "Extend", "Proceed"] | None,
        Meta(
            description="What follows a bake that has proven nothing: too few answers or payment attempts, metrics "
            "that cannot be read. Hold: it goes on until there is enough, or a person promotes or rolls back; the way "
            "back stays open. Extend: the same until bake.maxSeconds, then as Proceed. Proceed: the revision counts as "
            "stable, and the status says that it is unproven; when most of the few answers were 5xx, it holds. Left "
            "out: Hold in Live mode, Proceed in Test mode."
        ),
    ] = None
    auto_rollback: Annotated[
        Literal["Enabled", "Disabled"], Meta(description="Disabled: a breach in the bake is only reported.")
    ] = "Enabled"
    drain_seconds: Annotated[
        Seconds, Meta(description="How long a stopping pod goes on serving while its clients leave.")
    ] = 10
    retain_seconds: Annotated[
        Seconds, Meta(description="How long the old revision keeps running after the switch, for an instant rollback.")
    ] = 3600
    revision_history_limit: Annotated[int, Meta(ge=1, le=50, description="How many old revisions are remembered.")] = 5
