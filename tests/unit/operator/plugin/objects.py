"""Objects of one environment as the API server returns them."""

from __future__ import annotations

import json
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from payment_operator import names
from payment_operator.plugin.lint.schema import openapi_schema
from payment_operator.plugin.lint.structure import with_defaults
from payment_operator.plugin.snapshot import Observed

Object = dict[str, Any]

ROOT = Path(__file__).parents[4]
AT = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
BLUE, GREEN = "9f3c1a2b", "7be04d11"
IMAGE = "registry.example.com/lean-payments-service"


def ago(seconds: float) -> str:
    return (AT - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def ahead(seconds: float) -> str:
    return ago(-seconds)


def environment(*, status: Object | None = None, **spec: Any) -> Object:
    """The minimal sample as it is stored: with its defaults."""
    found: Object = yaml.safe_load((ROOT / "k8s/samples/minimal.yaml").read_text())
    found["spec"] |= {"image": f"{IMAGE}:2.1.0"} | spec
    found = with_defaults(found, openapi_schema())
    found["metadata"] |= {"namespace": "billing", "generation": 5, "resourceVersion": "901", "uid": "u-1"}
    found["metadata"]["creationTimestamp"] = ago(90 * 86400)
    found["status"] = {"observedGeneration": 5, "conditions": [condition("Ready", "True", "Serving")]} | (status or {})
    return found


def condition(name: str, status: str, reason: str, message: str = "") -> Object:
    return {"type": name, "status": status, "reason": reason, "message": message, "lastTransitionTime": ago(60)}


def active(revision: int = 17, digest: str = BLUE, **more: Any) -> Object:
    base = {
        "revision": revision,
        "hash": digest,
        "image": f"{IMAGE}:2.0.0",
        "since": ago(4 * 86400),
        "readyReplicas": 2,
    }
    return base | more


def candidate(step: str, **more: Any) -> Object:
    base = {"revision": 18, "hash": GREEN, "image": f"{IMAGE}:2.1.0", "step": step, "attempt": 1}
    return base | {"stepSince": ago(192), "startedAt": ago(260)} | more


def previous(revision: int = 16, digest: str = "0c11aa90", **more: Any) -> Object:
    base = {"revision": revision, "hash": digest, "image": f"{IMAGE}:1.9.4", "rollbackable": True}
    return base | more


def labels(digest: str, component: str) -> dict[str, str]:
    return {
        names.LABEL_NAME: names.APPLICATION,
        names.LABEL_ENVIRONMENT: "shop",
        names.LABEL_REVISION: digest,
        names.LABEL_COMPONENT: component,
    }


def pod(digest: str, component: str, letter: str, *, seconds: float = 100, waiting: Object | None = None) -> Object:
    container: Object = {"name": component, "restartCount": 3 if waiting else 0, "ready": not waiting, "state": {}}
    container["state"] = {"waiting": waiting} if waiting else {"running": {"startedAt": ago(seconds - 2)}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"shop-{component}-{digest}-{letter}",
            "namespace": "billing",
            "labels": labels(digest, component),
            "creationTimestamp": ago(seconds),
        },
        "spec": {"nodeName": "node-1", "containers": [{"name": component, "image": IMAGE}]},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "False" if waiting else "True"}],
            "containerStatuses": [container],
        },
    }


def deployment(digest: str, component: str, *, replicas: int = 2, seconds: float = 100) -> Object:
    available = {"type": "Available", "status": "True", "lastTransitionTime": ago(seconds - 22)}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": names.deployment("shop", component, digest),
            "namespace": "billing",
            "labels": labels(digest, component),
            "creationTimestamp": ago(seconds),
        },
        "spec": {"replicas": replicas},
        "status": {"readyReplicas": replicas, "conditions": [available]},
    }


def revision_pods(digest: str, *, seconds: float) -> list[Object]:
    return [
        deployment(digest, "api", seconds=seconds),
        deployment(digest, "worker", replicas=1, seconds=seconds),
        pod(digest, "api", "xk2lp", seconds=seconds),
        pod(digest, "api", "b7q9d", seconds=seconds),
        pod(digest, "worker", "m4t8s", seconds=seconds),
    ]


def job(digest: str, step: str, *, started: float, seconds: float | None, failed: int = 0) -> Object:
    status: Object = {"startTime": ago(started), "failed": failed}
    if seconds is not None:
        status["completionTime"] = ago(started - seconds)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": names.job("shop", step, digest, 1),
            "namespace": "billing",
            "labels": labels(digest, step) | {names.LABEL_STEP: step},
            "creationTimestamp": ago(started),
        },
        "status": status,
    }


def service(digest: str | None) -> Object:
    chosen = {names.LABEL_ENVIRONMENT: "shop"} | ({names.LABEL_REVISION: digest} if digest else {})
    metadata = {"name": names.api_service("shop"), "namespace": "billing", "creationTimestamp": ago(90 * 86400)}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"selector": chosen}}


def revision(number: int, digest: str, tag: str, *, seconds: float, **record: Any) -> Object:
    metadata = {
        "name": names.revision("shop", digest),
        "namespace": "billing",
        "labels": {names.LABEL_ENVIRONMENT: "shop", names.LABEL_REVISION: digest},
        "annotations": {names.ANNOTATION_RELEASE: json.dumps(record)},
        "creationTimestamp": ago(seconds),
    }
    data = {"input": {"image": f"{IMAGE}:{tag}"}, "manifests": {}}
    kind = {"apiVersion": "apps/v1", "kind": "ControllerRevision"}
    return kind | {"metadata": metadata, "revision": number, "data": data}


def request(verb: str, state: str = "Pending", **status: Any) -> Object:
    metadata = {"name": f"shop-{verb}-x7k2p", "namespace": "billing", "creationTimestamp": ago(30)}
    kind = {"apiVersion": names.API_VERSION, "kind": names.REQUEST_KIND, "metadata": metadata}
    return kind | {"spec": {"environment": "shop", "verb": verb}, "status": {"state": state} | status}


def observed(environment: Object, *owned: Object) -> Observed:
    return Observed(environment=deepcopy(environment), at=AT, owned=list(owned))
