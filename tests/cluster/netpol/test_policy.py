"""The policies of the API's own description, decided without a node."""

from __future__ import annotations

import shutil
import subprocess
from typing import Any

import pytest
from tests.cluster.netpol import verdicts
from tests.cluster.netpol.policy import Direction, Isolation, Pod, isolation, pods, selects
from tests.cluster.netpol.ruleset import render
from tests.requirements import require

NAMESPACES = {"shop": {"team": "shop"}, "ops": {"team": "ops"}}
WEB = Pod("shop", "web", "10.0.0.1", {"app": "web"}, {("TCP", "http"): 8000})
NEW_WEB = Pod("shop", "web-2", "10.0.0.2", {"app": "web", "canary": "yes"}, {("TCP", "http"): 8080})
CLIENT = Pod("shop", "client", "10.0.0.3", {"app": "client"}, {})
MONITOR = Pod("ops", "monitor", "10.0.0.4", {"app": "monitor"}, {})
STRANGER = Pod("ops", "client", "10.0.0.5", {"app": "client"}, {})
EVERYONE = [WEB, NEW_WEB, CLIENT, MONITOR, STRANGER]


def policy(spec: dict[str, Any], *, namespace: str = "shop") -> dict[str, Any]:
    return {"metadata": {"namespace": namespace, "name": "p"}, "spec": spec}


def isolated(direction: Direction, *policies: dict[str, Any]) -> Isolation:
    return isolation(policies, direction=direction, everyone=EVERYONE, namespaces=NAMESPACES)


def reaches(source: Pod | str, target: Pod | str, port: int, *policies: dict[str, Any], protocol: str = "TCP") -> bool:
    """Tell whether the policies let a packet through, as the table's hooks would."""
    start = source if isinstance(source, str) else source.address
    end = target if isinstance(target, str) else target.address
    out, into = isolated("egress", *policies), isolated("ingress", *policies)
    return verdicts.reaches(start, end, port, protocol, out=out, into=into)


def test_without_a_policy_everything_passes() -> None:
    assert reaches(STRANGER, WEB, 8000)


def test_a_policy_without_rules_denies_to_the_selected_pods_only() -> None:
    deny = policy({"podSelector": {"matchLabels": {"canary": "yes"}}})
    assert not reaches(CLIENT, NEW_WEB, 8080, deny)
    assert reaches(CLIENT, WEB, 8000, deny)
    assert reaches(NEW_WEB, WEB, 8000, deny)  # what it sends is not restricted


def test_the_empty_selector_takes_all_pods_of_the_policys_namespace() -> None:
    deny = policy({"podSelector": {}, "policyTypes": ["Ingress"]})
    assert not reaches(CLIENT, WEB, 8000, deny)
    assert reaches(CLIENT, MONITOR, 9090, deny)


def test_policies_add_up() -> None:
    clients = policy({"podSelector": {}, "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "client"}}}]}]})
    monitors = policy(
        {"podSelector": {}, "ingress": [{"from": [{"namespaceSelector": {"matchLabels": {"team": "ops"}}}]}]}
    )
    assert reaches(CLIENT, WEB, 8000, clients, monitors)
    assert reaches(MONITOR, WEB, 8000, clients, monitors)
    assert not reaches(MONITOR, WEB, 8000, clients)
    assert not reaches(STRANGER, WEB, 8000, clients)  # the same label, but in another namespace


def test_both_selectors_in_one_peer_must_hold_and_two_peers_are_alternatives() -> None:
    ops, client = (
        {"namespaceSelector": {"matchLabels": {"team": "ops"}}},
        {"podSelector": {"matchLabels": {"app": "client"}}},
    )
    both = policy({"podSelector": {}, "ingress": [{"from": [ops | client]}]})
    either = policy({"podSelector": {}, "ingress": [{"from": [ops, client]}]})
    assert [reaches(pod, WEB, 8000, both) for pod in (STRANGER, MONITOR, CLIENT)] == [True, False, False]
    assert [reaches(pod, WEB, 8000, either) for pod in (STRANGER, MONITOR, CLIENT)] == [True, True, True]


def test_an_empty_rule_allows_everybody_and_an_empty_list_of_rules_nobody() -> None:
    assert reaches(STRANGER, WEB, 8000, policy({"podSelector": {}, "ingress": [{}]}))
    assert not reaches(STRANGER, WEB, 8000, policy({"podSelector": {}, "ingress": []}))


@pytest.mark.parametrize(
    ("port", "reached"),
    [
        ({"port": 8000}, {("TCP", 8000)}),
        ({"port": "http"}, {("TCP", 8000)}),
        ({"port": "grpc"}, set()),
        ({"port": 8000, "endPort": 8002}, {("TCP", 8000), ("TCP", 8002)}),
        ({"port": 8000, "protocol": "UDP"}, {("UDP", 8000)}),
        ({"protocol": "UDP"}, {("UDP", 8000), ("UDP", 8002), ("UDP", 9000)}),
    ],
)
def test_ports_of_what_is_let_in(port: dict[str, Any], reached: set[tuple[str, int]]) -> None:
    allow = policy({"podSelector": {}, "ingress": [{"ports": [port]}]})
    asked = [(protocol, number) for protocol in ("TCP", "UDP") for number in (8000, 8002, 9000)]
    found = {(kind, number) for kind, number in asked if reaches(CLIENT, WEB, number, allow, protocol=kind)}
    assert found == reached


def test_a_named_port_of_what_is_sent_is_looked_up_in_each_receiver() -> None:
    allow = policy(
        {
            "podSelector": {"matchLabels": {"app": "client"}},
            "policyTypes": ["Egress"],
            "egress": [{"to": [{"podSelector": {"matchLabels": {"app": "web"}}}], "ports": [{"port": "http"}]}],
        }
    )
    assert reaches(CLIENT, WEB, 8000, allow)
    assert reaches(CLIENT, NEW_WEB, 8080, allow)
    assert not reaches(CLIENT, NEW_WEB, 8000, allow)
    anywhere = policy(
        {"podSelector": {}, "egress": [{"ports": [{"port": "http"}, {"port": 443}]}], "policyTypes": ["Egress"]}
    )
    assert reaches(CLIENT, NEW_WEB, 8080, anywhere)
    assert reaches(CLIENT, "1.2.3.4", 443, anywhere)
    assert not reaches(CLIENT, "1.2.3.4", 8080, anywhere)


def test_a_block_of_addresses_with_a_hole() -> None:
    block = {"ipBlock": {"cidr": "10.0.0.0/24", "except": ["10.0.0.4/31"]}}
    allow = policy({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"to": [block]}]})
    assert reaches(CLIENT, WEB, 8000, allow)
    assert not reaches(CLIENT, MONITOR, 8000, allow)
    assert not reaches(CLIENT, "1.2.3.4", 443, allow)


@pytest.mark.parametrize(
    ("expression", "matches"),
    [
        ({"operator": "In", "values": ["web", "api"]}, [True, False, False]),
        ({"operator": "NotIn", "values": ["web"]}, [False, True, True]),
        ({"operator": "Exists"}, [True, True, False]),
        ({"operator": "DoesNotExist"}, [False, False, True]),
    ],
)
def test_selector_expressions(expression: dict[str, Any], matches: list[bool]) -> None:
    selector = {"matchExpressions": [{"key": "app"} | expression]}
    assert [selects(selector, labels) for labels in ({"app": "web"}, {"app": "client"}, {})] == matches


def test_pods_without_an_address_of_their_own_are_left_out() -> None:
    def observed(phase: str = "Running", *, host: bool = False, address: str = "10.0.0.9") -> dict[str, Any]:
        spec = {"hostNetwork": host, "containers": [{"ports": [{"name": "http", "containerPort": 80}]}]}
        status = {"phase": phase, "podIP": address}
        return {"metadata": {"namespace": "shop", "name": "x"}, "spec": spec, "status": status}

    (found,) = pods([observed(), observed("Succeeded"), observed("Failed"), observed(host=True), observed(address="")])
    assert (found.address, found.ports) == ("10.0.0.9", {("TCP", "http"): 80})


def test_nftables_takes_the_table() -> None:
    require(shutil.which("nft"), what="nft as root", command="apt-get install nftables")
    policies = [
        policy({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}),
        policy({"podSelector": {}, "ingress": [{"from": [{"podSelector": {}}], "ports": [{"port": "http"}]}]}),
        policy({"podSelector": {}, "ingress": [{"ports": [{"port": 1, "endPort": 9}, {"protocol": "SCTP"}]}]}),
        policy(
            {
                "podSelector": {},
                "policyTypes": ["Egress"],
                "egress": [
                    {"to": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16", "10.1.2.0/24"]}}]},
                    {"to": [{"podSelector": {"matchLabels": {"app": "nobody"}}}]},
                    {"to": [{"ipBlock": {"cidr": "2000::/3", "except": ["2001:db8::/32"]}}], "ports": [{"port": 443}]},
                ],
            }
        ),
    ]
    text = render(ingress=isolated("ingress", *policies), egress=isolated("egress", *policies))
    for table in (text, render(ingress={}, egress={})):
        done = subprocess.run(["nft", "--check", "-f", "-"], input=table, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr + table
