"""Short answers about the database, rollback, autoscaling and the last request."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from payment_operator import names
from payment_operator.plugin import clock
from payment_operator.plugin.kubectl import Object
from payment_operator.plugin.observe import Observed


def facts(observed: Observed) -> dict[str, str]:
    """Return each answer by its topic; topics without an answer are left out."""
    status = observed.environment.get("status", {})
    answers = {
        "database": _database(status.get("migration")),
        "rollback": _rollback(status.get("previous"), observed.at),
        "autoscaling": _autoscaling(observed),
        "last request": _request(status.get("lastOperation"), observed.at),
        "waiting request": _pending(observed.environment),
    }
    return {topic: answer for topic, answer in answers.items() if answer}


def _database(migration: dict[str, Any] | None) -> str:
    if not migration:
        return ""
    current, target = migration.get("current", ""), migration.get("target", "")
    pending = migration.get("pending", [])
    text = f"schema {current}" if current == target or not target else f"schema {current}, the image wants {target}"
    if pending:
        text += f"; {len(pending)} to run: {', '.join(entry.partition(':')[0] for entry in pending)}"
    if lint := migration.get("lint"):
        text += f"; the plan found: {'; '.join(lint)}"
    return text + ("; contract migrations wait until older pods are gone" if migration.get("contractPending") else "")


def _rollback(previous: dict[str, Any] | None, at: datetime) -> str:
    if not previous:
        return "no earlier revision"
    if not previous.get("rollbackable"):
        why = previous.get("blockedReason") or "no reason given"
        return f"to revision {previous['revision']} at once is not possible: {why}"
    left = clock.seconds_until(previous.get("retainUntil"), at)
    how = f", at once for {clock.duration(left)} more: its pods still run" if left else "; its pods start first"
    return f"to revision {previous['revision']} is possible{how}"


def _autoscaling(observed: Observed) -> str:
    name = names.autoscaler(observed.environment["metadata"]["name"], names.API)
    for autoscaler in observed.of_kind("HorizontalPodAutoscaler"):
        if autoscaler["metadata"]["name"] == name:
            return ", ".join(_of_autoscaler(autoscaler))
    return ""


def _of_autoscaler(autoscaler: Object) -> Iterator[str]:
    spec, status = autoscaler["spec"], autoscaler.get("status", {})
    wanted_pods = status.get("desiredReplicas", "?")
    yield f"{wanted_pods} API pods, between {spec.get('minReplicas', 1)} and {spec['maxReplicas']}"
    wanted = {entry["resource"]["name"]: entry["resource"] for entry in spec.get("metrics", []) if "resource" in entry}
    for entry in status.get("currentMetrics") or []:
        resource = entry.get("resource", {})
        used = resource.get("current", {}).get("averageUtilization")
        if used is not None and resource["name"] in wanted:
            limit = wanted[resource["name"]]["target"].get("averageUtilization")
            yield f"{resource['name'].upper()} {used} % of the wanted {limit} %"


def _request(operation: dict[str, Any] | None, at: datetime) -> str:
    if not operation:
        return ""
    ago = clock.duration(clock.seconds_since(operation.get("at"), at))
    target = f" {operation['target']}" if operation.get("target") else ""
    message = f": {operation['message']}" if operation.get("message") else ""
    return f"{operation['verb']}{target} {operation['result'].lower()}" + (f" {ago} ago" if ago else "") + message


def _pending(environment: Object) -> str:
    annotations = environment["metadata"].get("annotations", {})
    return str(annotations.get(names.ANNOTATION_REQUEST, ""))
