"""Derives the chart's strict values schema and its README from the commented values.yaml.

Write both anew after a change of values.yaml: `make chart-reference`.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

CHART: Final = Path(__file__).parents[2] / "chart"
HEAD: Final = """# lean-payments

Stripe subscription billing inside your own cluster. Needs Kubernetes 1.30, PostgreSQL or MariaDB, Redis and a
Secret with `DATABASE_URL`, `REDIS_URL`, `STRIPE_SECRET_KEY`, `STRIPE_WEBHOOK_SECRET` and `SECRET_KEY`.

```
helm install payments ./chart --namespace payments \\
  --set secrets.existingSecret=lean-payments --set config.stripeMode=test
```

By default an operator migrates the database and releases [blue-green](../docs/what-happens-during-a-release.md);
`operator.enabled=false` renders the workloads themselves. Both take the same values. In live mode every image is
named by its digest (`image.digest`, `operator.image.digest`, and those of the backups when they are enabled).

Operating it: [docs/operations](../docs/operations). Alerts: [docs/runbooks](../docs/runbooks).

| Value | Default | Meaning |
|---|---|---|
"""
_KEY: Final = re.compile(r"^( *)([A-Za-z]+):")
_NETWORK: Final = "^[0-9a-fA-F.:]+(/[0-9]{1,3})?$"
_POD_FIELDS: Final = {
    name: {"type": kind}
    for name, kind in {
        **dict.fromkeys(("labels", "annotations", "nodeSelector", "affinity", "securityContext"), "object"),
        **dict.fromkeys(("tolerations", "topologySpreadConstraints", "volumes", "volumeMounts"), "array"),
        "priorityClassName": "string",
    }.items()
}
_OWN_PODS: Final = _POD_FIELDS | {"serviceAccountName": {"type": "string"}}
_RULES: Final[dict[str, dict[str, Any]]] = {
    "nameOverride": {"pattern": "^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?$", "maxLength": 40},
    "fullnameOverride": {"pattern": "^([a-z]([-a-z0-9]*[a-z0-9])?)?$", "maxLength": 40},
    "operator.image.digest": {"pattern": "^(sha256:[0-9a-f]{64})?$"},
    "operator.image.pullPolicy": {"enum": ["Always", "IfNotPresent", "Never"]},
    "operator.logLevel": {"enum": ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]},
    "operator.replicas": {"minimum": 1},
    "database.kind": {"enum": ["postgresql", "mariadb"]},
    "migrations.mode": {"enum": ["hook", "initContainer", "none"]},
    "image.digest": {"pattern": "^(sha256:[0-9a-f]{64})?$"},
    "image.pullPolicy": {"enum": ["Always", "IfNotPresent", "Never"]},
    "config.stripeMode": {"enum": ["test", "live"]},
    "config.logLevel": {"enum": ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]},
    "config.allowPlaintext": {"items": {"enum": ["database", "redis"]}, "uniqueItems": True},
    "webhookEndpoints.allowedNetworks": {"items": {"type": "string", "pattern": _NETWORK}},
    "webhookEndpoints.retentionDays": {"minimum": 1, "maximum": 3650},
    "networkPolicy.ownNetworks": {"items": {"type": "string", "pattern": _NETWORK}},
    "networkPolicy.webhookPorts": {"items": {"type": "integer", "minimum": 1, "maximum": 65535}, "minItems": 1},
    "externalSecret.storeKind": {"enum": ["SecretStore", "ClusterSecretStore"]},
    "certificate.issuerKind": {"enum": ["Issuer", "ClusterIssuer"]},
    "pods.userIds": {"enum": ["Fixed", "Platform"]},
    **{
        f"pods.{part}": {"additionalProperties": False, "properties": _OWN_PODS}
        for part in ("api", "worker", "jobs", "test", "backup")
    },
    "pods.operator": {"additionalProperties": False, "properties": _POD_FIELDS},
    "service.ipFamilyPolicy": {"enum": ["", "SingleStack", "PreferDualStack", "RequireDualStack"]},
    "service.ipFamilies": {"items": {"enum": ["IPv4", "IPv6"]}, "uniqueItems": True, "maxItems": 2},
    "service.type": {"enum": ["ClusterIP", "NodePort", "LoadBalancer"]},
    "api.pdb.maxUnavailable": {"type": ["integer", "string"]},
    "worker.pdb.maxUnavailable": {"type": ["integer", "string"]},
}


class Value(NamedTuple):
    """One documented value: its dotted path, default and meaning."""

    path: str
    default: Any
    meaning: str


def commented_keys() -> dict[str, str]:
    """Return the comment above each key of values.yaml by dotted path; empty where there is none."""
    found: dict[str, str] = {}
    stack: list[tuple[int, str]] = []
    comment = ""
    for line in (CHART / "values.yaml").read_text().splitlines():
        if line.strip().startswith("#"):
            comment = line.strip("# ").strip()
        elif match := _KEY.match(line):
            stack = [entry for entry in stack if entry[0] < len(match[1])]
            stack.append((len(match[1]), match[2]))
            found[".".join(name for _, name in stack)] = comment
            comment = ""
        else:
            comment = ""
    return found


def documented_values() -> list[Value]:
    """Return every leaf of values.yaml; a map whose key carries a comment is a leaf."""
    comments = commented_keys()
    return list(_leaves(yaml.safe_load((CHART / "values.yaml").read_text()), "", comments))


def _leaves(values: dict[str, Any], prefix: str, comments: dict[str, str]) -> list[Value]:
    found: list[Value] = []
    for name, default in values.items():
        path = f"{prefix}{name}"
        if isinstance(default, dict) and not comments.get(path):
            found += _leaves(default, f"{path}.", comments)
        else:
            found.append(Value(path, default, comments.get(path, "")))
    return found


def values_schema() -> dict[str, Any]:
    """Return the strict JSON schema of the values; `enabled` is for umbrella charts' conditions."""
    root: dict[str, Any] = {"$schema": "http://json-schema.org/draft-07/schema#", **_section()}
    root["properties"]["enabled"] = {"type": "boolean", "description": "Condition of an umbrella chart."}
    for value in documented_values():
        *sections, leaf = value.path.split(".")
        place = root
        for section in sections:
            place = place["properties"].setdefault(section, _section())
        place["properties"][leaf] = _leaf_schema(value)
    return root


def _section() -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": {}}


def _leaf_schema(value: Value) -> dict[str, Any]:
    kinds = {bool: "boolean", int: "integer", str: "string", list: "array", dict: "object"}
    schema: dict[str, Any] = {"description": value.meaning, "type": kinds[type(value.default)]}
    if schema["type"] == "integer":
        schema["minimum"] = 0
    return schema | _RULES.get(value.path, {})


def readme() -> str:
    """Return the chart's README with one row for each value."""
    rows = [f"| `{value.path}` | `{json.dumps(value.default)}` | {value.meaning} |" for value in documented_values()]
    return HEAD + "\n".join(rows) + "\n"


def schema_text() -> str:
    """Return the schema as it stands in the chart."""
    return json.dumps(values_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    (CHART / "values.schema.json").write_text(schema_text())
    (CHART / "README.md").write_text(readme())
