"""The operator as a later version might be: other templates, other defaults of the pods."""

from __future__ import annotations

from typing import Any

from payment_operator.cli import main
from payment_operator.resources import pods

_former = pods.manifests


def manifests(*arguments: Any, **named: Any) -> dict[str, Any]:
    """Other annotations, another grace period."""
    rendered = _former(*arguments, **named)
    for component in ("api", "worker"):
        template = rendered[component]["spec"]["template"]
        template["metadata"]["annotations"] = {"template": "newer"}
        template["spec"]["terminationGracePeriodSeconds"] = 77
    return rendered


setattr(pods, "manifests", manifests)  # noqa: B010 - the type checker holds modules to be constant

__all__ = ["main"]
