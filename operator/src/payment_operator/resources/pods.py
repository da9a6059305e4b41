"""Pod templates of API and worker, equal to the chart's (chart/templates/_pod.tpl) where users would notice."""

from typing import Any, Final

import msgspec

from payment_operator import names
from payment_operator.api.environment import Environment
from payment_operator.resources.credentials import ADMIN_TOKEN, WEBHOOK
from payment_operator.resources.metadata import Manifest, Owner
from payment_operator.resources.overlay import overlay

ADMIN_PORT: Final = 9090
HTTP_PORT: Final = 8000
LONGEST_REQUEST_SECONDS: Final = 35
_SECRETS: Final = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "STRIPE_SECRET_KEY", ADMIN_TOKEN)
_CREDENTIALS_MOUNT: Final = "/run/secrets/payments"
_WEBHOOK_MOUNT: Final = "/run/secrets/webhook"
POD_SECURITY: Final = {
    "runAsNonRoot": True,
    "runAsUser": 10001,
    "runAsGroup": 10001,
    "fsGroup": 10001,
    "seccompProfile": {"type": "RuntimeDefault"},
}
CONTAINER_SECURITY: Final = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


def environment_variables(owner: Owner, spec: Environment, *, revision: str, replica: bool) -> list[Manifest]:
    """The settings of every process of the revision; the user's come last and win."""
    settings = {
        "ENVIRONMENT": "production",
        "PAYMENTS_STRIPE_MODE": spec.stripe.mode.lower(),
        "PAYMENTS_DRAIN_SECONDS": str(spec.release.drain_seconds),
        "PAYMENTS_REVISION": revision,
        "PAYMENTS_FINGERPRINT_SALT": owner.uid,
    }
    if spec.stripe.api_base:
        settings["STRIPE_API_BASE"] = spec.stripe.api_base
    if spec.allowed_origins:
        settings["ALLOWED_ORIGINS"] = ",".join(spec.allowed_origins)
    secrets = (*_SECRETS, "DATABASE_REPLICA_URL") if replica else _SECRETS
    settings |= {f"{name}_FILE": f"{_CREDENTIALS_MOUNT}/{name}" for name in secrets}
    settings[f"{WEBHOOK}_FILE"] = f"{_WEBHOOK_MOUNT}/{WEBHOOK}"
    variables = [{"name": name, "value": value} for name, value in (settings | spec.api.config).items()]
    return list(overlay(variables, spec.api.env)) if spec.api.env else variables


def pod_spec(owner: Owner, spec: Environment, *, credentials: str, container: Manifest) -> Manifest:
    """The pod of any component around its container."""
    pod: Manifest = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": POD_SECURITY,
        "containers": [
            container
            | {
                "image": spec.image,
                "imagePullPolicy": spec.image_pull_policy,
                "securityContext": CONTAINER_SECURITY,
                "volumeMounts": [
                    {"name": "secrets", "mountPath": _CREDENTIALS_MOUNT, "readOnly": True},
                    {"name": "webhook", "mountPath": _WEBHOOK_MOUNT, "readOnly": True},
                    {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - a volume of the pod's own
                ],
            }
        ],
        "volumes": [
            {"name": "secrets", "secret": {"secretName": credentials, "defaultMode": 0o440}},
            {"name": "webhook", "secret": {"secretName": names.webhook_secrets(owner.name), "defaultMode": 0o440}},
            {"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": "32Mi"}},
        ],
    }
    if spec.image_pull_secrets:
        pod["imagePullSecrets"] = [{"name": name} for name in spec.image_pull_secrets]
    placement = {
        "serviceAccountName": spec.api.service_account_name,
        "nodeSelector": spec.api.node_selector,
        "tolerations": spec.api.tolerations,
        "affinity": spec.api.affinity,
    }
    return pod | {name: value for name, value in placement.items() if value}


def deployment(
    owner: Owner, spec: Environment, *, component: str, revision: str, credentials: str, env: list[Manifest]
) -> Manifest:
    """The Deployment of a component, without replicas and owner, which are added when it is applied."""
    part = spec.api if component == names.API else spec.worker
    selector = owner.selector(component, revision)
    pod = pod_spec(owner, spec, credentials=credentials, container=_container(owner, spec, component, revision, env))
    pod["terminationGracePeriodSeconds"] = spec.release.drain_seconds + LONGEST_REQUEST_SECONDS
    pod["topologySpreadConstraints"] = spec.api.topology_spread_constraints or _spread(selector)
    template = {
        "metadata": {"labels": owner.labels(component, revision), "annotations": spec.api.pod_annotations},
        "spec": pod,
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": names.deployment(owner.name, component, revision),
            "labels": owner.labels(component, revision),
        },
        "spec": {
            "revisionHistoryLimit": 1,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 0}},
            "selector": {"matchLabels": selector},
            "template": overlay(template, part.pod_template),
        },
    }


def _container(owner: Owner, spec: Environment, component: str, revision: str, env: list[Manifest]) -> Manifest:
    api = component == names.API
    probed = "http" if api else "admin"
    ports = [{"name": "admin", "containerPort": ADMIN_PORT, "protocol": "TCP"}]
    if api:
        ports.insert(0, {"name": "http", "containerPort": HTTP_PORT, "protocol": "TCP"})
    else:
        claim = {"configMapKeyRef": {"name": names.worker_config(owner.name), "key": revision}}
        env = [*env, {"name": "PAYMENTS_WORKER_CLAIM", "valueFrom": claim}]
    container: Manifest = {
        "name": component,
        "command": ["payments", "serve" if api else "worker"],
        "ports": ports,
        "env": env,
        "startupProbe": _probe("live", probed) | {"periodSeconds": 2, "failureThreshold": 30},
        "readinessProbe": _probe("ready", probed) | {"periodSeconds": 5, "failureThreshold": 2},
        "livenessProbe": _probe("live", probed) | {"periodSeconds": 10, "failureThreshold": 6},
        "lifecycle": {"preStop": {"httpGet": {"path": "/drain", "port": "admin"}}},
        "terminationMessagePolicy": "FallbackToLogsOnError",  # what a crash said reaches the status
        "resources": (spec.api if api else spec.worker).resources,
    }
    return container | _env_from(spec)


def _env_from(spec: Environment) -> Manifest:
    return {"envFrom": spec.api.env_from} if spec.api.env_from else {}


def _probe(path: str, port: str) -> Manifest:
    return {"httpGet": {"path": f"/health/{path}", "port": port}, "timeoutSeconds": 3}


def _spread(selector: dict[str, str]) -> list[dict[str, Any]]:
    return [
        {
            "maxSkew": 1,
            "topologyKey": key,
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": selector},
        }
        for key in ("kubernetes.io/hostname", "topology.kubernetes.io/zone")
    ]


def manifests(owner: Owner, spec: Environment, *, revision: str, credentials: str, replica: bool) -> Manifest:
    """Everything that a revision's pods are made of, to be stored with it."""
    env = environment_variables(owner, spec, revision=revision, replica=replica)
    secret = names.credentials(owner.name, credentials)
    job = pod_spec(owner, spec, credentials=secret, container={"name": "job", "env": env} | _env_from(spec))
    rendered = {
        names.API: deployment(owner, spec, component=names.API, revision=revision, credentials=secret, env=env),
        names.WORKER: deployment(owner, spec, component=names.WORKER, revision=revision, credentials=secret, env=env),
        "job": job,
    }
    return dict(msgspec.to_builtins(rendered))
