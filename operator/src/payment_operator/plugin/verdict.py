"""How it stands with an environment, in one word and one sentence."""

import re
from datetime import datetime
from typing import Any, Final, NamedTuple

from payment_operator.plugin import clock
from payment_operator.plugin.kubectl import Object
from payment_operator.plugin.model import State
from payment_operator.plugin.progress import AFTER_BAKE

_REVISION: Final = re.compile(r"revision (\d+): ")
_BY_HAND: Final = {"Aborted": "was aborted", "RolledBack": "was rolled back"}


class Verdict(NamedTuple):
    """The answer to: is it done, does it run, does it need me?"""

    state: State
    headline: str
    detail: str = ""


def condition(environment: Object, name: str) -> dict[str, Any]:
    """Return a condition of the environment; empty when the operator has not set it."""
    conditions = environment.get("status", {}).get("conditions", [])
    return next((entry for entry in conditions if entry["type"] == name), {})


def verdict(environment: Object, at: datetime) -> Verdict:
    """Judge the environment by its spec and status alone."""
    status = environment.get("status", {})
    generation, seen = environment["metadata"].get("generation", 0), status.get("observedGeneration", 0)
    if seen < generation:
        return Verdict(
            "NotSeen", "The operator has not looked at this change yet.", f"generation {generation}, seen {seen}"
        )
    moved = condition(environment, "TrafficOverridden")
    if moved.get("status") == "True":
        serving = _serving(status)
        return Verdict("Stalled", f"Somebody else moved the Service's selector. {serving}", moved["message"])
    candidate = status.get("candidate")
    if candidate and candidate["step"] not in AFTER_BAKE:
        return _of_release(environment, candidate, at)
    return _at_rest(environment)


def _of_release(environment: Object, candidate: dict[str, Any], at: datetime) -> Verdict:
    revision, step = candidate["revision"], candidate["step"]
    spent = clock.duration(clock.seconds_since(candidate.get("stepSince"), at))
    since = f" for {spent}" if spent else ""
    waiting = f"waiting: {candidate['waitingFor']}" if candidate.get("waitingFor") else ""
    stalled = condition(environment, "Stalled")
    if stalled.get("status") == "True":
        return Verdict(
            "Stalled", f"The release of revision {revision} is stuck: {stalled['reason']}.", stalled["message"]
        )
    if word := halted(environment):
        why = condition(environment, "Suspended").get("message", "") if word == "frozen" else waiting
        return Verdict("Paused", f"The release of revision {revision} is {word} after step {step}.", why)
    if step == "Hold":
        leak = candidate.get("waitingFor", "").partition("; ")[2]
        return Verdict("Waiting", f"Revision {revision} passed its checks and waits for you{since}.", leak)
    baking = condition(environment, "Baking")
    if step == "Bake" and baking.get("reason") == "Inconclusive":
        return Verdict(
            "Waiting", f"Revision {revision} has the traffic, but its bake proves nothing.", baking["message"]
        )
    if step == "Bake":
        return Verdict("Releasing", f"Revision {revision} has the traffic and is being watched{since}.", waiting)
    attempt = candidate.get("attempt", 1)
    again = f", attempt {attempt}" if attempt > 1 else ""
    return Verdict("Releasing", f"Releasing revision {revision}{again}: {step}{since}.", waiting)


def failing(environment: Object) -> bool:
    """Whether writes are refused, or parts of the passes fail: `retry` tries them at once."""
    found = condition(environment, "Failing")
    return found.get("status") == "True" and found.get("reason") in {"WriteRefused", "NameTaken", "PartFailed"}


def halted(environment: Object) -> str:
    """How releases are held: paused by the spec, or frozen by a request; empty when they go on."""
    if environment["spec"].get("suspend"):
        return "paused"
    return "frozen" if condition(environment, "Suspended").get("reason") == "Frozen" else ""


def _serving(status: dict[str, Any]) -> str:
    active = status.get("active")
    return f"Revision {active['revision']} serves." if active else "No revision serves."


def _at_rest(environment: Object) -> Verdict:
    status = environment.get("status", {})
    active, serving = status.get("active") or {}, _serving(status)
    stalled, ready = condition(environment, "Stalled"), condition(environment, "Ready")
    if failed := failure(environment):
        how = _BY_HAND.get(failed["reason"], f"failed: {failed['reason']}")
        return Verdict("Failed", f"Revision {failed['revision']} {how}. {serving}", failed["message"])
    if stalled.get("status") == "True":
        return Verdict("Stalled", f"Stuck: {stalled['reason']}. {serving}", stalled["message"])
    reconciling = condition(environment, "Reconciling")
    begins = reconciling.get("status") == "True" and not status.get("candidate")
    if begins and (word := halted(environment)):
        why = condition(environment, "Suspended").get("message", "") if word == "frozen" else ""
        return Verdict("Paused", f"A new release is {word} before it begins. {serving}", why)
    if begins and not failing(environment):
        return Verdict("Releasing", f"A release begins: {reconciling['reason']}. {serving}", reconciling["message"])
    if ready.get("status") == "True" and active:
        return _with_secrets(environment, serving)
    return Verdict("NotReady", f"Not ready: {ready.get('reason') or 'Unknown'}. {serving}", ready.get("message", ""))


def _with_secrets(environment: Object, serving: str) -> Verdict:
    """Nothing is being released; a new secret may be about to be, or wait until the spec asks for something else."""
    secret = _on_its_way(environment["status"])
    waits = condition(environment, "TrafficSwitched").get("message", "")
    if secret and waits:
        return Verdict("Waiting", f"A new {secret} waits for you. {serving}", waits)
    if secret:
        return Verdict("Releasing", f"A new {secret} is on its way. {serving}")
    return Verdict("Settled", f"{serving} Nothing is being released.")


def _on_its_way(status: dict[str, Any]) -> str:
    """A secret whose release is about to begin; empty when there is none."""
    rotation = status.get("rotation") or {}
    states = {what: (rotation.get(what) or {}).get("state") for what in ("database", "apiKey")}
    if states["database"] in {"Preparing", "Releasing"}:
        return "database password"
    return "API key" if states["apiKey"] == "Releasing" else ""


def failure(environment: Object) -> dict[str, Any] | None:
    """Return the failure of the revision that the spec asks for; older failures are history."""
    stalled = condition(environment, "Stalled")
    named = _REVISION.match(stalled.get("message", "")) if stalled.get("status") == "True" else None
    found: list[dict[str, Any]] = environment.get("status", {}).get("failed") or []
    for failed in found:
        if named and int(named[1]) == failed["revision"]:
            return {"message": ""} | failed
    return None
