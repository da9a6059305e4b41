"""What only some tests need, as host processes beside the node: metrics, monitoring, network policies."""

from __future__ import annotations

import base64
import json
import sys
from typing import TYPE_CHECKING, Any

from tests.cluster.node import boot, certificates, images, network, processes, programs
from tests.cluster.node.layout import API_PORT, HOST, METRICS_PORT, TOOLS
from tests.cluster.schemas.sources import CERT_MANAGER, PROMETHEUS_OPERATOR

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.node.layout import Layout
    from tests.cluster.schemas.sources import Source

PROMETHEUS = f"localhost/prometheus:{programs.PROGRAMS['prometheus'].version}"
_OPERATOR_VERSION = programs.PROGRAMS["prometheus-operator"].version
RELOADER = f"localhost/prometheus-config-reloader:{_OPERATOR_VERSION}"
_METRICS_HOST = "metrics-server.kube-system.svc"
_OPERATOR_PORT = 14444
_POLICY_ENGINE = "network-policies"


def _kube_system(kind: str, version: str, **more: Any) -> dict[str, Any]:
    labels = {"kubernetes.io/service-name": "metrics-server"}
    metadata = {"name": "metrics-server", "namespace": "kube-system", "labels": labels}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **more}


def _metrics_objects(place: Layout) -> dict[str, Any]:
    """Route the metrics API to the host process: a Service without selector, its endpoint, the aggregation."""
    port = {"name": "https", "port": METRICS_PORT, "protocol": "TCP"}
    endpoints = [{"addresses": [HOST], "conditions": {"ready": True}}]
    aggregated = {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": "v1beta1.metrics.k8s.io"},
        "spec": {
            "group": "metrics.k8s.io",
            "version": "v1beta1",
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "caBundle": base64.b64encode((place.pki / "ca.crt").read_bytes()).decode(),
            "service": {"name": "metrics-server", "namespace": "kube-system", "port": 443},
        },
    }
    service = _kube_system(
        "Service", "v1", spec={"ports": [{"name": "https", "port": 443, "targetPort": METRICS_PORT}]}
    )
    slices = _kube_system("EndpointSlice", "discovery.k8s.io/v1", addressType="IPv4", endpoints=endpoints, ports=[port])
    return {"apiVersion": "v1", "kind": "List", "items": [service, slices, aggregated]}


def metrics_server(place: Layout) -> None:
    """Start metrics-server unless it runs; readings come about ten seconds later."""
    if "metrics-server" in processes.alive(place):
        return
    pki, config = place.pki, place.run / "host-program.kubeconfig"
    certificates.issue(pki, name="metrics-server", subject="/CN=metrics-server", names=(_METRICS_HOST, HOST))
    command: list[str | Path] = [
        programs.path("metrics-server", where=place),
        f"--kubeconfig={config}",
        f"--authentication-kubeconfig={config}",
        f"--authorization-kubeconfig={config}",
        f"--bind-address={HOST}",
        f"--secure-port={METRICS_PORT}",
        f"--tls-cert-file={pki / 'metrics-server.crt'}",
        f"--tls-private-key-file={pki / 'metrics-server.key'}",
        f"--kubelet-certificate-authority={pki / 'ca.crt'}",
        "--kubelet-preferred-address-types=InternalIP",
        "--metric-resolution=10s",
        "--kubelet-request-timeout=5s",  # it panics unless this is shorter than the resolution
    ]
    processes.start(place, "metrics-server", command)
    boot.kubectl(place, "apply", "-f", "-", stdin=json.dumps(_metrics_objects(place)))


def _define(place: Layout, group: str, source: Source) -> None:
    """Install the kinds of a group and wait until all are served: controllers give up for good on one that is not."""
    boot.kubectl(place, "apply", "--server-side", "--force-conflicts", "-f", str(source.fetch()))
    wanted = len(list(source.fetch().glob(f"{group}_*.yaml")))

    def served() -> bool:
        listed = boot.kubectl(place, "api-resources", f"--api-group={group}", "-o", "name", check=False)
        return len(listed.split()) >= wanted

    boot.wait(place, f"the kinds of {group}", served)


def prometheus_operator(place: Layout) -> None:
    """Start prometheus-operator unless it runs, with its CRDs and the images of the pods that it makes."""
    if "prometheus-operator" in processes.alive(place):
        return
    _define(place, "monitoring.coreos.com", PROMETHEUS_OPERATOR)
    images.provide(place, image=PROMETHEUS, program="prometheus")
    images.provide(place, image=RELOADER, program="prometheus-config-reloader")
    pki = place.pki
    free = [f"--config-reloader-{part}-{bound}=0" for part in ("cpu", "memory") for bound in ("request", "limit")]
    command: list[str | Path] = [
        programs.path("prometheus-operator", where=place),
        f"--apiserver=https://{HOST}:{API_PORT}",
        f"--ca-file={pki / 'ca.crt'}",
        f"--cert-file={pki / 'host-program.crt'}",
        f"--key-file={pki / 'host-program.key'}",
        f"--web.listen-address={HOST}:{_OPERATOR_PORT}",
        f"--prometheus-config-reloader={RELOADER}",
        *free,
    ]
    processes.start(place, "prometheus-operator", command)


def cert_manager(place: Layout) -> None:
    """Start cert-manager's controllers unless they run, with its kinds; for self-signed and CA issuers."""
    if "cert-manager" in processes.alive(place):
        return
    _define(place, "cert-manager.io", CERT_MANAGER)
    config = place.run / "host-program.kubeconfig"
    processes.start(place, "cert-manager", [programs.path("cert-manager", where=place), f"--kubeconfig={config}"])


def network_policies(place: Layout) -> None:
    """Enforce NetworkPolicies from now on, unless that is done already; see tests/cluster/netpol."""
    if _POLICY_ENGINE in processes.alive(place):
        return
    command: list[str | Path] = [sys.executable, "-m", "tests.cluster.netpol", place.run / "host-program.kubeconfig"]
    processes.start(place, _POLICY_ENGINE, command, environment={"PYTHONPATH": str(TOOLS.parents[2])})
    boot.wait(place, "the network policies' engine", network.policies_enforced)


def prometheus() -> dict[str, Any]:
    """Return a Prometheus, for one namespace, that takes every ServiceMonitor in it, with the rights it needs."""
    found = {"apiGroups": ["", "discovery.k8s.io"], "resources": ["services", "endpoints", "pods", "endpointslices"]}
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "prometheus"},
        "rules": [found | {"verbs": ["get", "list", "watch"]}],
    }
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "prometheus"}}
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "prometheus"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "prometheus"},
        "subjects": [{"kind": "ServiceAccount", "name": "prometheus"}],
    }
    spec = {
        "version": programs.PROGRAMS["prometheus"].version,
        "image": PROMETHEUS,
        "imagePullPolicy": "IfNotPresent",
        "replicas": 1,
        "serviceAccountName": "prometheus",
        "serviceMonitorSelector": {},
        "ruleSelector": {},
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65534,
            "runAsGroup": 65534,
            "fsGroup": 65534,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    server = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "Prometheus",
        "metadata": {"name": "test"},
        "spec": spec,
    }
    return {"apiVersion": "v1", "kind": "List", "items": [account, role, binding, server]}
