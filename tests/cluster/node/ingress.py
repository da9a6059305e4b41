"""Traefik as the cluster's ingress controller, in a pod, so that NetworkPolicies see its traffic as a pod's."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.cluster.node import boot, images, programs
from tests.cluster.node.layout import INGRESS

if TYPE_CHECKING:
    from tests.cluster.node.layout import Layout

NAMESPACE = "ingress"
CLASS = "traefik"
_IMAGE = f"localhost/traefik:{programs.PROGRAMS['traefik'].version}"
_LABELS = {"app.kubernetes.io/name": "traefik"}
_ARGUMENTS = (
    "--entrypoints.web.address=:8000",
    "--entrypoints.websecure.address=:8443",
    "--entrypoints.websecure.http.tls=true",  # without it HTTPS answers 404 with the right certificate
    "--ping=true",
    "--providers.kubernetesingress=true",
    f"--providers.kubernetesingress.ingressendpoint.ip={INGRESS}",
    "--providers.providersthrottleduration=200ms",
    "--global.checknewversion=false",
    "--global.sendanonymoususage=false",
)


def _metadata(name: str = "traefik", *, namespace: str | None = NAMESPACE, **more: Any) -> dict[str, Any]:
    return {"name": name, "labels": _LABELS} | ({"namespace": namespace} if namespace else {}) | more


def _rights() -> list[dict[str, Any]]:
    """Return the rights that traefik's documentation lists for its Ingress provider."""
    networking = ["ingresses", "ingressclasses"]
    rules = [
        {"apiGroups": [""], "resources": ["services", "secrets", "nodes"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
        {"apiGroups": ["networking.k8s.io"], "resources": networking, "verbs": ["get", "list", "watch"]},
        {"apiGroups": ["networking.k8s.io"], "resources": ["ingresses/status"], "verbs": ["update"]},
    ]
    group = "rbac.authorization.k8s.io"
    subject = {"kind": "ServiceAccount", "name": "traefik", "namespace": NAMESPACE}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _metadata()},
        {"apiVersion": f"{group}/v1", "kind": "ClusterRole", "metadata": _metadata(namespace=None), "rules": rules},
        {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": _metadata(namespace=None),
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "traefik"},
            "subjects": [subject],
        },
    ]


def _pod() -> dict[str, Any]:
    container = {
        "name": "traefik",
        "image": _IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "args": list(_ARGUMENTS),
        "ports": [{"name": "web", "containerPort": 8000}, {"name": "websecure", "containerPort": 8443}],
        "readinessProbe": {"httpGet": {"path": "/ping", "port": 8080}, "periodSeconds": 1, "timeoutSeconds": 5},
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    return {
        "serviceAccountName": "traefik",
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65534, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
    }


def manifests() -> list[dict[str, Any]]:
    """Return the controller: its namespace, default class, rights, pod, and a Service with a fixed address."""
    restricted = {"pod-security.kubernetes.io/enforce": "restricted"}
    default = {"ingressclass.kubernetes.io/is-default-class": "true"}
    ports = [
        {"name": "http", "port": 80, "targetPort": "web"},
        {"name": "https", "port": 443, "targetPort": "websecure"},
    ]
    template = {"metadata": {"labels": _LABELS}, "spec": _pod()}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": restricted}},
        *_rights(),
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "IngressClass",
            "metadata": _metadata(CLASS, namespace=None, annotations=default),
            "spec": {"controller": "traefik.io/ingress-controller"},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": _metadata(),
            "spec": {"clusterIP": INGRESS, "selector": _LABELS, "ports": ports},
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": _metadata(),
            "spec": {"replicas": 1, "selector": {"matchLabels": _LABELS}, "template": template},
        },
    ]


def start(place: Layout) -> None:
    """Run traefik unless it runs, and wait until it serves."""
    images.provide(place, image=_IMAGE, program="traefik")
    items = {"apiVersion": "v1", "kind": "List", "items": manifests()}
    boot.kubectl(place, "apply", "-f", "-", stdin=json.dumps(items))

    def ready() -> bool:
        command = ("get", "deployment", "traefik", f"--namespace={NAMESPACE}", "-o", "jsonpath={.status.readyReplicas}")
        return boot.kubectl(place, *command, check=False) == "1"

    boot.wait(place, "traefik", ready, seconds=120)
