"""Faults around one environment on real pods: each stays where it is, is told with its cause, and passes.

A policy that closes the admin port, a quota in mid-release, a bad release with hardly any traffic, an autoscaler of
somebody else's, requests at the same moment, and an API server that is overloaded.
"""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from tests.cluster.chart.release import EVENT, WEBHOOK
from tests.cluster.load.run import HostLoad
from tests.cluster.operator import harness, rights
from tests.cluster.operator.harness import SECRET_VALUES, Operator
from tests.cluster.operator.in_pod import operator_pod
from tests.cluster.operator.loading import purchases
from tests.cluster.operator.sidecars import LABEL, NATIVE, PLAIN, injected, names_of
from tests.cluster.proxy.server import ApiProxy

from payment_operator import names
from payment_operator.resources.pods import ADMIN_PORT, HTTP_PORT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.cluster.operator.harness import Shop

pytestmark = pytest.mark.timeout(1800)
SMALL: dict[str, Any] = {"replicas": 1, "autoscaling": {"mode": "Disabled"}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("contained")


@pytest.fixture(scope="module")
def proxy(shop: Shop, folder: Path) -> Iterator[ApiProxy]:
    with ApiProxy(harness.token_kubeconfig(shop.namespace, folder)) as running:
        yield running


@pytest.fixture(scope="module")
def operator(shop: Shop, proxy: ApiProxy, folder: Path) -> Iterator[Operator]:
    policy = (f"--request-policy={rights.requester_policy(shop.namespace.name)[0]['metadata']['name']}",)
    with Operator((shop.namespace.name,), proxy.kubeconfig, folder, arguments=policy) as running:
        yield running


@pytest.fixture
def closed(shop: Shop) -> Iterator[None]:
    """Nobody but the node reaches the pods' admin port, and the operator is a pod."""
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "closed"},
        "spec": {
            "podSelector": {"matchLabels": {names.LABEL_ENVIRONMENT: shop.name}},
            "policyTypes": ["Ingress"],
            "ingress": [{"ports": [{"protocol": "TCP", "port": HTTP_PORT}]}],
        },
    }
    shop.put(policy)
    try:
        with operator_pod(shop.namespace):
            yield
    finally:
        shop.namespace.kubectl("delete", "networkpolicy", "closed")


@pytest.fixture(scope="module")
def running(shop: Shop, operator: Operator) -> Iterator[Shop]:
    """The environment serves; nobody makes a request in another name, which counts half a minute later."""
    assert operator.process is not None
    policy = {"apiVersion": "v1", "kind": "List", "items": rights.requester_policy(shop.namespace.name)}
    shop.put(policy)
    try:
        shop.apply(**SMALL)
        shop.ready()
        yield shop
    finally:
        shop.namespace.kubectl("delete", "-f", "-", "--wait=false", stdin=json.dumps(policy))


@pytest.fixture
def serving(running: Shop) -> Shop:
    """The environment settled, on the former test's spec unless that has left it as it should not be."""
    if running.condition("Ready").get("status") != "True":
        running.apply(**SMALL)
    running.ready()
    return running


@pytest.fixture(autouse=True)
def cost(say: Callable[[str], None], request: pytest.FixtureRequest) -> Iterator[None]:
    started = time.monotonic()
    yield
    say(f"{request.node.name}: {time.monotonic() - started:.0f} s")


def release(shop: Shop, *, number: int, api: dict[str, Any] | None = None, **spec: Any) -> None:
    """Ask for a revision that differs by a setting that changes nothing."""
    manifest = shop.manifest(**SMALL | spec)
    manifest["spec"]["api"]["config"]["PAYMENTS_EVENT_RETENTION_DAYS"] = str(100 + number)
    manifest["spec"]["api"] |= api or {}
    shop.put(manifest)


def says(shop: Shop, kind: str, *words: str) -> Callable[[dict[str, Any]], bool]:
    """Whether a condition's message has all words."""
    return lambda _: all(word in shop.condition(kind).get("message", "") for word in words)


def test_workers_begin_alone_where_nobody_reaches_their_admin_port(shop: Shop, closed: None) -> None:
    assert closed is None
    shop.apply(**SMALL)
    shop.ready()
    addresses = {name: shop.pods(name)[0]["status"]["podIP"] for name in (names.API, names.WORKER)}
    assert shop.namespace.connects(addresses[names.API], HTTP_PORT, from_="deployment/simulator")
    for address in addresses.values():
        assert not shop.namespace.connects(address, ADMIN_PORT, from_="deployment/simulator")
    flags = ("--seconds", "60", "--rate", "2", "--body", json.dumps(EVENT))
    secret = ("--stripe-secret", SECRET_VALUES["STRIPE_WEBHOOK_SECRET"])
    with HostLoad(shop.address() + WEBHOOK, *flags, *secret) as load:
        assert shop.namespace.until(lambda: sent(shop) > 2, seconds=60), load.result()
    assert shop.namespace.until(lambda: not sent(shop, "state = 'pending'"), seconds=180), "no worker works"
    shop.until(says(shop, "CommandsTaken", f"port {ADMIN_PORT}", "NetworkPolicy"), seconds=240, what="told")
    assert shop.condition("CommandsTaken")["reason"] == "AdminPortUnreachable"
    shop.until(says(shop, "WorkersClaiming", "follows its mounted ConfigMap"), what="told of the workers too")
    assert shop.condition("WorkersClaiming")["status"] == "Unknown"


def sent(shop: Shop, where: str = "true") -> int:
    return int(shop.psql(f"SELECT count(*) FROM events WHERE type = 'load.sent' AND {where}"))


@contextmanager
def quota(shop: Shop, *, jobs: int) -> Iterator[None]:
    """A quota of Jobs in the namespace, in force before the body runs."""
    count = {"count/jobs.batch": str(jobs)}
    shop.put({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "few-jobs"}, "spec": {"hard": count}})
    used = ("get", "resourcequota", "few-jobs", "-o", "jsonpath={.status.used}")
    try:
        assert shop.namespace.until(lambda: shop.namespace.kubectl(*used), seconds=60)
        yield
    finally:
        shop.namespace.kubectl("delete", "resourcequota", "few-jobs", "--ignore-not-found")


def test_a_quota_in_mid_release_keeps_nobody_from_making_again_what_serves(serving: Shop) -> None:
    active = serving.status()["active"]
    with quota(serving, jobs=len(serving.objects("job")) + 1):  # the plan passes, smoke does not
        release(serving, number=1)
        serving.until(says(serving, "Failing", "exceeded quota: few-jobs"), seconds=300, what="refused")
        assert serving.condition("Failing")["reason"] == "WriteRefused"
        step = serving.status()["candidate"]["step"]
        lost = names.deployment(serving.name, names.API, active["hash"])
        uid = deployment(serving, lost)["metadata"]["uid"]
        serving.namespace.kubectl("delete", "deployment", lost, "--wait=false")
        assert serving.namespace.until(lambda: made_again(serving, lost, uid), seconds=120)
        assert says(serving, "Failing", "forbidden: exceeded quota: few-jobs")({})
        status = serving.status()
        assert (status["active"]["hash"], status["candidate"]["step"]) == (active["hash"], step)
    serving.ready(revision=active["revision"] + 1, seconds=400)
    assert serving.condition("Failing")["status"] == "False"


def deployment(shop: Shop, name: str) -> dict[str, Any]:
    found = shop.namespace.kubectl("get", "deployment", name, "-o", "json", "--ignore-not-found")
    return dict(json.loads(found)) if found else {}


def made_again(shop: Shop, name: str, uid: str) -> bool:
    found = deployment(shop, name)
    return bool(found and found["metadata"]["uid"] != uid and (found.get("status") or {}).get("readyReplicas"))


def test_a_foreign_autoscaler_is_left_alone_and_its_name_is_told(serving: Shop) -> None:
    name = names.autoscaler(serving.name, names.API)
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "simulator"}
    foreign = {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 1}
    kind = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler"}
    serving.put(kind | {"metadata": {"name": name, "labels": {"whose": "somebody"}}, "spec": foreign})
    before = autoscaler(serving, name)
    release(serving, number=1, autoscaling={"minReplicas": 1, "maxReplicas": 1})
    serving.until(says(serving, "Failing", f"kubectl delete horizontalpodautoscaler {name}"), what="told")
    assert serving.condition("Failing")["reason"] == "NameTaken"
    release(serving, number=1)  # nobody wants one any more: it is not removed either
    serving.ready()
    assert autoscaler(serving, name) == before
    release(serving, number=1, autoscaling={"minReplicas": 1, "maxReplicas": 1})
    serving.until(says(serving, "Failing", "horizontalpodautoscaler"), what="told again")
    serving.namespace.kubectl("delete", "hpa", name)
    serving.ready()
    assert autoscaler(serving, name)[1]["maxReplicas"] == 1
    assert autoscaler(serving, name)[1]["scaleTargetRef"]["kind"] == names.KIND
    release(serving, number=1)
    assert serving.namespace.until(lambda: not serving.objects("hpa"), seconds=60)


def autoscaler(shop: Shop, name: str) -> tuple[str, dict[str, Any], dict[str, str], bool]:
    found = json.loads(shop.namespace.kubectl("get", "hpa", name, "-o", "json", "--show-managed-fields"))
    metadata = found["metadata"]
    ours = any(entry["manager"] == names.MANAGER for entry in metadata["managedFields"])
    return metadata["uid"], found["spec"], metadata.get("labels") or {}, ours


def test_requests_of_the_same_moment_are_all_answered_and_a_policy_vouches_for_who_asks(serving: Shop) -> None:
    who = ("auth", "whoami", "-o", "jsonpath={.status.userInfo.username}")
    me = serving.namespace.cluster.kubectl(*who)
    assert serving.namespace.until(lambda: vouched(serving, me), seconds=90), (
        "a policy counts half a minute after it was made"
    )
    asked: dict[str, dict[str, Any]] = {"retry": {}, "rotate": {"secret": "secret-key", "compromised": True}}
    with ThreadPoolExecutor(len(asked)) as threads:
        made = list(threads.map(lambda verb: serving.ask(verb, by=me, **asked[verb]), asked))
    answers = [serving.answer(name) for name in made]
    assert all(answer["message"] for answer in answers)
    assert len({answer["number"] for answer in answers}) == len(asked)
    assert {answer["by"] for answer in answers} == {me}, "not told to be unverified"
    assert may_ask_as(serving, me)
    assert not may_ask_as(serving, "somebody else")


def vouched(shop: Shop, name: str) -> bool:
    """Whether a request counts as its author's own."""
    return bool(shop.answer(shop.ask("retry", by=name))["by"] == name)


def may_ask_as(shop: Shop, name: str) -> bool:
    """Whether the API server would take a request in that name."""
    request = {
        "apiVersion": names.API_VERSION,
        "kind": names.REQUEST_KIND,
        "metadata": {"name": "probe"},
        "spec": {"environment": shop.name, "verb": "retry", "by": name},
    }
    create = ("create", "--dry-run=server", "-f", "-", "-o", "name")
    return bool(shop.namespace.kubectl(*create, stdin=json.dumps(request), check=False))


def test_a_family_policy_of_services_is_taken_and_settles(serving: Shop, operator: Operator) -> None:
    def policies() -> set[str]:
        return {item["spec"]["ipFamilyPolicy"] for item in serving.objects("service")}

    def versions() -> set[str]:
        return {item["metadata"]["resourceVersion"] for item in serving.objects("service")}

    def passes() -> float:
        return operator.api_requests().get(("GET", "ControllerRevision"), 0)

    release(serving, number=1, service={"ipFamilyPolicy": "PreferDualStack"})  # of one family here: the wish is kept
    assert serving.namespace.until(lambda: policies() == {"PreferDualStack"}, seconds=60)
    serving.ready()
    before, begun = versions(), passes()
    assert serving.namespace.until(lambda: passes() >= begun + 3, seconds=60)
    assert versions() == before


def test_other_containers_in_every_pod_are_not_mistaken_for_ours(serving: Shop) -> None:
    revision = serving.status()["active"]["revision"] + 1
    with injected(serving.namespace):
        release(serving, number=1, pods={"labels": LABEL})
        seen: dict[str, set[str]] = {}

        def over(status: dict[str, Any]) -> Any:
            for pod in serving.objects("pods"):
                if pod["metadata"]["labels"].get("mesh.example.com/inject"):
                    seen[pod["metadata"]["name"]] = names_of(pod)
            return (status.get("active") or {}).get("revision") == revision and not status.get("candidate")

        serving.until(over, seconds=400, what="switched")
        serving.ready(revision=revision)
    assert not serving.status().get("failed")
    kinds = {name.removeprefix(f"{serving.name}-").partition("-")[0] for name in seen}
    assert {names.API, names.WORKER, "plan", "smoke"} <= kinds
    assert all({NATIVE, PLAIN} < containers for containers in seen.values()), seen
    assert serving.condition("Failing")["status"] == "False"


def test_a_bad_release_fails_on_a_request_every_two_seconds(serving: Shop, say: Callable[[str], None]) -> None:
    active = serving.status()["active"]["hash"]
    env = [{"name": "STRIPE_API_BASE", "value": "http://127.0.0.1:1"}]
    broken = {"podTemplate": {"spec": {"containers": [{"name": "api", "env": env}]}}}
    bake = {"seconds": 45, "intervalSeconds": 5, "maxP99Millis": 60_000}
    with purchases(serving, rate=0.5) as buyers:  # a failed one takes seconds: too few may have ended in the bake
        release(serving, number=1, api=broken, release={"bake": bake, "onInconclusive": "Hold"})
        serving.until(lambda status: status["active"]["hash"] != active, seconds=300, what="switched")
        switched = time.monotonic()
        serving.until(lambda status: status["active"]["hash"] == active, seconds=180, what="back")
        buyers.stop()
        sold = buyers.result()
    failure = serving.status()["failed"][0]
    say(f"back {time.monotonic() - switched:.0f} s after the switch: {failure['message']!r}; {sold['failed_by_kind']}")
    assert failure["reason"] == "BakeFailed"
    assert "5xx" in failure["message"] or "Stripe failed" in failure["message"]
    assert 0 < sold["failed"] < 40


def test_a_release_comes_through_an_overloaded_api_server(running: Shop, operator: Operator, proxy: ApiProxy) -> None:
    """It follows on a release that has failed, or none."""
    active = running.status()["active"]["hash"]
    process, unhealthy = operator.process, []
    with proxy.overloaded(share=0.2, stream_seconds=2.0) as load:
        release(running, number=2)

        def over(status: dict[str, Any]) -> Any:
            code, text = operator.get("/healthz")
            unhealthy.extend([text] if code != 200 else [])
            return status["active"]["hash"] != active and not status.get("candidate")

        running.until(over, seconds=300, what="switched")
    assert (load.refused > 30, load.closed > 20) == (True, True), load
    assert not unhealthy
    assert operator.process is process
    assert not operator.ended
    running.ready()
    assert running.condition("Failing")["status"] == "False"
