"""Each screen as text. UPDATE_SNAPSHOTS=1 writes them anew."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.unit.operator.plugin.objects import (
    BLUE,
    GREEN,
    IMAGE,
    active,
    ago,
    ahead,
    candidate,
    condition,
    environment,
    job,
    observed,
    pod,
    previous,
    revision,
    revision_pods,
    service,
)

from payment_operator.plugin.complaints import error_of
from payment_operator.plugin.describe import history_of, status_of
from payment_operator.plugin.model import Plan
from payment_operator.plugin.observe import Observed
from payment_operator.plugin.screens import history_screen, plan_screen, status_screen
from payment_operator.plugin.terminal import Style

SNAPSHOTS = Path(__file__).parent / "snapshots"
PLAIN = Style()
SCHEMA = {"current": "4", "target": "4"}
DAYS = 4 * 86400
BLUE_PODS = revision_pods(BLUE, seconds=DAYS)
GREEN_PODS = revision_pods(GREEN, seconds=240)
DONE_JOBS = [
    job(GREEN, "plan", started=255, seconds=3),
    job(GREEN, "expand", started=250, seconds=6),
    job(GREEN, "smoke", started=204, seconds=5),
]
FAILED = {"revision": 18, "hash": GREEN, "attempt": 2, "reason": "SmokeFailed", "at": ago(40)}
FORBIDDEN = (
    'Error from server (Forbidden): pods is forbidden: User "eva" cannot list resource "pods" in API group "" '
    'in the namespace "billing"'
)


def releasing(step: str, *owned: object, blue: str | None = BLUE, **more: object) -> Observed:
    status = {"active": active(), "candidate": candidate(step, **more), "migration": SCHEMA}
    return observed(environment(status=status), *BLUE_PODS, service(blue), *owned)  # type: ignore[arg-type]


def bake() -> Observed:
    status = {
        "active": active(18, GREEN, image=f"{IMAGE}:2.1.0", since=ago(70)),
        "candidate": candidate("Bake", stepSince=ago(70), deadline=ahead(230), waitingFor="300 s without a breach"),
        "previous": previous(17, BLUE, image=f"{IMAGE}:2.0.0", retainUntil=ahead(3530)),
        "migration": SCHEMA | {"contractPending": True},
    }
    return observed(environment(status=status), *BLUE_PODS, *GREEN_PODS, *DONE_JOBS, service(GREEN))


def hold() -> Observed:
    status = {
        "active": active(),
        "candidate": candidate("Hold", waitingFor="somebody to promote revision 18"),
        "previous": previous(),
        "migration": SCHEMA,
    }
    found = environment(status=status, release={"promotion": "Manual"})
    return observed(found, *BLUE_PODS, *GREEN_PODS, *DONE_JOBS, service(BLUE))


def broken_image() -> Observed:
    pull = {"reason": "ImagePullBackOff", "message": f'Back-off pulling image "{IMAGE}:2.1.0"'}
    waiting = "2 of 2 pods to be ready"
    pods = [pod(GREEN, "api", "xk2lp", waiting=pull)]
    return releasing("Deploy", *DONE_JOBS[:2], *pods, waitingFor=waiting, deadline=ahead(408), stepSince=ago(95))


def paused() -> Observed:
    status = {"active": active(), "candidate": candidate("Deploy", waitingFor="spec.suspend to be false")}
    return observed(environment(status=status, suspend=True), *BLUE_PODS, service(BLUE))


def failed(status: dict[str, object] | None = None) -> Observed:
    message = "webhook: the answer was 503, wanted 200"
    base = {"active": active(), "failed": [FAILED | {"message": message}], "previous": previous()}
    answered = {"id": "a", "verb": "retry", "target": "18", "result": "Accepted", "at": ago(300)}
    stuck = condition("Stalled", "True", "SmokeFailed", f"revision 18: SmokeFailed: {message}; revision 17 serves")
    found = environment(status=base | {"lastOperation": answered, "conditions": [stuck]} | (status or {}))
    return observed(found, *BLUE_PODS, service(BLUE))


def settled_with_autoscaler() -> Observed:
    metric = {"resource": {"name": "cpu", "target": {"averageUtilization": 70}}}
    current = {"resource": {"name": "cpu", "current": {"averageUtilization": 34}}}
    autoscaler = {
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "shop-api"},
        "spec": {"minReplicas": 2, "maxReplicas": 10, "metrics": [metric]},
        "status": {"desiredReplicas": 2, "currentMetrics": [current]},
    }
    blocked = previous(rollbackable=False, blockedReason="SchemaContracted")
    status = {"active": active(), "previous": blocked, "migration": SCHEMA, "stable": 17}
    return observed(environment(status=status), *BLUE_PODS, service(BLUE), autoscaler)


def stalled() -> Observed:
    conditions = [
        condition("Ready", "False", "SecretMissing"),
        condition("Stalled", "True", "SecretMissing", "Secret payments has no key STRIPE_SECRET_KEY"),
    ]
    return observed(environment(status={"conditions": conditions}))


def hidden() -> Observed:
    found = environment(status={"active": active()})
    return Observed(environment=found, at=hold().at, owned=[service(BLUE)], hidden=[error_of(FORBIDDEN)])


def going_back() -> Observed:
    status = {
        "active": active(18, GREEN, image=f"{IMAGE}:2.1.0", since=ago(95)),
        "candidate": candidate("Rollback", stepSince=ago(4), waitingFor="the overlap to end"),
        "previous": previous(17, BLUE, image=f"{IMAGE}:2.0.0"),
    }
    return observed(environment(status=status), *BLUE_PODS, *GREEN_PODS, *DONE_JOBS, service(None))


SCREENS = {
    "going-back": going_back,
    "settled": settled_with_autoscaler,
    "first-release": lambda: observed(
        environment(status={"candidate": candidate("Expand", revision=1, waitingFor="Job shop-expand-7be04d11-a1")})
    ),
    "deploy-in-trouble": broken_image,
    "smoke-failing": lambda: releasing(
        "Smoke",
        *GREEN_PODS,
        *DONE_JOBS[:2],
        job(GREEN, "smoke", started=30, seconds=None, failed=1),
        attempt=2,
        stepSince=ago(30),
        waitingFor="Job shop-smoke-7be04d11-a1",
    ),
    "hold": hold,
    "paused": paused,
    "paused-at-the-start": lambda: observed(
        environment(
            status={
                "active": active(),
                "conditions": [condition("Reconciling", "True", "Validate", "a new revision: Validate")],
            },
            suspend=True,
        ),
        *BLUE_PODS,
        service(BLUE),
    ),
    "overlap": lambda: releasing("CutOver", *GREEN_PODS, *DONE_JOBS, blue=None, stepSince=ago(9)),
    "bake": bake,
    "failed": failed,
    "stalled": stalled,
    "beginning": lambda: observed(
        environment(
            status={
                "conditions": [condition("Reconciling", "True", "Validate", "a new revision: Validate")],
                "migration": {"current": "0", "target": "2", "pending": ["1 expand: Tables.", "2 expand: Keys."]},
            }
        )
    ),
    "not-seen": lambda: observed(environment(status={"observedGeneration": 4, "active": active()})),
    "hidden": hidden,
}


def compare(name: str, lines: list[str]) -> None:
    text = "\n".join(lines) + "\n"
    kept = SNAPSHOTS / f"{name}.txt"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        kept.parent.mkdir(exist_ok=True)
        kept.write_text(text)
    assert text == kept.read_text(), "drawn otherwise than before; if wanted: UPDATE_SNAPSHOTS=1"


@pytest.mark.parametrize("name", SCREENS)
def test_the_status_screen_is_drawn_as_before(name: str) -> None:
    compare(f"status-{name}", status_screen(status_of(SCREENS[name]()), PLAIN))


def test_colours_mark_both_revisions_on_a_terminal() -> None:
    compare("status-hold-in-colour", status_screen(status_of(hold()), Style(colour=True)))


def test_a_terminal_without_unicode_gets_ascii() -> None:
    lines = status_screen(status_of(hold()), Style(unicode=False))
    compare("status-hold-in-ascii", lines)
    assert "\n".join(lines).isascii()


def test_commands_that_are_proposed_name_the_namespace_that_was_given() -> None:
    assert all(command.line.endswith(" -n billing") for command in status_of(hold(), suffix=" -n billing").next)


def test_the_history_is_drawn_as_before() -> None:
    status = {"active": active(), "stable": 17, "candidate": candidate("Bake"), "previous": previous()}
    failure = {"reason": "SmokeFailed"}
    revisions = [
        revision(15, "5d5d5d5d", "1.9.3", seconds=9 * 86400, state="Failed", attempt=2, failure=failure),
        revision(18, GREEN, "2.1.0", seconds=260, state="Releasing"),
        revision(16, "0c11aa90", "1.9.4", seconds=8 * 86400, state="Replaced"),
        revision(17, BLUE, "2.0.0", seconds=DAYS, state="Active"),
        revision(14, "14141414", "1.9.2", seconds=20 * 86400, state="Superseded"),
    ]
    compare("history", history_screen(history_of(observed(environment(status=status), *revisions)), PLAIN))


PLAN = Plan(
    environment="shop",
    namespace="billing",
    image=f"{IMAGE}:2.1.0",
    revision=18,
    current="3",
    target="4",
    pending=["0004 audit log (expand)"],
    lint=[],
    sql="CREATE TABLE audit (\n  id bigint PRIMARY KEY\n);\n",
    source="log of Job shop-plan-7be04d11-a1",
)


def test_a_plan_is_drawn_as_before() -> None:
    compare("plan", plan_screen(PLAN, PLAIN))


def test_a_plan_that_lint_refuses_is_drawn_as_before() -> None:
    lint = ["0004: DROP COLUMN customers.name is destructive: declare the migration phase=contract"]
    compare("plan-refused", plan_screen(Plan(**(vars(PLAN) | {"lint": lint})), PLAIN))


def test_a_plan_without_migrations_is_drawn_as_before() -> None:
    compare("plan-nothing", plan_screen(Plan(**(vars(PLAN) | {"pending": [], "current": "4", "sql": ""})), PLAIN))
