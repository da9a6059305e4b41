"""Every value changes what is rendered, in both modes, or is refused by its name: none is ignored in silence.

Each value is changed alone, in value sets that switch on what it belongs to. A value that is new, and that no template
reads in one of the modes, fails here until it has an effect there or the chart refuses it.
"""

from __future__ import annotations

import copy
import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, Final

import pytest
from tests.chart.reference import Value, documented_values, values_schema
from tests.chart.tools import CHART, helm

DIGEST: Final = f"sha256:{'a' * 64}"
PIN: Final = f"x:1@{DIGEST}"
SECRETS: Final = {"existingSecret": "app", "migrationSecret": "owner"}
IMAGE: Final = {"digest": "", "tag": "1"}
EVERYTHING: Final[dict[str, Any]] = {
    "secrets": SECRETS,
    "image": IMAGE,
    "config": {"stripeMode": "test", "trustedProxies": ["10.0.0.0/8"]},
    "ingress": {"enabled": True, "host": "pay.example.com"},
    "httpRoute": {"enabled": True, "parentRefs": [{"name": "a"}], "redirectParentRefs": [{"name": "a"}]},
    "certificate": {"enabled": True, "issuerName": "a"},
    "externalSecret": {"enabled": True, "storeName": "a", "remoteKey": "a"},
    "monitoring": {
        "serviceMonitor": {"enabled": True},
        "rules": {"enabled": True},
        "dashboard": {"enabled": True},
        "datadog": {"enabled": True},
    },
    "database": {"existingSecret": "a", "ca": {"configMap": "a"}},
    "webhookEndpoints": {"existingSecret": "a"},
    "backup": {"enabled": True, "objectStorage": {"path": "a", "configSecret": "a"}},
}
"""A release with what can be switched on at once."""
BARE: Final[dict[str, Any]] = {"secrets": SECRETS, "image": IMAGE, "config": {"stripeMode": "test"}}
FIXED: Final = BARE | {"api": {"autoscaling": {"enabled": False}}, "worker": {"autoscaling": {"enabled": False}}}
CLUSTER: Final = BARE | {
    "database": {
        "cloudNativePG": {
            "enabled": True,
            "backup": {"enabled": True, "destinationPath": "a", "credentialsSecret": "a"},
        }
    },
    "migrations": {"mode": "none"},
}
SCALED: Final = BARE | {"worker": {"keda": {"enabled": True, "prometheusAddress": "a"}}}
NAMED: Final = BARE | {"serviceAccount": {"create": False}, "backup": {"enabled": True, "existingClaim": "a"}}
PINNED: Final = BARE | {"image": {"digest": DIGEST}, "operator": {"image": {"digest": DIGEST}}}
LIVE: Final = PINNED | {"config": {}}
SETS: Final = (EVERYTHING, BARE, FIXED, CLUSTER, SCALED, NAMED, PINNED, LIVE)
ALERT: Final = next((CHART / "files/rules").glob("Payments*.yaml")).stem
ELSEWHERE: Final = {
    "global": "belongs to the umbrella chart",
}
"""Values that change nothing, each with the reason."""
ONLY_ALONE: Final = frozenset({"worker.keda.prometheusAddress", "worker.keda.thresholdSeconds"})
"""Values of a switch that the operator's mode refuses by name."""
ONLY_OPERATED: Final = "operator."
OTHERS: Final[dict[str, Any]] = {
    "config.allowPlaintext": ["database"],
    "config.trustedProxies": ["10.1.0.0/16"],
    "image.digest": DIGEST,
    "operator.image.digest": DIGEST,
    "image.pullSecrets": ["registry"],
    "service.ipFamilies": ["IPv6"],
    "fullnameOverride": "shop",
    "nameOverride": "shop",
    "networkPolicy.redisPorts": [6380],
    "networkPolicy.webhookPorts": [8443],
    "networkPolicy.ownNetworks": ["34.118.224.0/20"],
    "webhookEndpoints.allowedNetworks": ["10.96.0.0/12"],
    "monitoring.rules.disabled": [ALERT],
    "extraObjects": [{"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "x"}}],
    "config.allowedOrigins": ["https://shop.example.com"],
    "httpRoute.hostnames": ["pay.example.com"],
    "operator.spec": {"suspend": True},
    **{f"pods.{part}": {"priorityClassName": "x"} for part in ("api", "worker", "jobs", "test", "backup", "operator")},
}
"""Other values where none can be made from the default."""


def others(value: Value) -> list[Any]:
    """Values that differ from the default and that the schema takes: every one of a choice, else one."""
    schema = values_schema()
    for name in value.path.split("."):
        schema = schema["properties"][name]
    if "enum" in schema:
        return [choice for choice in schema["enum"] if choice not in {"", value.default}]
    return [OTHERS[value.path] if value.path in OTHERS else _other(value)]


def _other(value: Value) -> Any:
    match value.default:
        case bool():
            return not value.default
        case int():
            return value.default + 1
        case str():
            return value.default + "x"
        case list():
            return [*value.default, {"name": "x"}]
        case _:
            return value.default | {"cpu" if "resources" in value.path else "x": "7"}


def changed(values: dict[str, Any], path: str, new: Any) -> dict[str, Any]:
    """The values with one changed; a switch is turned over."""
    result = copy.deepcopy(values)
    place = result
    *sections, leaf = path.split(".")
    for section in sections:
        place = place.setdefault(section, {})
    place[leaf] = not place[leaf] if isinstance(new, bool) and leaf in place else new
    return result


@cache
def rendered(text: str) -> tuple[int, str, str]:
    """Exit code, manifests and complaint."""
    command = [str(helm()), "template", "pay", str(CHART), "-n", "billing", "-f", "-"]
    done = subprocess.run(command, input=text, check=False, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def effect(path: str, new: Any, *, operated: bool) -> bool:
    """Whether the value does something in one of the value sets."""
    for values in SETS:
        before = values | {"operator": values.get("operator", {}) | {"enabled": operated}}
        code, manifests, complaint = rendered(json.dumps(changed(before, path, new)))
        if code != 0 and (f"- {path}" in complaint or path.replace(".", "/") in complaint):
            return True
        former, base, _ = rendered(json.dumps(before))
        if code == former == 0 and manifests != base:
            return True
    return False


def candidates(*, operated: bool) -> list[Value]:
    """The values that must do something in a mode."""
    found = [value for value in documented_values() if value.path not in ELSEWHERE]
    if operated:
        return [value for value in found if value.path not in ONLY_ALONE]
    return [
        value
        for value in found
        if not value.path.startswith((ONLY_OPERATED, "pods.operator")) or value.path == "operator.enabled"
    ]


@pytest.mark.parametrize("mode", ["operator", "alone"])
def test_every_value_does_something_or_is_refused_by_name(mode: str) -> None:
    operated = mode == "operator"
    cases = [(value.path, new) for value in candidates(operated=operated) for new in others(value)]
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        found = list(pool.map(lambda case: effect(*case, operated=operated), cases))
    assert [f"{path}={new}" for (path, new), does in zip(cases, found, strict=True) if not does] == []
