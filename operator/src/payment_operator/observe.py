"""Reads everything that one pass needs: the environment, its objects by label, and the Secrets that its spec names."""

import asyncio
from datetime import datetime
from typing import Any, Final

import msgspec

from payment_operator import names
from payment_operator.api.environment import Environment
from payment_operator.cluster import Cluster
from payment_operator.decide.jobs import ended
from payment_operator.errors import ApiError
from payment_operator.observed import Key, Observed, Pod, read_endpoints, read_pod
from payment_operator.redaction import redact
from payment_operator.resources import jobs
from payment_operator.resources.credentials import Sources, read_sources, references
from payment_operator.resources.metadata import Manifest, Owner

OWNED: Final = (
    "Service",
    "Secret",
    "ConfigMap",
    "Deployment",
    "ControllerRevision",
    "Job",
    "PodDisruptionBudget",
    "HorizontalPodAutoscaler",
)


class SpecInvalid(Exception):
    """The spec cannot be read; the message names the field."""


def read_spec(environment: Manifest) -> Environment:
    """Read the spec.

    Raises:
        SpecInvalid: it is not what the types say.
    """
    try:
        return msgspec.convert(environment["spec"], Environment)
    except msgspec.ValidationError as error:
        raise SpecInvalid(str(error)) from error


async def observe(cluster: Cluster, environment: Manifest, *, now: datetime) -> Observed:
    """Read the objects of one environment.

    Raises:
        SpecInvalid: its spec cannot be read.
        ApiError, Unreachable: the API server does not answer as it should.
    """
    metadata, spec = environment["metadata"], read_spec(environment)
    owner = Owner(metadata["name"], metadata["namespace"], metadata["uid"])
    selector = f"{names.LABEL_ENVIRONMENT}={owner.name}"
    reads = [cluster.list_all(kind, owner.namespace, selector=selector) for kind in (*OWNED, "Pod", "EndpointSlice")]
    sources, (*owned, pods, slices) = await asyncio.gather(_sources(cluster, owner, spec), asyncio.gather(*reads))
    objects = {key: item for items in owned for key, item in _mine(items, owner).items()}
    read_pods = tuple(read_pod(item) for item in pods)
    return Observed(
        owner=owner,
        metadata=metadata,
        spec=spec,
        now=now,
        sources=sources,
        status=environment.get("status") or {},
        objects=objects,
        pods=read_pods,
        serving=read_endpoints(slices),
        logs=await _plan_logs(cluster, owner, objects, read_pods, sources),
    )


async def _sources(cluster: Cluster, owner: Owner, spec: Environment) -> Sources:
    wanted = sorted({reference.name for reference in references(spec).values()})
    found = await asyncio.gather(*(cluster.get("Secret", owner.namespace, name) for name in wanted))
    return read_sources(spec, dict(zip(wanted, found, strict=True)))


def _mine(items: list[Manifest], owner: Owner) -> dict[Key, Manifest]:
    """Objects of this very environment, not of a deleted one of the same name."""
    return {
        (item["kind"], item["metadata"]["name"]): item
        for item in items
        if any(reference["uid"] == owner.uid for reference in item["metadata"].get("ownerReferences") or [])
    }


async def _plan_logs(
    cluster: Cluster, owner: Owner, objects: dict[Key, Any], pods: tuple[Pod, ...], sources: Sources
) -> dict[str, str]:
    """What finished plans have printed, as long as no record holds it: the SQL."""
    found: dict[str, str] = {}
    for (kind, name), job in objects.items():
        if kind != "Job" or job["metadata"]["labels"].get(names.LABEL_STEP) != jobs.PLAN or not ended(job):
            continue
        revision = objects.get(
            ("ControllerRevision", names.revision(owner.name, job["metadata"]["labels"][names.LABEL_REVISION]))
        )
        text = ((revision or {}).get("metadata", {}).get("annotations") or {}).get(names.ANNOTATION_RELEASE, "")
        done = [pod.name for pod in pods if pod.job == name and pod.exit_code == 0]
        if '"migration"' in text or not done:
            continue
        try:
            found[name] = redact(await cluster.log(owner.namespace, done[0]), sources.secrets)
        except ApiError:
            continue  # the log is a help for people; the pod may be gone
    return found
