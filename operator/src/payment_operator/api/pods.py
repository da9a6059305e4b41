"""What every pod of an environment has: placement, labels, security context, volumes, account."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from payment_operator.api.fields import Fields, KubernetesObject, Name


class PodFields(Fields, frozen=True, kw_only=True):
    """The fields of a pod that the user may set; a component's are laid over those of all."""

    labels: Annotated[
        dict[str, str],
        Meta(description='Labels, for example sidecar.istio.io/inject: "false". The operator\'s own cannot be set.'),
    ] = msgspec.field(default_factory=dict)
    annotations: Annotated[
        dict[str, str], Meta(description='Annotations, for example karpenter.sh/do-not-disrupt: "true".')
    ] = msgspec.field(default_factory=dict)
    node_selector: Annotated[
        dict[str, str], Meta(description="Nodes on which pods may run, for example kubernetes.io/arch: arm64.")
    ] = msgspec.field(default_factory=dict)
    tolerations: Annotated[list[KubernetesObject], Meta(max_length=50, description="Taints that pods tolerate.")] = (
        msgspec.field(default_factory=list)
    )
    affinity: Annotated[KubernetesObject, Meta(description="Affinity rules.")] = msgspec.field(default_factory=dict)
    topology_spread_constraints: Annotated[
        list[KubernetesObject],
        Meta(max_length=20, description="How pods spread. Left out: API and worker over nodes and zones, if possible."),
    ] = msgspec.field(default_factory=list)
    priority_class_name: Annotated[Name | None, Meta(description="Priority class.")] = None
    service_account_name: Annotated[
        Name | None, Meta(description="ServiceAccount. Left out: the namespace's default. No pod gets its token.")
    ] = None
    security_context: Annotated[
        KubernetesObject, Meta(description="Laid over the pods' security context, field by field.")
    ] = msgspec.field(default_factory=dict)
    volumes: Annotated[list[KubernetesObject], Meta(max_length=50, description="Further volumes, as in a pod.")] = (
        msgspec.field(default_factory=list)
    )
    volume_mounts: Annotated[
        list[KubernetesObject],
        Meta(max_length=50, description="Further mounts of the service's container, as in a container."),
    ] = msgspec.field(default_factory=list)


class JobPods(PodFields, frozen=True, kw_only=True):
    """The Jobs' own fields."""

    resources: Annotated[
        KubernetesObject,
        Meta(description="Requests and limits of a Job's container. Left out: 50m CPU, 96Mi to 256Mi of memory."),
    ] = msgspec.field(default_factory=dict)


class Pods(PodFields, frozen=True, kw_only=True):
    """Fields of all pods of the environment, Jobs' included, and what components have instead."""

    user_ids: Annotated[
        Literal["Fixed", "Platform"],
        Meta(
            description="Platform: runAsUser, runAsGroup and fsGroup are left to the platform, as OpenShift wants it; "
            "Fixed: 10001."
        ),
    ] = "Fixed"
    api: Annotated[PodFields, Meta(description="Laid over these for API pods.")] = PodFields()
    worker: Annotated[PodFields, Meta(description="Laid over these for worker pods.")] = PodFields()
    jobs: Annotated[JobPods, Meta(description="Laid over these for pods of Jobs: plan, expand, smoke, contract.")] = (
        JobPods()
    )
