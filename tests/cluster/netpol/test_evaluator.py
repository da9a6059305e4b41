"""Generated clusters: our engine and the evaluator of sigs.k8s.io/kube-network-policies say the same of every pair."""

from __future__ import annotations

import json
import subprocess
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.cluster.netpol.policy import isolation, pods
from tests.cluster.netpol.verdicts import reaches
from tests.cluster.node import programs
from tests.requirements import require

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMESPACES = ("shop", "ops")
OUTSIDE = ("10.0.1.9", "192.0.2.1")
PORTS = (80, 8000, 8080)
DIRECTIONS = ("Ingress", "Egress")
# few values and mostly the common ones: pods that a selector, a name and a number all match must not be rare
Strategy = st.SearchStrategy[dict[str, Any]]
LABELS = st.fixed_dictionaries({}, optional={"app": st.sampled_from(["web", "client"]), "tier": st.just("front")})
PROTOCOLS = st.sampled_from(["TCP", "TCP", "UDP", "SCTP"])

values = st.fixed_dictionaries(
    {
        "key": st.sampled_from(["app", "app", "tier"]),
        "operator": st.sampled_from(["In", "NotIn"]),
        "values": st.lists(st.sampled_from(["web", "client", "front"]), min_size=1, max_size=2, unique=True),
    }
)
presence = st.fixed_dictionaries(
    {"key": st.sampled_from(["app", "tier"]), "operator": st.sampled_from(["Exists", "DoesNotExist"])}
)
selectors: Strategy = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"matchLabels": LABELS}),
    st.fixed_dictionaries({"matchExpressions": st.lists(values | presence, max_size=2)}),
    st.fixed_dictionaries({"matchLabels": LABELS, "matchExpressions": st.lists(values | presence, max_size=1)}),
)
blocks = st.fixed_dictionaries(
    {"cidr": st.sampled_from(["0.0.0.0/0", "10.0.0.0/16", "10.0.0.0/24", "10.0.0.2/31"])},
    optional={"except": st.lists(st.sampled_from(["10.0.0.2/32", "10.0.0.2/31"]), max_size=2, unique=True)},
)
peers = st.one_of(
    st.fixed_dictionaries({"podSelector": selectors}),
    st.fixed_dictionaries({"namespaceSelector": selectors}),
    st.fixed_dictionaries({"podSelector": selectors, "namespaceSelector": selectors}),
    st.fixed_dictionaries({"ipBlock": blocks}),
)
names = st.sampled_from(["http", "admin", "nobody"])
ports = st.one_of(
    st.fixed_dictionaries({"port": names}, optional={"protocol": PROTOCOLS}),
    st.fixed_dictionaries({"port": st.sampled_from(PORTS)}, optional={"protocol": PROTOCOLS}),
    st.fixed_dictionaries({"port": st.sampled_from(PORTS), "endPort": st.just(8080)}),
    st.fixed_dictionaries({"protocol": PROTOCOLS}),
)


def rules(peer: str) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Return lists of rules, some of which restrict nothing."""
    listed = {peer: st.lists(peers, min_size=1, max_size=2), "ports": st.lists(ports, min_size=1, max_size=2)}
    both = st.fixed_dictionaries(listed)
    either = st.sampled_from([peer, "ports"]).flatmap(lambda key: st.fixed_dictionaries({key: listed[key]}))
    none: Strategy = st.sampled_from([{}, {peer: [], "ports": []}])
    return st.just([]) | st.lists(both | either | both | none, min_size=1, max_size=2)


types: st.SearchStrategy[Any] = st.lists(st.sampled_from(DIRECTIONS), min_size=1, max_size=2, unique=True)
kinds: tuple[dict[str, st.SearchStrategy[Any]], ...] = (
    {"ingress": rules("from"), "egress": rules("to"), "policyTypes": types},
    {"ingress": rules("from"), "egress": rules("to")},
    {"egress": rules("to")},
    {"ingress": rules("from")},
    {"policyTypes": types},
)
specs = st.one_of([st.fixed_dictionaries({"podSelector": st.just({}) | selectors, **more}) for more in kinds])


def _named(name: str, namespace: str = "", **more: Any) -> dict[str, Any]:
    return {"name": name} | ({"namespace": namespace} if namespace else {}) | more


def _ports(http: int, admin: int, protocol: str) -> list[dict[str, Any]]:
    return [
        {"name": "http", "containerPort": http, "protocol": protocol},
        {"name": "admin", "containerPort": admin, "protocol": "TCP"},
    ]


@st.composite
def clusters(draw: st.DrawFn) -> dict[str, Any]:
    """Return what an API server would list: namespaces with two pods each, and policies."""
    numbers = st.sampled_from(PORTS)
    made = [{"metadata": _named(name, labels=draw(LABELS))} for name in NAMESPACES]
    running = [
        {
            "metadata": _named(f"pod-{index}", NAMESPACES[index % 2], labels=draw(LABELS)),
            "spec": {"containers": [{"name": "main", "ports": _ports(draw(numbers), draw(numbers), draw(PROTOCOLS))}]},
            "status": {"phase": "Running", "podIP": f"10.0.0.{index}"},
        }
        for index in (1, 2, 3, 4)
    ]
    policies = [
        {"metadata": _named(f"policy-{index}", draw(st.sampled_from(NAMESPACES))), "spec": draw(specs)}
        for index in range(draw(st.integers(1, 3)))
    ]
    return {"namespaces": made, "pods": running, "policies": policies}


@pytest.fixture(scope="module")
def evaluator() -> Iterator[subprocess.Popen[str]]:
    """The evaluator as a process: a cluster a line in, verdicts a line out."""
    program = programs.path("policy-evaluator")
    require(
        program.exists(), what="the NetworkPolicy evaluator", command="make cluster-tools PROGRAMS=policy-evaluator"
    )
    with subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def verdicts(evaluator: subprocess.Popen[str], cluster: dict[str, Any], asked: list[tuple[Any, ...]]) -> list[bool]:
    """Return what the evaluator says of each connection."""
    assert evaluator.stdin is not None
    assert evaluator.stdout is not None
    connections = [dict(zip(("from", "to", "port", "protocol"), one, strict=True)) for one in asked]
    evaluator.stdin.write(json.dumps(cluster | {"connections": connections}) + "\n")
    evaluator.stdin.flush()
    answer: list[bool] = json.loads(evaluator.stdout.readline())
    return answer


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(cluster=clusters())
def test_the_engine_and_the_evaluator_agree(evaluator: subprocess.Popen[str], cluster: dict[str, Any]) -> None:
    everyone = pods(cluster["pods"])
    namespaces = {item["metadata"]["name"]: item["metadata"]["labels"] for item in cluster["namespaces"]}
    policies = cluster["policies"]
    out = isolation(policies, direction="egress", everyone=everyone, namespaces=namespaces)
    into = isolation(policies, direction="ingress", everyone=everyone, namespaces=namespaces)
    addresses = [*(pod.address for pod in everyone), *OUTSIDE]
    asked = [one for one in product(addresses, addresses, PORTS, ("TCP", "UDP")) if one[0] != one[1]]
    ours = [reaches(*one, out=out, into=into) for one in asked]
    theirs = verdicts(evaluator, cluster, asked)
    differ = [one for one, own, other in zip(asked, ours, theirs, strict=True) if own != other]
    assert differ == [], json.dumps(cluster)
