"""The logs of pods and Jobs, by colour, revision, component or step; or the operator's own."""

from typing import Any

from payment_operator import names
from payment_operator.plugin import complaints
from payment_operator.plugin.context import Context
from payment_operator.plugin.errors import NotFound, WrongUsage
from payment_operator.plugin.kubectl import Object
from payment_operator.plugin.snapshot import environment_named

OPERATOR = f"{names.LABEL_NAME}={names.APPLICATION},{names.LABEL_COMPONENT}=operator"


def logs(context: Context) -> int:
    """Print, or follow, the logs that the options choose."""
    options = context.options
    if options.operator:
        namespace, selector = _operator_place(context), OPERATOR
    else:
        environment = environment_named(context.kubectl, context.name)
        namespace, selector = environment["metadata"]["namespace"], ",".join(_selector(context, environment))
        _refuse_nothing(context, namespace, selector)
    _refuse_unseen(context, namespace)
    arguments = ["logs", f"--namespace={namespace}", f"--selector={selector}", "--prefix", "--all-containers"]
    arguments += ["--ignore-errors", "--max-log-requests=100", f"--tail={options.tail}"]
    arguments += ["--follow"] if options.follow else []
    arguments += [f"--since={options.since}"] if options.since else []
    arguments += ["--previous"] if options.previous else []
    output = context.output
    return int(context.kubectl.stream(*arguments, line=output.line, complaint=output.complain) != 0)


def _selector(context: Context, environment: Object) -> list[str]:
    options = context.options
    chosen = [f"{names.LABEL_ENVIRONMENT}={environment['metadata']['name']}"]
    if options.component:
        chosen.append(f"{names.LABEL_COMPONENT}={options.component}")
    if options.step:
        chosen.append(f"{names.LABEL_STEP}={options.step}")
    if options.colour:
        chosen.append(f"{names.LABEL_REVISION}={_hash_of_colour(environment, options.colour)}")
    if options.revision is not None:
        chosen.append(f"{names.LABEL_REVISION}={_hash_of_revision(context, environment, options.revision)}")
    return chosen


def _hash_of_colour(environment: Object, colour: str) -> str:
    status = environment.get("status", {})
    active, candidate = status.get("active") or {}, status.get("candidate") or {}
    previous: dict[str, Any] = status.get("previous") or {}
    if colour == "green" and not candidate:
        raise NotFound("there is no green revision: nothing is being released")
    if colour == "green":
        return str(candidate["hash"])
    blue = previous if candidate and candidate["hash"] == active.get("hash") else active
    if not blue:
        raise NotFound("there is no blue revision yet: the first release is still running")
    return str(blue["hash"])


def _hash_of_revision(context: Context, environment: Object, revision: int) -> str:
    metadata = environment["metadata"]
    place = (f"--selector={names.LABEL_ENVIRONMENT}={metadata['name']}", f"--namespace={metadata['namespace']}")
    items: list[Object] = context.kubectl.get("controllerrevisions.apps", *place)["items"]
    for item in items:
        if item["revision"] == revision:
            return str(item["metadata"]["labels"][names.LABEL_REVISION])
    known = ", ".join(str(item["revision"]) for item in sorted(items, key=lambda item: int(item["revision"])))
    raise NotFound(f"revision {revision} is not remembered; there are {known or 'none'}")


def _refuse_nothing(context: Context, namespace: str, selector: str) -> None:
    found = context.kubectl.checked(
        "get", "pods", f"--namespace={namespace}", f"--selector={selector}", "--output=name"
    )
    if not found.strip():
        raise NotFound(
            "no pod matches: it never started, or it is gone with its logs",
            fix=f"see what happened: kubectl get events -n {namespace} --sort-by=.lastTimestamp",
        )


def _refuse_unseen(context: Context, namespace: str) -> None:
    """Kubectl prints a refusal among the lines, and ends as if all was well."""
    done = context.kubectl.run("auth", "can-i", "get", "pods", "--subresource=log", f"--namespace={namespace}")
    if done.out.strip().startswith("no"):
        raise complaints.forbidden("you", verb="get", resource="pods/log", group="", namespace=namespace)


def _operator_place(context: Context) -> str:
    found = context.kubectl.get("pods", "--all-namespaces", f"--selector={OPERATOR}")["items"]
    namespaces = sorted({str(pod["metadata"]["namespace"]) for pod in found})
    chosen = context.options.namespace
    if chosen in namespaces:
        return str(chosen)
    if not namespaces:
        raise NotFound("no operator runs in this cluster", fix="install it: helm install payments ./chart")
    if len(namespaces) > 1:
        raise WrongUsage(f"operators run in {', '.join(namespaces)}", fix="choose one: -n NAMESPACE")
    return namespaces[0]
