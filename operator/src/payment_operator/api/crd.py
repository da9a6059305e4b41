"""The CustomResourceDefinition, generated from the types. ``payment-operator crd`` prints it."""

from typing import Any, Final

import yaml

from payment_operator import names
from payment_operator.api import request
from payment_operator.api.column import Column
from payment_operator.api.database import Authority, Database, DatabaseRotation
from payment_operator.api.environment import Environment, Stripe
from payment_operator.api.measures import PrometheusMeasure
from payment_operator.api.release import Bake, Release
from payment_operator.api.schema import Rules, Schema, structural_schema
from payment_operator.api.status import EnvironmentStatus
from payment_operator.api.webhook import Webhook, WebhookRotation
from payment_operator.api.webhook_endpoints import WebhookEndpoints
from payment_operator.api.workload import Autoscaling, Service

NAME_RULE: Final = (
    "size(self.metadata.name) <= 40 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
    "Services are named after it: use 40 characters or fewer, lower-case letters, digits and -, a letter first",
)

TAG_OR_DIGEST: Final = "^.+(@sha256:[0-9a-f]{64}|:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})$"

_MEASURES: Final = (
    "((has(self.prometheus) ? self.prometheus.map(e, e.name) : []) "
    "+ (has(self.webhooks) ? self.webhooks.map(e, e.name) : []))"
)
OWN_MEASURES: Final = ("declines", "p99", "refusals", "restarts")
"""Built-in measures that a name of the user's could be, too: the others have capitals."""

RULES: Final[Rules] = {
    Environment: [
        (
            f"self.image.matches('{TAG_OR_DIGEST}') && !self.image.endsWith(':latest')",
            "spec.image can change without a release: name a tag other than latest, or a digest (image@sha256:...)",
        ),
        (
            "self.stripe.mode != 'Live' || self.image.matches('@sha256:[0-9a-f]{64}$')",
            "spec.image needs a digest in Live mode: write image@sha256:...",
        ),
        (
            "self.stripe.mode != 'Live' || self.release.bake.seconds >= 60",
            "spec.release.bake.seconds is too short for Live mode: use 60 or more",
        ),
        (
            "self.stripe.mode != 'Live' || self.release.retainSeconds >= 300",
            "spec.release.retainSeconds is too short for Live mode: use 300 or more",
        ),
        (
            "self.stripe.mode != 'Live' || self.release.drainSeconds >= 5",
            "spec.release.drainSeconds is too short for Live mode: use 5 or more",
        ),
        (
            "self.stripe.mode != 'Live' || self.database.rotation.intervalSeconds >= 86400",
            "spec.database.rotation.intervalSeconds is too short for Live mode: use 86400 or more",
        ),
        (
            "self.stripe.mode != 'Live' || self.stripe.webhook.rotation.intervalSeconds >= 86400",
            "spec.stripe.webhook.rotation.intervalSeconds is too short for Live mode: use 86400 or more",
        ),
        (
            "self.stripe.mode != 'Live' || self.stripe.webhook.rotation.overlapSeconds >= 600",
            "spec.stripe.webhook.rotation.overlapSeconds is too short for Live mode: use 600 or more",
        ),
    ],
    Webhook: [
        (
            "self.provider == 'Managed' || has(self.secretRef)",
            "spec.stripe.webhook.secretRef is missing: name a Secret, or set provider: Managed",
        ),
        (
            "self.provider != 'Managed' || has(self.url)",
            "spec.stripe.webhook.url is missing: the operator tells Stripe where to send events",
        ),
    ],
    WebhookEndpoints: [
        (
            "has(self.signingKeySecretRef) || !(has(self.allowedNetworks) || self.allowHttp)",
            "spec.webhookEndpoints.signingKeySecretRef is missing: without a key to sign with no webhooks are sent",
        ),
    ],
    WebhookRotation: [
        (
            "self.maxOverlapSeconds >= self.overlapSeconds",
            "rotation.maxOverlapSeconds is shorter than overlapSeconds: raise it, or lower overlapSeconds",
        ),
    ],
    Database: [
        (
            "self.rotation.mode != 'AlternatingRoles' || has(self.migrationUrlSecretRef)",
            "spec.database.migrationUrlSecretRef is missing: the alternating roles own no tables, name the owner's URL",
        ),
    ],
    Authority: [
        (
            "has(self.configMap) != has(self.secret)",
            "spec.database.ca needs configMap or secret, and not both: name the object with the certificates",
        ),
    ],
    DatabaseRotation: [
        (
            "self.mode != 'AlternatingRoles' || (size(self.roles) == 2 && self.roles[0] != self.roles[1])",
            "spec.database.rotation.roles needs two different names in mode AlternatingRoles",
        ),
        (
            "self.mode != 'AlternatingRoles' || has(self.adminSecretRef)",
            "spec.database.rotation.adminSecretRef is missing: name the Secret with DATABASE_ADMIN_URL",
        ),
    ],
    Stripe: [
        (
            "self.mode == oldSelf.mode",
            "spec.stripe.mode cannot be changed: make a second PaymentEnvironment with its own database",
        ),
        (
            "self.mode != 'Live' || !has(self.apiBase)",
            "spec.stripe.apiBase is for simulators: remove it in Live mode, or set mode to Test",
        ),
        (
            "self.mode != 'Live' || !has(self.webhook.url) || self.webhook.url.startsWith('https://')",
            "spec.stripe.webhook.url must start with https:// in Live mode",
        ),
    ],
    Release: [
        (
            "self.retainSeconds >= self.drainSeconds",
            "spec.release.retainSeconds is shorter than drainSeconds: raise it, or lower drainSeconds",
        ),
    ],
    Bake: [
        (
            f"{_MEASURES}.all(n, {_MEASURES}.exists_one(m, m == n) && !(n in {list(OWN_MEASURES)}))",
            "spec.release.bake has two measures of one name, or one with the name of a built-in measure: rename it",
        ),
    ],
    PrometheusMeasure: [
        (
            "has(self.min) || has(self.max)",
            "spec.release.bake.prometheus needs min, max or both: without a limit nothing can fail",
        ),
    ],
    Service: [
        (
            (
                "!has(self.ipFamilies) || size(self.ipFamilies) < 2 || (self.ipFamilies[0] != self.ipFamilies[1] && "
                "has(self.ipFamilyPolicy) && self.ipFamilyPolicy != 'SingleStack')"
            ),
            "spec.service.ipFamilies names two: they differ, and ipFamilyPolicy is PreferDualStack or RequireDualStack",
        ),
    ],
    Autoscaling: [
        (
            "self.minReplicas <= self.maxReplicas",
            "autoscaling.minReplicas is above maxReplicas: lower it or raise maxReplicas",
        ),
    ],
}


COLUMNS: Final = (
    Column("Ready", "string", ".status.conditions[?(@.type=='Ready')].status"),
    Column("Active", "integer", ".status.active.revision"),
    Column("Candidate", "string", ".status.candidate.step"),
    Column("Replicas", "integer", ".status.readyReplicas"),
    Column("Rollback", "boolean", ".status.previous.rollbackable"),
    Column("Age", "date", ".metadata.creationTimestamp"),
    Column("Reason", "string", ".status.conditions[?(@.type=='Ready')].reason", 1),
    Column("Schema", "string", ".status.migration.current", 1),
    Column("Image", "string", ".status.active.image", 1),
)


def openapi_schema() -> Schema:
    """The structural schema of a whole PaymentEnvironment."""
    status = structural_schema(EnvironmentStatus, rules=RULES)
    status["properties"]["conditions"] |= {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}
    return {
        "type": "object",
        "description": "One deployment of the payment API with its database, Redis and Stripe account.",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": "Version of the resource's schema."},
            "kind": {"type": "string", "description": "PaymentEnvironment."},
            "metadata": {"type": "object"},
            "spec": structural_schema(Environment, rules=RULES) | {"description": "What you ask for."},
            "status": status | {"description": "What the operator reports."},
        },
        "x-kubernetes-validations": [{"rule": NAME_RULE[0], "message": NAME_RULE[1]}],
    }


def crd_manifest() -> dict[str, Any]:
    """The CustomResourceDefinition of PaymentEnvironment."""
    scale = {
        "specReplicasPath": ".spec.replicas",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    }
    return _manifest(names.KIND, names.PLURAL, "penv", openapi_schema(), COLUMNS, scale={"scale": scale})


def request_manifest() -> dict[str, Any]:
    """The CustomResourceDefinition of EnvironmentRequest."""
    return _manifest(names.REQUEST_KIND, names.REQUEST_PLURAL, "ereq", request.openapi_schema(), request.COLUMNS)


def crd_manifests() -> dict[str, dict[str, Any]]:
    """All CustomResourceDefinitions, by plural."""
    return {names.PLURAL: crd_manifest(), names.REQUEST_PLURAL: request_manifest()}


def _manifest(
    kind: str,
    plural: str,
    short: str,
    schema: Schema,
    columns: tuple[Column, ...],
    *,
    scale: dict[str, Any] | None = None,
) -> dict[str, Any]:
    version = {
        "name": names.VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "subresources": {"status": {}} | (scale or {}),
        "additionalPrinterColumns": [column.manifest() for column in columns],
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{names.GROUP}"},
        "spec": {
            "group": names.GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": plural,
                "singular": kind.lower(),
                "shortNames": [short],
                "categories": ["payments"],
            },
            "versions": [version],
        },
    }


def crd_yaml(plural: str = names.PLURAL) -> str:
    """One CRD as the file in the chart holds it."""
    header = "# Generated from the operator's types: `payment-operator crd`. Do not edit.\n"
    return header + yaml.safe_dump(crd_manifests()[plural], sort_keys=False, width=120)
