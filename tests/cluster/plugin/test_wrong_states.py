"""Every verb in a state in which it cannot do its work: the error tells the fix, the exit code tells the kind."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.cluster.api_server import NOBODY, ApiServer
from tests.cluster.plugin.world import MANAGED, World, answered, new_world
from tests.unit.operator.plugin.objects import BLUE, active, candidate, pod, previous
from tests.unit.operator.plugin.wrong import WRONG, changed

from payment_operator.plugin.complaints import REQUESTS
from payment_operator.plugin.verbs.lint import check

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any


HOLD = {"active": active(), "candidate": candidate("Hold"), "previous": previous()}
PLURAL = "paymentenvironments.payments.leanconstruction.io"


def test_a_cluster_without_the_kind(tmp_path: Path, folder: Path) -> None:
    bare = ApiServer(tmp_path)
    try:
        bare.start()
        done = new_world(bare, folder).plugin("status")
    finally:
        bare.stop()
    assert done.returncode == 4
    assert "CustomResourceDefinition is not installed" in done.stderr
    assert "helm install" in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        "status",
        "plan",
        "plan --image registry.example.com/lean-payments-service:2.2.0",
        "history",
        "promote",
        "approve",
        "abort",
        "retry",
        "rollback",
        "freeze",
        "unfreeze",
        "pause",
        "resume",
        "rotate webhook",
        "rotate api-key --dry-run",
        "logs",
        "report",
    ],
)
def test_a_namespace_without_an_environment(world: World, words: str) -> None:
    done = world.plugin(*words.split())
    assert done.returncode == 4
    assert f"namespace {world.namespace} has no PaymentEnvironment" in done.stderr


def test_an_environment_that_lives_in_another_namespace(world: World) -> None:
    world.environment("elsewhere")
    done = world.plugin("status", "-n", "default")
    assert done.returncode == 4
    assert f"kubectl payments status elsewhere -n {world.namespace}" in done.stderr


def test_several_environments_in_the_namespace(world: World) -> None:
    world.environment("shop")
    world.environment("store", status=HOLD)
    done = world.plugin("promote")
    assert done.returncode == 2
    assert "has 2 PaymentEnvironments: shop, store" in done.stderr
    assert "kubectl payments VERB NAME" in done.stderr
    assert world.plugin("status", "store").returncode == 0


def test_a_name_that_does_not_exist(world: World) -> None:
    world.environment()
    done = world.plugin("status", "shopp")
    assert done.returncode == 4
    assert "named shopp" in done.stderr
    assert "this namespace has: shop" in done.stderr


def test_no_right_to_look_names_the_missing_rule(world: World) -> None:
    world.environment()
    done = world.plugin("status", user=NOBODY)
    assert done.returncode == 5
    for part in ('resources: ["paymentenvironments"]', 'verbs: ["list"]', f"Role in {world.namespace}"):
        assert part in done.stderr


@pytest.mark.parametrize(
    ("words", "right", "resource"),
    [
        ("promote", "create", "environmentrequests"),
        ("abort", "create", "environmentrequests"),
        ("rotate webhook", "create", "environmentrequests"),
        ("freeze", "create", "environmentrequests"),
        ("pause", "patch", "paymentenvironments"),
    ],
)
def test_no_right_to_change_names_the_missing_rule(world: World, words: str, right: str, resource: str) -> None:
    world.environment(status=HOLD, stripe=MANAGED)
    world.allow("get,list", PLURAL)
    done = world.plugin(*words.split(), user=NOBODY)
    assert done.returncode == 5
    assert f'resources: ["{resource}"]' in done.stderr
    assert f'verbs: ["{right}"]' in done.stderr
    assert not world.requests()
    assert not world.stored()["spec"].get("suspend")


def test_who_may_make_requests_may_not_change_the_environment(world: World) -> None:
    world.environment(status=HOLD)
    for verb, resource in (("get,list", PLURAL), ("get,list,create", REQUESTS)):
        world.allow(verb, resource)
    with world.operator(answered("Done")):
        assert world.plugin("promote", user=NOBODY).returncode == 0
    assert world.plugin("pause", user=NOBODY).returncode == 5


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"verb": "rotate"}, "spec.secret belongs to the verb rotate"),
        ({"verb": "abort", "secret": "webhook"}, "spec.secret belongs to the verb rotate"),
        ({"verb": "abort", "compromised": True}, "spec.compromised belongs to the verb rotate"),
        ({"verb": "freeze", "revision": 18}, "spec.revision belongs to the verbs promote"),
        ({"verb": "approve"}, "an approval names its revision"),
        ({"verb": "promote", "revision": 10**30}, "revision"),
        ({"verb": "promote", "revision": 0}, "greater than or equal to 1"),
        ({"verb": "promote", "reason": "x" * 1025}, "1024"),
        ({"verb": "promote", "reason": "two\nlines"}, "should match"),
        ({"verb": "destroy"}, "Unsupported value"),
        ({"verb": "abort", "environment": "../shop"}, "should match"),
    ],
)
def test_a_wrong_request_is_refused_by_the_api_server(world: World, spec: dict[str, Any], says: str) -> None:
    kind = {"apiVersion": "payments.leanconstruction.io/v1alpha1", "kind": "EnvironmentRequest"}
    request = kind | {"metadata": {"generateName": "shop-"}, "spec": {"environment": "shop"} | spec}
    place = f"--namespace={world.namespace}"
    done = world.api.kubectl(place, "create", "--validate=strict", "-f", "-", stdin=json.dumps(request))
    assert done.returncode != 0
    assert says in done.stderr
    assert not world.requests()


def test_a_request_cannot_be_changed(world: World) -> None:
    world.environment(status=HOLD)
    world.plugin("promote", "--timeout-answer", "0.1s")
    (request,) = world.requests()
    change, name = json.dumps({"spec": {"verb": "abort"}}), request["metadata"]["name"]
    place = f"--namespace={world.namespace}"
    done = world.api.kubectl(place, "patch", REQUESTS, name, "--type=merge", f"--patch={change}")
    assert "a request cannot be changed" in done.stderr


def test_no_right_to_see_revisions_names_the_missing_rule(world: World) -> None:
    world.environment(status=HOLD)
    world.allow("get,list", PLURAL)
    done = world.plugin("history", user=NOBODY)
    assert done.returncode == 5
    for part in ('apiGroups: ["apps"]', 'resources: ["controllerrevisions"]', 'verbs: ["list"]'):
        assert part in done.stderr


def test_no_right_to_read_logs_names_the_missing_rule(world: World) -> None:
    world.environment(status=HOLD)
    world.apply(pod(BLUE, "api", "xk2lp"))
    for verb, resource in (("get,list", PLURAL), ("list", "pods")):
        world.allow(verb, resource)
    done = world.plugin("logs", "--blue", user=NOBODY)
    assert done.returncode == 5
    for part in ('resources: ["pods/log"]', 'verbs: ["get"]', f"Role in {world.namespace}"):
        assert part in done.stderr


def test_the_rest_is_shown_when_only_a_part_may_be_seen(world: World) -> None:
    world.environment(status=HOLD)
    world.allow("get,list", PLURAL)
    done = world.plugin("status", user=NOBODY)
    assert done.returncode == 0
    assert "waits for you" in done.stdout
    assert "nobody may not list pods" in done.stdout
    found = json.loads(world.plugin("status", "--output=json", user=NOBODY).stdout)
    assert found["state"] == "Waiting"
    assert len(found["hidden"]) == 7


def test_a_stale_revision_is_refused_and_nothing_is_written(world: World) -> None:
    world.environment(status=HOLD)
    done = world.plugin("promote", "--revision", "17")
    assert done.returncode == 3
    assert "revision 17 is stale: revision 18 is being released" in done.stderr
    assert not world.requests()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("promote",), "no revision is being released"),
        (("abort",), "no revision is being released"),
        (("retry",), "no revision has failed"),
        (("rollback",), "no earlier revision"),
        (("rollback", "--to", "17"), "revision 17 serves already"),
        (("rotate", "api-key"), "into the Secret payments, key STRIPE_SECRET_KEY"),
        (("rotate", "database", "--compromised"), "take LOGIN from the former role at once"),
        (("rotate", "webhook"), "kubectl patch secret payments"),
        (("rotate", "webhook", "--dry-run"), "spec.stripe.webhook.provider is SecretRef"),
        (("rotate", "database"), "set spec.database.rotation.mode to AlternatingRoles"),
    ],
)
def test_a_verb_that_does_not_fit_is_refused(world: World, arguments: tuple[str, ...], says: str) -> None:
    world.environment(status={"active": active()})
    done = world.plugin(*arguments)
    assert done.returncode == 3
    assert says in done.stderr


def test_a_rotation_that_runs_refuses_another_and_nothing_is_written(world: World) -> None:
    running = {"state": "Overlapping", "version": 4, "message": "no event has come with the new secret yet"}
    world.environment(status={"active": active(), "rotation": {"webhook": running}}, stripe=MANAGED)
    done = world.plugin("rotate", "webhook")
    assert done.returncode == 3
    assert "rotation 4 is under way, Overlapping: no event has come" in done.stderr
    assert not world.requests()


def test_the_operators_refusal_is_the_error(world: World) -> None:
    world.environment(status=HOLD)
    with world.operator(answered("Refused", "the smoke result is too old: it runs again")):
        done = world.plugin("promote")
    assert done.returncode == 3
    assert "the operator refused it: the smoke result is too old" in done.stderr


def test_without_an_operator_the_request_stays_and_the_way_back_is_named(world: World) -> None:
    world.environment(status=HOLD)
    done = world.plugin("abort", "--timeout-answer", "1s")
    assert done.returncode == 6
    assert "component=operator" in done.stderr
    assert world.plugin("promote", "--timeout-answer", "1s").returncode == 6
    assert len(world.requests()) == 2
    withdraw = done.stderr.partition("withdraw it: kubectl ")[2].split()
    world.kubectl(*withdraw)
    (left,) = world.requests()
    assert left["spec"]["verb"] == "promote"


def test_logs_of_a_revision_that_is_gone(world: World) -> None:
    world.environment(status=HOLD)
    done = world.plugin("logs", "--blue")
    assert done.returncode == 4
    assert "kubectl get events" in done.stderr
    done = world.plugin("logs", "--revision", "3")
    assert "revision 3 is not remembered; there are none" in done.stderr


def test_a_plan_that_has_not_run(world: World) -> None:
    world.environment()
    done = world.plugin("plan")
    assert done.returncode == 4
    assert "no plan has run yet" in done.stderr


def test_an_api_server_that_does_not_answer(world: World) -> None:
    done = world.plugin("status", "--server=https://127.0.0.1:1")
    assert done.returncode == 7
    assert "no API server answers" in done.stderr


def test_credentials_that_are_not_accepted(world: World) -> None:
    done = world.plugin("status", "--token=wrong")
    assert done.returncode == 5
    assert "log in again" in done.stderr


def test_a_context_that_does_not_exist(world: World) -> None:
    done = world.plugin("status", "--context=nowhere")
    assert done.returncode == 2
    assert "get-contexts" in done.stderr


def test_a_wrong_file_is_exit_code_1_for_scripts(world: World) -> None:
    text = json.dumps(changed("minimal.yaml", "spec.replicas", -1))
    done = world.plugin("lint", "-f", "-", stdin=text)
    assert done.returncode == 1
    assert "spec.replicas: -1 is too small; use 0 or more" in done.stdout


def test_a_file_that_is_no_yaml(world: World) -> None:
    done = world.plugin("lint", "-f", "-", stdin="a: [")
    assert done.returncode == 2
    assert "did not find expected" in done.stderr


@pytest.mark.parametrize(("sample", "path", "value", "says"), WRONG)
def test_the_api_server_refuses_what_lint_refuses(
    api: ApiServer, sample: str, path: str, value: Any, says: str
) -> None:
    document = changed(sample, path, value)
    assert says in check(document)[0]
    refused = api.kubectl("apply", "--server-side", "--dry-run=server", "-f", "-", stdin=json.dumps(document))
    assert refused.returncode != 0
