"""Autoscalers, disruption budgets, and the switch that tells starting workers whether they claim."""

from payment_operator import names
from payment_operator.api.environment import Environment
from payment_operator.api.workload import Autoscaling
from payment_operator.resources.metadata import Manifest, Owner


def autoscalers(owner: Owner, spec: Environment, *, active: str) -> list[Manifest]:
    """The autoscalers that the spec asks for: the API's scales the environment, the worker's the active Deployment."""
    found = []
    if (api := spec.autoscaling) is not None and api.mode == "Enabled":
        target = {"apiVersion": names.API_VERSION, "kind": names.KIND, "name": owner.name}
        found.append(_autoscaler(owner, names.API, api, target=target))
    if (worker := spec.worker.autoscaling) is not None and worker.mode == "Enabled":
        name = names.deployment(owner.name, names.WORKER, active)
        target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
        found.append(_autoscaler(owner, names.WORKER, worker, target=target))
    return found


def _autoscaler(owner: Owner, component: str, scaling: Autoscaling, *, target: dict[str, str]) -> Manifest:
    utilization = {"type": "Utilization", "averageUtilization": scaling.target_cpu_utilization_percentage}
    up = {"stabilizationWindowSeconds": 0, "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}]}
    down = {
        "stabilizationWindowSeconds": scaling.scale_down_stabilization_seconds,
        "policies": [{"type": "Pods", "value": 1, "periodSeconds": 30}],
    }
    return owner.owned(
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": names.autoscaler(owner.name, component), "labels": owner.labels(component)},
            "spec": {
                "scaleTargetRef": target,
                "minReplicas": scaling.min_replicas,
                "maxReplicas": scaling.max_replicas,
                "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": utilization}}],
                "behavior": {"scaleUp": up, "scaleDown": down},
            },
        }
    )


def disruption_budget(owner: Owner, *, component: str, revision: str) -> Manifest:
    """Keeps voluntary disruptions to one pod of a revision's component at a time."""
    return owner.owned(
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {
                "name": names.deployment(owner.name, component, revision),
                "labels": owner.labels(component, revision),
            },
            "spec": {
                "maxUnavailable": 1,
                "unhealthyPodEvictionPolicy": "AlwaysAllow",
                "selector": {"matchLabels": owner.selector(component, revision)},
            },
        }
    )


def worker_config(owner: Owner, *, claiming: dict[str, bool]) -> Manifest:
    """Tells a worker that starts, by revision, whether it claims."""
    return owner.owned(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": names.worker_config(owner.name), "labels": owner.labels(names.WORKER)},
            "data": {revision: str(claims).lower() for revision, claims in sorted(claiming.items())},
        }
    )
