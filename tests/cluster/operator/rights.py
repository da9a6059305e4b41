"""The operator's rights as the chart ships them."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from tests.cluster.node import clients

if TYPE_CHECKING:
    from collections.abc import Sequence

CHART = Path(__file__).parents[3] / "chart"
ACCOUNT = "lean-payments-operator"
_VALUES = ("operator.enabled=true", "image.tag=unused", "secrets.existingSecret=payments", "config.stripeMode=test")


def operator_rights(namespace: str, *, extra: Sequence[str] = ()) -> list[dict[str, Any]]:
    """The ServiceAccount with its Roles, rendered by Helm for one namespace."""
    return _rendered("rbac", namespace, *extra)


def requester_policy(namespace: str) -> list[dict[str, Any]]:
    """The admission policy that vouches for who makes a request, and the operator's right to read it."""
    return _rendered("policy", namespace, "operator.verifyRequesters=true")


def _rendered(template: str, namespace: str, *extra: str) -> list[dict[str, Any]]:
    settings = [argument for value in (*_VALUES, *extra) for argument in ("--set", value)]
    shown = ("--show-only", f"templates/operator/{template}.yaml", f"--namespace={namespace}")
    command = [str(clients.client("helm")), "template", "lean-payments", str(CHART), *shown, *settings]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rendered = [item for item in yaml.safe_load_all(done.stdout) if item]
    return [item | {"metadata": item["metadata"] | _place(item, namespace)} for item in rendered]


def _place(item: dict[str, Any], namespace: str) -> dict[str, str]:
    return {} if item["kind"].startswith(("Cluster", "Validating")) else {"namespace": namespace}
