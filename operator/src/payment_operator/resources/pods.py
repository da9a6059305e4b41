"""Pod templates of API and worker, equal to the chart's (chart/templates/_pod.tpl) where users would notice."""

from typing import Any, Final

import msgspec

from payment_operator import names
from payment_operator.api.environment import Environment
from payment_operator.api.webhook_endpoints import WebhookEndpoints
from payment_operator.plaintext import VERIFY
from payment_operator.resources.credentials import ADMIN_TOKEN, API_KEY, DATABASE, REPLICA, SIGNING_KEY, WEBHOOK
from payment_operator.resources.metadata import Manifest, Owner
from payment_operator.resources.overlay import overlay
from payment_operator.resources.pod_fields import pod_metadata, with_pod_fields
from payment_operator.resources.secret_keys import SECRET_KEY

ADMIN_PORT: Final = 9090
HTTP_PORT: Final = 8000
LONGEST_REQUEST_SECONDS: Final = 35
MIGRATE, SMOKE = "job", "smoke"
"""Uses of a Job's pod; the former's name is that of records from before the latter was one of its own."""
SECRETS: Final = {
    names.API: (DATABASE, "REDIS_URL", SECRET_KEY, API_KEY, ADMIN_TOKEN, WEBHOOK),
    names.WORKER: (DATABASE, "REDIS_URL", API_KEY, ADMIN_TOKEN),
    MIGRATE: (DATABASE,),
    SMOKE: (DATABASE, API_KEY, WEBHOOK),
}
"""The secrets that a container gets, by what it does: none has one that it does not use (chart: secretKeys)."""
_CREDENTIALS_MOUNT: Final = "/run/secrets/payments"
CLAIM_FILE: Final = "PAYMENTS_WORKER_CLAIM_FILE"
_CLAIMS_MOUNT: Final = "/run/config/worker"
_AUTHORITY: Final = ("database-ca", "/run/config/database-ca", "ca.crt")
"""Volume, place and file of the authority that has signed the database's certificate."""
_MOUNTS: Final = {
    WEBHOOK: "/run/secrets/webhook",
    SECRET_KEY: "/run/secrets/secret-keys",
    SIGNING_KEY: "/run/secrets/webhook-signing-keys",
}
"""Secrets that change while the pod runs, each in a volume of its own; the others are of one version for its life."""
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


def plaintext_allowed(spec: Environment) -> list[str]:
    """What the service may reach unencrypted, as it calls them."""
    parts = {"database": spec.database.allow_plaintext, "redis": spec.redis.allow_plaintext}
    return [name for name, allowed in parts.items() if allowed]


def secrets_of(spec: Environment, use: str, *, replica: bool) -> tuple[str, ...]:
    """The secrets of a container of the revision."""
    signs = spec.webhook_endpoints.signing_key_secret_ref is not None and use in {names.API, names.WORKER}
    reads = replica and use == names.API
    return (*SECRETS[use], *([REPLICA] if reads else []), *([SIGNING_KEY] if signs else []))


def environment_variables(
    owner: Owner, spec: Environment, *, revision: str, secrets: tuple[str, ...]
) -> list[Manifest]:
    """The settings of a process of the revision; the user's come last and win."""
    settings = {
        "ENVIRONMENT": "production",
        "PAYMENTS_STRIPE_MODE": spec.stripe.mode.lower(),
        "PAYMENTS_DRAIN_SECONDS": str(spec.release.drain_seconds),
        "PAYMENTS_ENVIRONMENT_NAME": f"{owner.namespace}/{owner.name}",
        "PAYMENTS_ENVIRONMENT_UID": owner.uid,
        "PAYMENTS_REVISION": revision,
        "PAYMENTS_FINGERPRINT_SALT": owner.uid,
    }
    if spec.stripe.api_base:
        settings["STRIPE_API_BASE"] = spec.stripe.api_base
    if allowed := plaintext_allowed(spec):
        settings["PAYMENTS_ALLOW_PLAINTEXT"] = ",".join(allowed)
    if spec.allowed_origins:
        settings["ALLOWED_ORIGINS"] = ",".join(spec.allowed_origins)
    settings |= _webhook_settings(spec)
    if spec.database.ca is not None:  # libpq's names; asyncpg reads the file anew at each connection
        settings |= {"PGSSLMODE": VERIFY, "PGSSLROOTCERT": "/".join(_AUTHORITY[1:])}
    for name in secrets:
        settings[f"{name}_FILE"] = f"{_MOUNTS.get(name, _CREDENTIALS_MOUNT)}/{name}"
    variables = [{"name": name, "value": value} for name, value in (settings | spec.api.config).items()]
    return list(overlay(variables, spec.api.env)) if spec.api.env else variables


def _webhook_settings(spec: Environment) -> dict[str, str]:
    """The settings of webhooks that the service sends; none where nothing is said of them."""
    asked = spec.webhook_endpoints
    if asked == WebhookEndpoints():
        return {}
    return {
        "PAYMENTS_WEBHOOK_ALLOWED_NETWORKS": ",".join(asked.allowed_networks),
        "PAYMENTS_WEBHOOK_ALLOW_HTTP": str(asked.allow_http).lower(),
        "PAYMENTS_DELIVERY_RETENTION_DAYS": str(asked.retention_days),
    }


def pod_spec(
    owner: Owner, spec: Environment, *, credentials: str, secrets: tuple[str, ...], container: Manifest
) -> Manifest:
    """The pod of any component around its container, which reads the named secrets and no others."""
    volumes, authority = _secret_volumes(owner, credentials, secrets), _authority_volume(spec)
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
                    *({"name": name, "mountPath": path, "readOnly": True} for name, path, _ in volumes),
                    *({"name": volume["name"], "mountPath": _AUTHORITY[1], "readOnly": True} for volume in authority),
                    {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - a volume of the pod's own
                ],
            }
        ],
        "volumes": [
            *({"name": name, "secret": source} for name, _, source in volumes),
            *authority,
            {"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": "32Mi"}},
        ],
    }
    if spec.image_pull_secrets:
        pod["imagePullSecrets"] = [{"name": name} for name in spec.image_pull_secrets]
    return pod


def _authority_volume(spec: Environment) -> list[Manifest]:
    """The volume with the authority's file, in every pod: each talks to the database."""
    if spec.database.ca is None:
        return []
    (kind, name), items = spec.database.ca.source, [{"key": spec.database.ca.key, "path": _AUTHORITY[2]}]
    source = (
        {"configMap": {"name": name, "items": items}}
        if kind == "ConfigMap"
        else {"secret": {"secretName": name, "defaultMode": 0o440, "items": items}}
    )
    return [{"name": _AUTHORITY[0]} | source]


def _secret_volumes(owner: Owner, credentials: str, secrets: tuple[str, ...]) -> list[tuple[str, str, Manifest]]:
    """Name, place and source of the volumes with these secrets."""
    sources = {
        ("secrets", _CREDENTIALS_MOUNT, credentials): [name for name in secrets if name not in _MOUNTS],
        ("webhook", _MOUNTS[WEBHOOK], names.webhook_secrets(owner.name)): [WEBHOOK] if WEBHOOK in secrets else [],
        ("secret-keys", _MOUNTS[SECRET_KEY], names.secret_keys(owner.name)): (
            [SECRET_KEY] if SECRET_KEY in secrets else []
        ),
        ("webhook-signing-keys", _MOUNTS[SIGNING_KEY], names.webhook_signing_keys(owner.name)): (
            [SIGNING_KEY] if SIGNING_KEY in secrets else []
        ),
    }
    return [
        (volume, path, {"secretName": secret, "defaultMode": 0o440, "items": [{"key": k, "path": k} for k in keys]})
        for (volume, path, secret), keys in sources.items()
        if keys
    ]


def deployment(
    owner: Owner, spec: Environment, *, component: str, revision: str, credentials: str, replica: bool
) -> Manifest:
    """The Deployment of a component, without replicas and owner, which are added when it is applied."""
    part = spec.api if component == names.API else spec.worker
    selector = owner.selector(component, revision)
    secrets = secrets_of(spec, component, replica=replica)
    env = environment_variables(owner, spec, revision=revision, secrets=secrets)
    container = _container(spec, component, revision, env)
    pod = pod_spec(owner, spec, credentials=credentials, secrets=secrets, container=container)
    if component == names.WORKER:
        _mount_claims(owner, pod)
    pod["terminationGracePeriodSeconds"] = spec.release.drain_seconds + LONGEST_REQUEST_SECONDS
    pod["topologySpreadConstraints"] = _spread(selector)
    template = {
        "metadata": pod_metadata(spec, component, owner.labels(component, revision)),
        "spec": with_pod_fields(pod, spec, component),
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


def _mount_claims(owner: Owner, pod: Manifest) -> None:
    """Mount the ConfigMap that says whether workers claim: whole, for a `subPath` never changes."""
    config = {"name": names.worker_config(owner.name), "optional": True}
    pod["volumes"].append({"name": "claims", "configMap": config})
    mount = {"name": "claims", "mountPath": _CLAIMS_MOUNT, "readOnly": True}
    pod["containers"][0]["volumeMounts"].append(mount)


def _container(spec: Environment, component: str, revision: str, env: list[Manifest]) -> Manifest:
    api = component == names.API
    probed = "http" if api else "admin"
    ports = [{"name": "admin", "containerPort": ADMIN_PORT, "protocol": "TCP"}]
    lifecycle = {}
    if api:
        ports.insert(0, {"name": "http", "containerPort": HTTP_PORT, "protocol": "TCP"})
        # in the pod: strict mTLS keeps the kubelet's HTTP out
        lifecycle = {"lifecycle": {"preStop": {"exec": {"command": ["payments", "drain"]}}}}
    else:
        env = [*env, {"name": CLAIM_FILE, "value": f"{_CLAIMS_MOUNT}/{revision}"}]
    container: Manifest = {
        "name": component,
        "command": ["payments", "serve" if api else "worker"],
        "ports": ports,
        "env": env,
        # five minutes: to kill what starts slowly, because the node has much to do, makes it start again and more to do
        "startupProbe": _probe("live", probed) | {"periodSeconds": 2, "failureThreshold": 150},
        "readinessProbe": _probe("ready", probed) | {"periodSeconds": 5, "failureThreshold": 2},
        "livenessProbe": _probe("live", probed) | {"periodSeconds": 10, "failureThreshold": 6},
        "terminationMessagePolicy": "FallbackToLogsOnError",  # what a crash said reaches the status
        "resources": (spec.api if api else spec.worker).resources,
    }
    return container | lifecycle | _env_from(spec)


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


def job_pod(owner: Owner, spec: Environment, *, use: str, revision: str, credentials: str) -> Manifest:
    """The pod of the revision's Jobs of one use."""
    secrets = secrets_of(spec, use, replica=False)
    env = environment_variables(owner, spec, revision=revision, secrets=secrets)
    container = {"name": names.JOB, "env": env} | _env_from(spec)
    pod = pod_spec(owner, spec, credentials=credentials, secrets=secrets, container=container)
    return with_pod_fields(pod, spec, names.JOB)


def manifests(owner: Owner, spec: Environment, *, revision: str, credentials: str, replica: bool) -> Manifest:
    """Everything that a revision's pods are made of, to be stored with it."""
    secret = names.credentials(owner.name, credentials)
    rendered = {
        component: deployment(owner, spec, component=component, revision=revision, credentials=secret, replica=replica)
        for component in (names.API, names.WORKER)
    } | {use: job_pod(owner, spec, use=use, revision=revision, credentials=secret) for use in (MIGRATE, SMOKE)}
    return dict(msgspec.to_builtins(rendered))
