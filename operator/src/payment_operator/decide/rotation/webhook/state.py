"""What is so, of a webhook rotation: questions about what was seen."""

from datetime import datetime, timedelta

from payment_operator import names
from payment_operator.api.webhook import WebhookRotation
from payment_operator.decide.placement import baking
from payment_operator.decide.turn import Turn
from payment_operator.model.observed import ClusterState, Observed
from payment_operator.model.pod import Pod
from payment_operator.resources.release_record import moment
from payment_operator.resources.webhook_record import WebhookRecord


def managed(observed: ClusterState) -> bool:
    """Whether the operator makes the endpoint."""
    return observed.spec.stripe.webhook.provider == "Managed"


def busy(record: WebhookRecord) -> bool:
    """Whether a rotation is under way."""
    return record.step != ""


def stuck(observed: Observed, record: WebhookRecord) -> bool:
    """Whether a rotation that must begin cannot: Stripe does not list the endpoints."""
    needed = not busy(record) and (record.current is None or record.compromised)
    return managed(observed) and needed and observed.webhook.unlisted is not None


def due_at(observed: Observed) -> datetime | None:
    """When the next rotation begins by itself; without Managed, when somebody should make one."""
    since = observed.webhook_record.rotated_at
    return moment(since) + timedelta(seconds=times(observed).interval_seconds) if since else None


def times(observed: ClusterState) -> WebhookRotation:
    """The times of the rotation."""
    return observed.spec.stripe.webhook.rotation


def over(observed: ClusterState, record: WebhookRecord) -> bool:
    """Whether the former secret has been accepted for as long as the spec asks for."""
    return observed.now - moment(record.enabled_at) >= timedelta(seconds=times(observed).overlap_seconds)


def ends(observed: ClusterState, record: WebhookRecord) -> bool:
    """Whether the former endpoint goes as soon as nothing from before is left to deliver."""
    if record.step != "Overlapping" or record.former is None:
        return False
    return record.compromised or over(observed, record)


def waits_for(observed: Observed, record: WebhookRecord) -> str:
    """What an overlap goes on for, in words; empty before it is over."""
    if record.former is None or not record.enabled_at:
        return ""
    if not over(observed, record):
        return ""
    if not record.verified:
        return "no event has come with the new secret yet"
    if observed.webhook.unread:
        return f"undelivered events from before cannot be listed: {observed.webhook.unread}"
    undelivered = observed.webhook.undelivered
    return f"{len(undelivered)} events from before are undelivered" if undelivered else ""


def reporting(observed: ClusterState) -> list[Pod]:
    """Pods of API and worker that run."""
    return [
        pod
        for pod in observed.pods
        if pod.component in {names.API, names.WORKER} and pod.running and pod.ip and not pod.finished and not pod.job
    ]


def lacking(observed: Observed, fingerprint: str) -> list[str]:
    """Names of running API pods that do not report a fingerprint; workers verify nothing and have no such secret."""
    reports = observed.webhook.reports or {}
    return [
        pod.name
        for pod in reporting(observed)
        if pod.component == names.API
        and ((report := reports.get(pod.uid)) is None or fingerprint not in report.secrets)
    ]


def accepted_by_all(observed: Observed, fingerprint: str) -> bool:
    """Whether every running pod reports a fingerprint, and there is one that serves."""
    serving = any(pod.component == names.API for pod in reporting(observed))
    return serving and observed.webhook.reports is not None and not lacking(observed, fingerprint)


def verified(observed: Observed, record: WebhookRecord) -> bool:
    """Whether a pod has verified an event with the secret in use."""
    fingerprint = record.current.fingerprint if record.current else ""
    return any(
        report is not None and fingerprint in report.verified for report in (observed.webhook.reports or {}).values()
    )


def wanted_version(turn: Turn) -> str:
    """The API version of the pods, when they all agree and no release is under way; else empty."""
    placement, reports = turn.placement, turn.observed.webhook.reports or {}
    released = (
        placement.active is not None
        and not baking(placement.active)
        and placement.candidate is None
        and not placement.fresh
    )
    if not released or turn.observed.populated() != {placement.active.digest if placement.active else ""}:
        return ""
    seen = [reports.get(pod.uid) for pod in reporting(turn.observed)]
    found = {report.api_version if report else "" for report in seen}
    return found.pop() if len(found) == 1 else ""


def due(turn: Turn, record: WebhookRecord) -> str:
    """Why a rotation must begin now, in words; empty when none must."""
    observed, current = turn.observed, record.current
    listed = {endpoint.id for endpoint in observed.webhook.endpoints or ()}
    if current is None:
        return "there is no endpoint yet"
    if record.compromised:
        return "a secret has leaked"
    if record.failed_at:
        return "the last rotation failed"
    if current.id not in listed:
        return f"endpoint {current.id} is gone from Stripe"
    if (version := wanted_version(turn)) and version != current.api_version:
        return f"the image speaks API version {version}, the endpoint {current.api_version}"
    at = due_at(observed)
    return "the secret has reached its age" if at is not None and observed.now >= at else ""
