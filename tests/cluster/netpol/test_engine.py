"""The engine on real pods: what policies deny does not arrive, what they allow does, new pods included."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.cluster.environment import Namespace

SERVER = """
import http.server, threading
servers = [http.server.ThreadingHTTPServer(("", port), http.server.SimpleHTTPRequestHandler) for port in (8000, 9000)]
[threading.Thread(target=server.serve_forever).start() for server in servers]
"""


def pod(name: str, image: str, **labels: str) -> dict[str, Any]:
    container = {
        "name": "server",
        "image": image,
        "command": ["python", "-c", SERVER],
        "workingDir": "/tmp",
        "ports": [{"name": "http", "containerPort": 8000}, {"name": "admin", "containerPort": 9000}],
        "readinessProbe": {"tcpSocket": {"port": "admin"}, "periodSeconds": 1, "timeoutSeconds": 5},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    security = {"runAsNonRoot": True, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}}
    spec = {"containers": [container], "securityContext": security, "terminationGracePeriodSeconds": 0}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": spec}


def service() -> dict[str, Any]:
    ports = [{"name": "http", "port": 80, "targetPort": "http"}, {"name": "admin", "port": 9000}]
    spec = {"selector": {"app": "web"}, "ports": ports}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": spec}


def apply(namespace: Namespace, *items: dict[str, Any]) -> None:
    namespace.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(items)}))


def policy(name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": name}, "spec": spec}


@pytest.fixture(scope="module")
def pods(namespace: Namespace) -> Namespace:
    image = namespace.images["service"]
    clients = [pod(name, image, app=name) for name in ("friend", "stranger")]
    apply(namespace, pod("web", image, app="web"), service(), *clients)
    namespace.kubectl("wait", "pods", "--all", "--for=condition=Ready", "--timeout=120s")
    return namespace


@pytest.fixture(autouse=True)
def without_policies(pods: Namespace) -> None:
    pods.kubectl("delete", "networkpolicies", "--all")
    assert pods.until(lambda: pods.connects("web", 80, from_="stranger"))


def test_a_denied_port_is_closed_and_an_allowed_one_open(pods: Namespace) -> None:
    friends = {"from": [{"podSelector": {"matchLabels": {"app": "friend"}}}], "ports": [{"port": "http"}]}
    apply(pods, policy("web", {"podSelector": {"matchLabels": {"app": "web"}}, "ingress": [friends]}))
    assert pods.until(lambda: not pods.connects("web", 80, from_="stranger"))
    assert pods.connects("web", 80, from_="friend")  # through the Service
    assert not pods.connects("web", 9000, from_="friend")
    address = pods.kubectl("get", "pod", "web", "-o", "jsonpath={.status.podIP}")
    assert pods.connects(address, 8000, from_="friend")  # and straight to the pod, over the bridge
    assert not pods.connects(address, 8000, from_="stranger")


def test_a_pod_that_is_made_later_is_held_to_the_policies(pods: Namespace) -> None:
    apply(pods, policy("deny", {"podSelector": {}, "policyTypes": ["Ingress"]}))
    apply(pods, pod("late", pods.images["service"], app="late"))
    try:
        pods.kubectl("wait", "pod/late", "--for=condition=Ready", "--timeout=120s")  # the node's probes pass
        address = pods.kubectl("get", "pod", "late", "-o", "jsonpath={.status.podIP}")
        assert pods.until(lambda: not pods.connects(address, 8000, from_="friend"))
    finally:
        pods.kubectl("delete", "pod", "late", "--wait=false")


def test_what_pods_send_is_restricted_towards_pods_and_the_node(pods: Namespace) -> None:
    dns = {
        "to": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}}],
        "ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}],
    }
    web = {"to": [{"podSelector": {"matchLabels": {"app": "web"}}}], "ports": [{"port": "http"}]}
    selector = {"matchLabels": {"app": "friend"}}
    apply(pods, policy("friend", {"podSelector": selector, "policyTypes": ["Egress"], "egress": [dns, web]}))
    assert pods.until(lambda: not pods.connects("web", 9000, from_="friend"))
    assert pods.connects("web", 80, from_="friend")  # its name is found too
    assert not pods.connects("kubernetes.default", 443, from_="friend")
    assert pods.connects("kubernetes.default", 443, from_="stranger")
