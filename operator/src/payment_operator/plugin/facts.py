"""Short answers about the database, rollback, autoscaling and requests."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from payment_operator import names
from payment_operator.plugin import clock
from payment_operator.plugin.kubectl import Object
from payment_operator.plugin.snapshot import Observed


def facts(observed: Observed) -> dict[str, str]:
    """Return each answer by its topic; topics without an answer are left out."""
    status = observed.environment.get("status", {})
    answers = {
        "database": _database(status.get("migration")),
        "rollback": _rollback(status.get("previous"), observed.at),
        "autoscaling": _autoscaling(observed),
        "last request": _request(_answered(observed), observed.at),
        "waiting": _waiting(observed),
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


def _answered(observed: Observed) -> Object | None:
    """The request that was answered last."""
    asked = observed.of_kind(names.REQUEST_KIND)
    done = [item for item in asked if (item.get("status") or {}).get("state") in {"Done", "Refused"}]
    return max(done, key=lambda item: (item["status"].get("number", 0), item["status"].get("at", "")), default=None)


def _request(item: Object | None, at: datetime) -> str:
    if item is None:
        return ""
    spec, status = item["spec"], item["status"]
    ago = clock.duration(clock.seconds_since(status.get("at"), at))
    by = f" by {status['by']}" if status.get("by") else ""
    message = f": {status['message']}" if status.get("message") else ""
    return f"{_what(spec, status)} {status['state'].lower()}{by}" + (f" {ago} ago" if ago else "") + message


def _what(spec: Object, status: Object) -> str:
    """The verb, and of what."""
    target = spec.get("secret") or status.get("revision") or spec.get("revision") or ""
    return f"{spec['verb']} {target}".strip()


def _waiting(observed: Observed) -> str:
    """The requests that have no answer yet."""
    asked = observed.of_kind(names.REQUEST_KIND)
    states = [(item, (item.get("status") or {}).get("state", "Pending")) for item in asked]
    found = [
        f"{_what(item['spec'], item.get('status') or {})} ({state.lower()}, {item['metadata']['name']})"
        for item, state in states
        if state in {"Pending", "Accepted"}
    ]
    return ", ".join(found)
