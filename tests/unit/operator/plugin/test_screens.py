"""Each screen as text."""

from __future__ import annotations

import json

import pytest
import yaml
from tests.unit.operator.plugin.drawn import SNAPSHOTS, compare
from tests.unit.operator.plugin.objects import (
    BLUE,
    GREEN,
    IMAGE,
    ROOT,
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
    request,
    revision,
    revision_pods,
    service,
)
from tests.unit.operator.plugin.rotated import (
    BLUE_PODS,
    KEY,
    PASSWORD,
    SCHEMA,
    SECRET_KEY,
    WEBHOOK,
    rotated,
    secrets_in_trouble,
    secrets_in_use,
)

from payment_operator.plugin.complaints import error_of
from payment_operator.plugin.describe import history_of, status_of
from payment_operator.plugin.model import Plan
from payment_operator.plugin.plain_yaml import to_yaml
from payment_operator.plugin.screens import history_screen, plan_screen, status_screen
from payment_operator.plugin.snapshot import Observed
from payment_operator.plugin.terminal import Style

PLAIN = Style()
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
        "rotation": {"webhook": WEBHOOK, "apiKey": KEY},
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


def frozen() -> Observed:
    why = "the freeze to end (kubectl payments unfreeze shop)"
    suspended = condition("Suspended", "True", "Frozen", f"request shop-freeze-x7k2p: sale until Monday; {why}")
    status = {"active": active(), "candidate": candidate("Deploy", waitingFor=why), "conditions": [suspended]}
    said = "no release takes a step; repairs, ways back and leaks go on"
    freeze = request("freeze", "Done", number=7, at=ago(90), by="eva", message=said)
    asked = (freeze, request("rotate"), request("promote", "Accepted", revision=18))
    return observed(environment(status=status), *BLUE_PODS, service(BLUE), *asked)


def failed(status: dict[str, object] | None = None) -> Observed:
    message = "webhook: the answer was 503, wanted 200"
    base = {"active": active(), "failed": [FAILED | {"message": message}], "previous": previous()}
    answered = request("retry", "Done", number=4, at=ago(300), by="eva (unverified)", revision=18)
    older = request("promote", "Refused", number=3, at=ago(400), message="no release waits")
    stuck = condition("Stalled", "True", "SmokeFailed", f"revision 18: SmokeFailed: {message}; revision 17 serves")
    found = environment(status=base | {"conditions": [stuck]} | (status or {}))
    return observed(found, *BLUE_PODS, service(BLUE), answered, older)


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
        condition("Ready", "False", "SecretsInvalid"),
        condition("Stalled", "True", "SecretsInvalid", "Secret payments has no key STRIPE_SECRET_KEY; add it"),
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
    "secrets-in-use": secrets_in_use,
    "secrets-in-trouble": secrets_in_trouble,
    "secrets-removable": lambda: rotated(secret_key=SECRET_KEY),
    "secrets-due": lambda: rotated(
        WEBHOOK | {"nextRotation": ago(5)}, KEY | {"nextRotation": ago(5), "rotatedAt": None}, managed=False
    ),
    "not-ready": lambda: observed(
        environment(
            status={
                "active": active(readyReplicas=0),
                "conditions": [condition("Ready", "False", "NoReadyPods", "revision 17: 0 of 2 api pods are ready")],
            }
        )
    ),
    "contract-failed": lambda: rotated(
        conditions=(condition("Stalled", "True", "ContractFailed", "Job shop-contract-9f3c1a2b-a1: lock busy"),)
    ),
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
    "frozen": frozen,
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


@pytest.mark.parametrize("name", SCREENS)
def test_the_status_screen_is_drawn_as_before(name: str) -> None:
    compare(f"status-{name}", status_screen(status_of(SCREENS[name]()), PLAIN))


def test_a_rotation_that_a_release_failed_is_asked_for_again() -> None:
    message = "revision 18 with the new password failed; rotate again, or retry it"
    password = PASSWORD | {"state": "Failed", "message": message}
    found = failed({"rotation": {"database": password}})
    lines = [command.line for command in status_of(found).next]
    assert lines[1] == "kubectl payments retry shop --revision 18"
    assert lines[-1] == "kubectl payments rotate database shop"


def test_colours_mark_both_revisions_on_a_terminal() -> None:
    compare("status-hold-in-colour", status_screen(status_of(hold()), Style(colour=True)))


def test_a_terminal_without_unicode_gets_ascii() -> None:
    lines = status_screen(status_of(hold()), Style(unicode=False))
    compare("status-hold-in-ascii", lines)
    assert "\n".join(lines).isascii()


@pytest.mark.parametrize("name", SCREENS)
def test_programs_get_all_that_the_screen_shows(name: str) -> None:
    status = status_of(SCREENS[name]())
    text, model = "\n".join(status_screen(status, PLAIN)), status.plain()
    assert yaml.safe_load(to_yaml(model)) == json.loads(json.dumps(model)) == model
    shown = [model["headline"], *model["facts"].values(), *(command["line"] for command in model["next"])]
    shown += [value for side in model["sides"] for value in (side["hash"], side["image"], side["role"])]
    shown += [secret[field] for secret in model["secrets"] for field in ("fingerprint", "state", "note")]
    assert all(part in text for part in shown)


def test_commands_that_are_proposed_name_the_namespace_that_was_given() -> None:
    assert all(command.line.endswith(" -n billing") for command in status_of(hold(), suffix=" -n billing").next)


def test_the_history_is_drawn_as_before() -> None:
    status = {"active": active(), "stable": 17, "candidate": candidate("Bake"), "previous": previous()}
    failure = {"reason": "SmokeFailed"}
    revisions = [
        revision(15, "5d5d5d5d", "1.9.3", seconds=9 * 86400, state="Failed", attempt=2, failure=failure),
        revision(18, GREEN, "2.1.0", seconds=260, state="Releasing"),
        revision(16, "0c11aa90", "1.9.4", seconds=8 * 86400, state="Replaced"),
        revision(17, BLUE, "2.0.0", seconds=4 * 86400, state="Active"),
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
    pending=["4 expand: Audit log."],
    lint=[],
    sql="CREATE TABLE audit (\n  id bigint PRIMARY KEY\n);\n",
    source="log of Job shop-plan-7be04d11-a1",
)


def test_a_plan_is_drawn_as_before() -> None:
    compare("plan", plan_screen(PLAN, PLAIN))


def test_a_plan_of_an_image_that_is_not_released_is_drawn_as_before() -> None:
    found = {"revision": None, "image": f"{IMAGE}:2.2.0", "source": "not released, nothing was changed"}
    compare("plan-of-image", plan_screen(Plan(**(vars(PLAN) | found)), PLAIN))


def test_a_plan_that_lint_refuses_is_drawn_as_before() -> None:
    lint = ["migration 4 is declared expand but drops a column"]
    compare("plan-refused", plan_screen(Plan(**(vars(PLAN) | {"lint": lint})), PLAIN))


def test_a_plan_without_migrations_is_drawn_as_before() -> None:
    compare("plan-nothing", plan_screen(Plan(**(vars(PLAN) | {"pending": [], "current": "4", "sql": ""})), PLAIN))


@pytest.mark.parametrize("name", ["status-hold", "history", "plan", "plan-of-image", "rotate-api-key-by-hand"])
def test_the_manual_shows_the_screen_as_it_is_drawn(name: str) -> None:
    assert (SNAPSHOTS / f"{name}.txt").read_text() in (ROOT / "docs/kubectl-payments.md").read_text()


def test_the_manual_shows_secrets_in_trouble_as_they_are_drawn() -> None:
    _, head, below = (SNAPSHOTS / "status-secrets-in-trouble.txt").read_text().partition("\nsecret ")
    assert head + below in (ROOT / "docs/kubectl-payments.md").read_text()


def test_traffic_moved_by_hand_is_told_in_plain_words_with_both_ways_out() -> None:
    moved = "the Service selects revision 16, the commit record names revision 17; written by kubectl-patch"
    conditions = [condition("TrafficOverridden", "True", "TrafficOverridden", moved)]
    shown = status_of(observed(environment(status={"active": active(16), "conditions": conditions})))
    assert shown.headline == "Somebody else moved the Service's selector. Revision 16 serves."
    assert shown.detail == moved
    assert [("Restore" in command.line, "Adopt" in command.line) for command in shown.next[:2]] == [
        (True, False),
        (False, True),
    ]
