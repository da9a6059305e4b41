"""What to type next: only commands that would be accepted now."""

from collections.abc import Iterator
from typing import Any

from payment_operator.plugin.kubectl import Object
from payment_operator.plugin.model import Command, State
from payment_operator.plugin.progress import BEFORE_TRAFFIC, ROLLBACK
from payment_operator.plugin.verdict import condition, failing, failure, halted

KIND_NAME = "paymentenvironment"
OPERATOR_PODS = "kubectl get pods --all-namespaces --selector=app.kubernetes.io/component=operator"


def advice(environment: Object, state: State, *, suffix: str = "") -> list[Command]:
    """Return the commands that fit; ``suffix`` is the namespace flag, if one is needed."""
    found = _commands(environment, state)
    return [
        Command(line=line if line == OPERATOR_PODS else f"{_whole(line)}{suffix}", effect=effect)
        for line, effect in found
    ]


def _whole(line: str) -> str:
    return line if line.startswith("kubectl ") else f"kubectl payments {line}"


def _commands(environment: Object, state: State) -> Iterator[tuple[str, str]]:
    name, status = environment["metadata"]["name"], environment.get("status", {})
    match state:
        case "NotSeen":
            yield OPERATOR_PODS, "see whether the operator runs"
        case "Waiting":
            yield from _for_a_person(name, status)
        case "Paused":
            yield f"{'unfreeze' if halted(environment) == 'frozen' else 'resume'} {name}", "go on with the release"
            yield from _leave(name, status)
        case "Releasing":
            yield f"status {name} -w", "watch until the release is over"
            yield from _leave(name, status)
        case "Failed":
            yield from _after_failure(environment)
        case "Stalled" | "NotReady":
            yield from _stuck(environment)
        case "Settled":
            yield from _back(name, status)


def _for_a_person(name: str, status: dict[str, Any]) -> Iterator[tuple[str, str]]:
    candidate = status.get("candidate")
    if not candidate:
        yield f"kubectl edit {KIND_NAME} {name}", "put the spec back to what serves: the secret is released at once"
        return
    revision = candidate["revision"]
    yield f"promote {name} --revision {revision}", f"send traffic to revision {revision}"
    yield from _leave(name, status)


def _leave(name: str, status: dict[str, Any]) -> Iterator[tuple[str, str]]:
    candidate = status.get("candidate")
    if not candidate:
        return
    revision = candidate["revision"]
    if candidate["step"] in BEFORE_TRAFFIC:
        stays = "; the serving one stays" if status.get("active") else ""
        yield f"abort {name} --revision {revision}", f"stop revision {revision}{stays}"
    elif candidate["step"] != ROLLBACK:
        yield f"rollback {name}", "send traffic back to the revision before"


def _stuck(environment: Object) -> Iterator[tuple[str, str]]:
    name, status = environment["metadata"]["name"], environment.get("status", {})
    if condition(environment, "TrafficOverridden").get("status") == "True":
        yield from _moved_by_hand(name)
        return
    match condition(environment, "Stalled").get("reason"):
        case "KeyRefused":
            return  # the secrets' own commands follow
        case "SecretsInvalid":
            yield "kubectl get secrets", "see which Secrets there are; the release goes on when all is there"
        case "ContractFailed":
            revision = (status.get("active") or {})["revision"]
            yield f"logs {name} --step contract", "see what its Job said"
            yield f"retry {name} --revision {revision}", "run the contract migrations again, once the cause is gone"
        case _:
            if failing(environment):
                yield f"retry {name}", "try at once what was refused, once the cause is gone"
            yield from _look_into(name)


def _moved_by_hand(name: str) -> Iterator[tuple[str, str]]:
    for policy, effect in (("Restore", "put the selector back"), ("Adopt", "take over where traffic goes now")):
        merge = f'{{"spec":{{"release":{{"onOverride":"{policy}"}}}}}}'
        yield f"kubectl patch {KIND_NAME} {name} --type=merge --patch='{merge}'", effect


def _look_into(name: str) -> Iterator[tuple[str, str]]:
    yield f"logs {name}", "see what the pods say"
    yield f"report {name}", "collect a redacted bundle for a bug report"


def _after_failure(environment: Object) -> Iterator[tuple[str, str]]:
    failed = failure(environment)
    if failed:
        name, revision = environment["metadata"]["name"], failed["revision"]
        yield f"logs {name} --revision {revision}", "see what its pods and Jobs said"
        yield f"retry {name} --revision {revision}", "try the same revision again, once the cause is gone"
        yield f"kubectl edit {KIND_NAME} {name}", "or change the spec: that makes a new revision"


def _back(name: str, status: dict[str, Any]) -> Iterator[tuple[str, str]]:
    previous = status.get("previous") or {}
    if previous.get("rollbackable"):
        yield f"rollback {name} --dry-run", f"see what going back to revision {previous['revision']} would do"
    yield f"history {name}", "list the revisions"
