"""Reads what the API server has of one environment: its objects by label, and the Secrets that its spec names."""

import asyncio
import base64
from datetime import datetime
from typing import Any, Final

import msgspec

from payment_operator import names
from payment_operator.api.environment import Environment
from payment_operator.api.status import EnvironmentStatus
from payment_operator.clients.protocols import Kubernetes
from payment_operator.decide.release.jobs import ended
from payment_operator.decide.unsafe_pods import unsafe_fields
from payment_operator.errors import ApiError
from payment_operator.model.observed import ClusterState, Key
from payment_operator.model.pod import Pod, read_endpoints, read_pod
from payment_operator.observe.requests import read_requests
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


async def read_state(
    cluster: Kubernetes, environment: Manifest, *, now: datetime, policy: str = "", unsafe_pods: bool = False
) -> ClusterState:
    """Read the objects of one environment; `policy` vouches for who makes a request.

    Raises:
        SpecInvalid: its spec cannot be read.
        ApiError, Unreachable: the API server does not answer as it should.
    """
    metadata, spec = environment["metadata"], read_spec(environment)
    owner = Owner(metadata["name"], metadata["namespace"], metadata["uid"])
    selector = f"{names.LABEL_ENVIRONMENT}={owner.name}"
    reads = [cluster.list_all(kind, owner.namespace, selector=selector) for kind in (*OWNED, "Pod", "EndpointSlice")]
    sources, probe_key, requests, (*owned, pods, slices) = await asyncio.gather(
        _sources(cluster, owner, spec),
        _probe_key(cluster, owner, spec),
        read_requests(cluster, (owner.namespace, owner.name), policy=policy),
        asyncio.gather(*reads),
    )
    objects = {key: item for items in owned for key, item in _mine(items, owner).items()}
    read_pods = tuple(read_pod(item) for item in pods)
    logs, unstarted = await asyncio.gather(
        _plan_logs(cluster, owner, objects, read_pods, sources, now=now),
        _unstarted(cluster, owner, objects, read_pods, now=now),
    )
    return ClusterState(
        owner=owner,
        metadata=metadata,
        spec=spec,
        now=now,
        sources=sources,
        status=_status(environment),
        objects=objects,
        pods=read_pods,
        serving=read_endpoints(slices),
        requests=requests,
        unsafe=() if unsafe_pods else unsafe_fields(spec),
        probe_key=probe_key,
        unstarted=unstarted,
        logs=logs,
    )


def _status(environment: Manifest) -> Manifest:
    """The status as it is; empty when it is none."""
    status = environment.get("status") or {}
    try:
        msgspec.convert(status, EnvironmentStatus)
    except msgspec.ValidationError:
        return {}
    return dict(status)


async def _sources(cluster: Kubernetes, owner: Owner, spec: Environment) -> Sources:
    wanted = sorted({reference.name for reference in references(spec).values()})
    reads = [cluster.get("Secret", owner.namespace, name) for name in wanted]
    if spec.database.ca is not None:
        kind, name = spec.database.ca.source
        reads.append(cluster.get(kind, owner.namespace, name))
    found = await asyncio.gather(*reads)
    authority = found.pop() if spec.database.ca is not None else None
    return read_sources(spec, dict(zip(wanted, found, strict=True)), authority=authority)


async def _probe_key(cluster: Kubernetes, owner: Owner, spec: Environment) -> str:
    reference = spec.release.probe_key_secret_ref
    if reference is None:
        return ""
    found = await cluster.get("Secret", owner.namespace, reference.name)
    try:
        return base64.b64decode(((found or {}).get("data") or {}).get(reference.key, "")).decode().strip()
    except ValueError:
        return ""


def _mine(items: list[Manifest], owner: Owner) -> dict[Key, Manifest]:
    """Objects of this very environment, not of a deleted one of the same name."""
    return {(item["kind"], item["metadata"]["name"]): item for item in items if owner.owns(item)}


async def _unstarted(
    cluster: Kubernetes, owner: Owner, objects: dict[Key, Any], pods: tuple[Pod, ...], *, now: datetime
) -> dict[str, str]:
    """Why running Jobs have no pods (a quota, a policy): only Events tell, so these are asked for only then."""
    populated, found = {pod.job for pod in pods}, {}
    for (kind, name), job in objects.items():
        if kind != "Job" or name in populated or ended(job, (), now=now) is not None:
            continue
        fields = f"involvedObject.uid={job['metadata']['uid']},type=Warning"
        try:
            events = await cluster.list_all("Event", owner.namespace, fields=fields)
        except ApiError:
            continue  # it is waited for all the same
        if events:
            last = max(events, key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""))
            found[name] = redact(f"{last.get('reason', '')}: {last.get('message', '')}".strip(": "))
    return found


async def _plan_logs(
    cluster: Kubernetes,
    owner: Owner,
    objects: dict[Key, Any],
    pods: tuple[Pod, ...],
    sources: Sources,
    *,
    now: datetime,
) -> dict[str, str]:
    """What finished plans have printed, as long as no record holds it: the SQL."""
    found: dict[str, str] = {}
    for (kind, name), job in objects.items():
        if (
            kind != "Job"
            or job["metadata"]["labels"].get(names.LABEL_STEP) != jobs.PLAN
            or not ended(job, pods, now=now)
        ):
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
