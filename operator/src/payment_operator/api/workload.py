"""The parts of the resource that shape pods: API, worker, autoscaling, Service."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from payment_operator.api.fields import Count, Fields, KubernetesObject


class Autoscaling(Fields, frozen=True, kw_only=True):
    """A HorizontalPodAutoscaler on CPU."""

    mode: Annotated[
        Literal["Enabled", "Disabled"],
        Meta(description="Disabled: no autoscaler; the number of pods is what replicas says."),
    ] = "Enabled"
    min_replicas: Annotated[int, Meta(ge=1, le=1000, description="Never fewer pods than this.")] = 2
    max_replicas: Annotated[int, Meta(ge=1, le=1000, description="Never more pods than this.")] = 10
    target_cpu_utilization_percentage: Annotated[
        int, Meta(ge=1, le=100, description="Pods are added above this share of the requested CPU.")
    ] = msgspec.field(default=70, name="targetCPUUtilizationPercentage")
    scale_down_stabilization_seconds: Annotated[
        int, Meta(ge=0, le=3600, description="Pods are removed after this long a calm.")
    ] = 300


class Api(Fields, frozen=True, kw_only=True):
    """The API's pods. ``env``, ``envFrom`` and ``config`` hold for the worker's pods too."""

    resources: Annotated[KubernetesObject, Meta(description="Requests and limits of an API container.")] = (
        msgspec.field(default_factory=dict)
    )
    env: Annotated[
        list[KubernetesObject],
        Meta(max_length=200, description="Further environment variables, as in a container."),
    ] = msgspec.field(default_factory=list)
    env_from: Annotated[
        list[KubernetesObject],
        Meta(max_length=50, description="Further sources of environment variables, as in a container."),
    ] = msgspec.field(default_factory=list)
    config: Annotated[
        dict[str, str],
        Meta(description="Settings of the service by name, for example PAYMENTS_LOG_SAMPLE or LOG_LEVEL."),
    ] = msgspec.field(default_factory=dict)
    pod_template: Annotated[
        KubernetesObject,
        Meta(
            description="Laid over the API's pod template as the last step: objects are merged, lists of named "
            "objects (containers, volumes, env) are merged by name, other lists are replaced. Whatever gives "
            "more rights (host paths, host namespaces, privileged, other accounts and images) makes the spec invalid."
        ),
    ] = msgspec.field(default_factory=dict)


class Worker(Fields, frozen=True, kw_only=True):
    """The worker's pods: they apply webhooks, finish interrupted operations and reconcile."""

    replicas: Annotated[Count, Meta(description="Number of worker pods; unused while autoscaling is set.")] = 1
    resources: Annotated[KubernetesObject, Meta(description="Requests and limits of a worker container.")] = (
        msgspec.field(default_factory=dict)
    )
    autoscaling: Annotated[Autoscaling | None, Meta(description="Scale the worker on CPU.")] = None
    pod_template: Annotated[
        KubernetesObject, Meta(description="Laid over the worker's pod template, as api.podTemplate.")
    ] = msgspec.field(default_factory=dict)


class Service(Fields, frozen=True, kw_only=True):
    """The Service in front of the active revision."""

    port: Annotated[int, Meta(ge=1, le=65535, description="Port of the Service.")] = 80
    type: Annotated[Literal["ClusterIP", "NodePort", "LoadBalancer"], Meta(description="Type of the Service.")] = (
        "ClusterIP"
    )
    annotations: Annotated[dict[str, str], Meta(description="Annotations of the Service.")] = msgspec.field(
        default_factory=dict
    )
    ip_family_policy: Annotated[
        Literal["SingleStack", "PreferDualStack", "RequireDualStack"] | None,
        Meta(description="Kinds of addresses of the environment's Services. Left out: the cluster's default."),
    ] = None
    ip_families: Annotated[
        list[Literal["IPv4", "IPv6"]],
        Meta(
            max_length=2,
            description="Which kinds, the first one first; the first one of a Service that exists cannot be changed.",
        ),
    ] = msgspec.field(default_factory=list)
