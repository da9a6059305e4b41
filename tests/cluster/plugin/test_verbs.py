"""The verbs against a real API server; the test plays the operator, and no pod runs."""

from __future__ import annotations

import json
import re
import subprocess
import tarfile
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from tests.cluster.plugin.world import MANAGED, ROOT, World, answered
from tests.unit.operator.plugin.objects import (
    BLUE,
    GREEN,
    active,
    candidate,
    condition,
    pod,
    previous,
    revision,
)

from payment_operator.plugin import requesting
from payment_operator.plugin.complaints import REQUESTS
from payment_operator.plugin.kubectl import Kubectl

if TYPE_CHECKING:
    from pathlib import Path

CANARY = "Canary7f3kQ9zLx2"
READY = {"conditions": [condition("Ready", "True", "Serving")]}
HOLD = {"active": active(), "candidate": candidate("Hold"), "previous": previous()} | READY
BAKE = {
    "active": active(18, GREEN),
    "candidate": candidate("Bake"),
    "previous": previous(17, BLUE),
} | READY
FAILED = {"revision": 18, "hash": GREEN, "attempt": 1, "reason": "SmokeFailed", "at": "2026-11-25T12:00:00Z"}
STUCK = {"conditions": [condition("Stalled", "True", "SmokeFailed", "revision 18: SmokeFailed: 503")]}
DONE = {"active": active(18, GREEN), "candidate": None, "stable": 18, "previous": previous(17, BLUE)} | READY


ASKED = {"environment": "shop", "by": "admin", "reason": "", "compromised": False}
ROTATION = {"webhook": {"state": "Current", "version": 4, "fingerprint": "5f2a9c01d7e84b36"}}


@pytest.mark.parametrize(
    ("arguments", "status", "wanted"),
    [
        (("promote",), HOLD, 18),
        (("promote", "--revision", "18"), HOLD, 18),
        (("approve",), HOLD, 18),
        (("abort",), HOLD, 18),
        (("rollback",), BAKE, 17),
        (("rollback", "--to", "17"), BAKE, 17),
        (("retry",), {"active": active(), "failed": [FAILED]} | STUCK, 18),
    ],
)
def test_a_request_names_its_revision_and_gets_its_answer(
    world: World, arguments: tuple[str, ...], status: dict[str, Any], wanted: int
) -> None:
    world.environment(status=status)
    with world.operator(answered("Done")) as operator:
        done = world.plugin(*arguments, "--reason", "the test says so")
    assert done.returncode == 0, done.stderr
    assert f"{arguments[0]} {wanted} done" in done.stdout
    assert operator.request == ASKED | {"verb": arguments[0], "revision": wanted, "reason": "the test says so"}


def test_an_answer_for_programs(world: World) -> None:
    world.environment(status=HOLD)
    with world.operator(answered("Done")):
        done = world.plugin("promote", "--output=yaml")
    answer = yaml.safe_load(done.stdout)
    assert (answer["environment"], answer["verb"], answer["revision"]) == ("shop", "promote", 18)
    assert (answer["state"], answer["by"]) == ("Done", "admin (unverified)")


def test_requests_at_once_are_objects_of_their_own(world: World) -> None:
    world.environment(status=HOLD)
    kubectl = Kubectl(flags=("--kubeconfig", str(world.api.kubeconfig("admin", namespace=world.namespace))))
    found = world.stored()
    first = requesting.send(kubectl, found, verb="promote", details={"revision": 18})
    second = requesting.send(kubectl, found, verb="abort", details={"revision": 18}, reason="a fault")
    asked = {item["metadata"]["name"]: item["spec"] for item in world.requests()}
    assert asked == {
        first: ASKED | {"verb": "promote", "revision": 18},
        second: ASKED | {"verb": "abort", "revision": 18, "reason": "a fault"},
    }
    columns = world.kubectl("get", "ereq", first).split()
    assert columns[:4] == ["NAME", "ENVIRONMENT", "VERB", "REVISION"]
    assert "Pending" in columns
    assert "waiting" in world.plugin("status").stdout


def test_releases_are_frozen_and_go_on_by_requests(world: World) -> None:
    world.environment(status=HOLD)
    generation = world.stored()["metadata"]["generation"]
    for verb in ("freeze", "unfreeze"):
        with world.operator(answered("Done", "so it is")) as operator:
            done = world.plugin(verb, "--reason", "sale")
        assert done.returncode == 0, done.stderr
        assert f"{verb} done: so it is" in done.stdout
        assert operator.request == ASKED | {"verb": verb, "reason": "sale"}
        world.kubectl("delete", REQUESTS, "--all")
    assert world.stored()["metadata"]["generation"] == generation


@pytest.mark.parametrize(
    ("flags", "wanted"), [((), {"secret": "webhook"}), (("--compromised",), {"secret": "webhook", "compromised": True})]
)
def test_a_rotation_is_asked_for_and_gets_its_answer(
    world: World, flags: tuple[str, ...], wanted: dict[str, Any]
) -> None:
    world.environment(status={"active": active(), "rotation": ROTATION}, stripe=MANAGED)
    begins = "rotation 5 of the webhook signing secret begins"
    with world.operator(answered("Done", begins)) as operator:
        done = world.plugin("rotate", "webhook", *flags)
    assert done.returncode == 0, done.stderr
    assert f"rotate webhook done: {begins}" in done.stdout
    assert "kubectl payments status shop" in done.stdout
    assert operator.request == ASKED | {"verb": "rotate"} | wanted


def test_the_operator_is_told_of_a_leaked_api_key_and_the_steps_are_printed(world: World) -> None:
    world.environment(status={"active": active()})
    with world.operator(answered("Done", "put a new key into the Secret")) as operator:
        done = world.plugin("rotate", "api-key", "--compromised")
    assert done.returncode == 0, done.stderr
    assert "put a new key into the Secret" in done.stdout
    assert "roll the key in Stripe's Dashboard" in done.stdout
    assert operator.request == ASKED | {"verb": "rotate", "secret": "api-key", "compromised": True}


def test_a_leak_that_the_operator_cannot_help_with_is_refused_with_the_steps(world: World) -> None:
    world.environment(status={"active": active()})
    with world.operator(answered("Refused", "put the new secret into the Secret first")):
        done = world.plugin("rotate", "webhook", "--compromised")
    assert done.returncode == 3
    assert "put the new secret into the Secret first" in done.stderr
    assert "roll the endpoint's secret in Stripe's Dashboard" in done.stderr


def test_a_dry_run_of_a_rotation_changes_nothing(world: World) -> None:
    world.environment(status={"active": active(), "rotation": ROTATION}, stripe=MANAGED)
    before = world.stored()
    done = world.plugin("rotate", "webhook", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "would rotate the webhook secret of shop (nothing is changed)" in done.stdout
    assert "now: version 4, fingerprint 5f2a9c01d7e84b36" in done.stdout
    found = json.loads(world.plugin("rotate", "webhook", "--dry-run", "--output=json").stdout)
    assert (found["changed"], found["now"]["state"]) == (False, "Current")
    assert world.stored() == before


def test_secrets_are_shown_with_their_fingerprints(world: World) -> None:
    world.environment(status={"active": active(), "rotation": ROTATION} | READY)
    assert "5f2a9c01d7e84b36" in world.plugin("status").stdout
    (found,) = json.loads(world.plugin("status", "--output=json").stdout)["secrets"]
    assert (found["what"], found["version"], found["state"]) == ("webhook", 4, "Current")


def test_a_dry_run_of_a_rollback_changes_nothing(world: World) -> None:
    world.environment(status=BAKE)
    world.apply(revision(17, BLUE, "2.0.0", seconds=60), pod(BLUE, "api", "xk2lp"))
    before = world.stored()
    done = world.plugin("rollback", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "to revision 17" in done.stdout
    assert "traffic moves at once" in done.stdout
    assert world.stored() == before


def test_pause_and_resume_write_the_spec_once(world: World) -> None:
    world.environment(status=HOLD)
    assert "paused" in world.plugin("pause").stdout
    assert world.stored()["spec"]["suspend"] is True
    generation = world.stored()["metadata"]["generation"]
    assert "was paused already" in world.plugin("pause").stdout
    assert world.stored()["metadata"]["generation"] == generation
    world.report({"observedGeneration": generation})
    assert "is paused after step Hold" in world.plugin("status").stdout
    assert "resumed" in world.plugin("resume").stdout
    assert world.stored()["spec"]["suspend"] is False


def test_text_and_json_show_the_same_pods(world: World) -> None:
    world.environment(status=HOLD)
    world.apply(pod(BLUE, "api", "xk2lp"), pod(GREEN, "api", "b7q9d"), pod(GREEN, "worker", "m4t8s"))
    text, found = world.plugin("status").stdout, json.loads(world.plugin("status", "-o", "json").stdout)
    shown = [entry["name"] for side in found["sides"] for entry in side["pods"]]
    assert len(shown) == 3
    assert all(name in text for name in shown)
    assert found["next"][0]["line"] == "kubectl payments promote shop --revision 18"


def test_the_history_is_newest_first(world: World) -> None:
    world.environment(status=BAKE)
    world.apply(revision(17, BLUE, "2.0.0", seconds=60, state="Replaced"), revision(18, GREEN, "2.1.0", seconds=10))
    found = json.loads(world.plugin("history", "--output=json").stdout)
    assert [(entry["revision"], entry["state"]) for entry in found] == [(18, "releasing"), (17, "replaced")]


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def test_a_watch_tells_each_change_and_ends_with_the_release(world: World) -> None:
    world.environment(status=HOLD)
    with world.watching("status", "-w") as watch:
        assert "waits for you" in line(watch)
        world.report(BAKE)
        assert "is being watched" in line(watch)
        world.report(DONE)
        assert "Revision 18 serves. Nothing is being released." in line(watch)
        assert watch.wait(timeout=60) == 0


def test_a_watch_of_a_release_that_fails_is_exit_code_1(world: World) -> None:
    world.environment(status=HOLD)
    with world.watching("status", "-w", "--output=json") as watch:
        assert json.loads(line(watch))["state"] == "Waiting"
        world.report({"candidate": None, "failed": [FAILED]} | STUCK)
        assert json.loads(line(watch))["state"] == "Failed"
        assert watch.wait(timeout=60) == 1


def test_a_watch_can_end_when_a_promotion_is_waited_for(world: World) -> None:
    world.environment(status=HOLD)
    assert world.plugin("status", "-w", "--until", "hold").returncode == 0


def test_a_watch_that_takes_too_long_says_where_it_is(world: World) -> None:
    world.environment(status=HOLD)
    done = world.plugin("status", "-w", "--timeout", "1s")
    assert done.returncode == 6
    assert "now: Waiting, step Hold" in done.stderr


def test_a_rollback_can_be_watched_until_traffic_is_back(world: World) -> None:
    world.environment(status=BAKE)

    back = {"active": active(17, BLUE), "candidate": None, "failed": [FAILED]}
    with world.operator(answered("Done"), status=back):
        done = world.plugin("rollback", "-w")
    assert done.returncode == 0, done.stderr


def test_a_report_holds_the_objects_and_no_secret(world: World, tmp_path: Path) -> None:
    world.environment(status=HOLD, api={"env": [{"name": "SMTP_PASSWORD", "value": CANARY}]})
    leaky = deepcopy(pod(BLUE, "api", "xk2lp"))
    leaky["spec"]["containers"][0]["env"] = [{"name": "A", "value": f"postgresql://owner:{CANARY}@db/x"}]
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "payments"}, "stringData": {"a": CANARY}}
    world.apply(leaky, secret)
    path = tmp_path / "report.tar.gz"
    done = world.plugin("report", "--file", str(path))
    assert done.returncode == 0, done.stderr
    with tarfile.open(path) as archive:
        found = {member.name: archive.extractfile(member) for member in archive.getmembers()}
        contents = {name: file.read().decode() for name, file in found.items() if file is not None}
    assert f"report/objects/Pod-shop-api-{BLUE}-xk2lp.json" in contents
    assert "waits for you" in contents["report/status.txt"]
    assert "not available" in contents[f"report/logs/shop-api-{BLUE}-xk2lp.txt"]
    assert CANARY not in done.stdout + json.dumps(contents)
    again = world.plugin("report", "--file", str(path))
    assert again.returncode == 2
    assert "exists already" in again.stderr


def test_kubectl_completes_names_and_revisions(world: World) -> None:
    world.environment(status=HOLD)
    world.apply(revision(17, BLUE, "2.0.0", seconds=60))

    def proposed(*words: str) -> list[str]:
        command = ["kubectl", "__complete", "payments", *words]
        done = subprocess.run(command, env=world.environ(), capture_output=True, text=True, check=True, timeout=60)
        return done.stdout.splitlines()

    assert proposed("pro") == ["promote", ":4"]
    assert proposed("status", "") == ["shop", ":4"]
    assert proposed("logs", "--revision", "") == ["17", ":4"]
    assert proposed("rotate", "") == ["webhook", "api-key", "database", "secret-key", ":4"]
    assert proposed("rotate", "webhook", "") == ["shop", ":4"]
    assert proposed("plan", "--image", "") == [world.stored()["spec"]["image"], ":4"]


@pytest.mark.parametrize("page", ["kubectl-payments.md", "releases.md", "rotation.md"])
def test_the_requests_of_the_pages_are_taken(world: World, page: str) -> None:
    """What docs say about life without the plugin."""
    text = (ROOT / "docs" / page).read_text()
    for block in re.findall(r"<<'END'\n(.*?)\nEND", text, re.DOTALL):
        world.kubectl("create", "-f", "-", stdin=yaml.safe_load(block))
    assert world.requests()
