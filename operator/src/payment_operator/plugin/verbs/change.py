"""Verbs that ask the operator for something, from promote to unfreeze; and pause and resume, which write the spec."""

from typing import Any

from payment_operator.plugin import precheck, requesting
from payment_operator.plugin.context import Context
from payment_operator.plugin.describe import image_of
from payment_operator.plugin.follow import Goal, Watch, until_over
from payment_operator.plugin.kubectl import Object
from payment_operator.plugin.model import Status
from payment_operator.plugin.sides import pods_of
from payment_operator.plugin.snapshot import Observed, environment_named, observe

_SETTLE_SECONDS = 6


def promote(context: Context) -> int:
    """Send traffic to the candidate."""
    environment = environment_named(context.kubectl, context.name)
    revision = precheck.promoted(environment, context.options.revision, reason=context.options.reason)
    return _request(context, environment, revision, says=f"revision {revision} gets the traffic")


def approve(context: Context) -> int:
    """Let the candidate through when its checks have passed; never ends a bake."""
    environment = environment_named(context.kubectl, context.name)
    revision = precheck.approved(environment, context.options.revision)
    return _request(context, environment, revision, says=f"revision {revision} is approved")


def freeze(context: Context) -> int:
    """Let no release take a step."""
    return _freeze(context, "freeze", then="go on: kubectl payments unfreeze {}")


def unfreeze(context: Context) -> int:
    """Let releases go on."""
    return _freeze(context, "unfreeze", then="watch it: kubectl payments status {} -w")


def abort(context: Context) -> int:
    """Stop the candidate before it gets traffic."""
    environment = environment_named(context.kubectl, context.name)
    revision = precheck.aborted(environment, context.options.revision)
    return _request(context, environment, revision, says=f"revision {revision} is stopped", goal=_nothing_released)


def retry(context: Context) -> int:
    """Try the failed revision again, or what was refused before there was one."""
    environment = environment_named(context.kubectl, context.name)
    revision = precheck.retried(environment, context.options.revision)
    says = f"revision {revision} is" if revision is not None else "what was refused is"
    return _request(context, environment, revision, says=f"{says} tried again")


def rollback(context: Context) -> int:
    """Send traffic back to an earlier revision, or say what that would do."""
    observed = observe(context.kubectl, context.name)
    environment, revisions = observed.environment, observed.of_kind("ControllerRevision")
    revision = precheck.target_of_rollback(environment, revisions, context.options.to)
    if context.options.dry_run:
        return _would_roll_back(context, observed, revision)

    def serves(status: Status) -> int | None:
        takes = [side.revision for side in status.sides if side.traffic]
        return 0 if takes == [revision] else None

    return _request(context, environment, revision, says=f"traffic goes back to revision {revision}", goal=serves)


def pause(context: Context) -> int:
    """Stop the release before its next step."""
    return _suspend(context, wanted=True)


def resume(context: Context) -> int:
    """Let the release go on."""
    return _suspend(context, wanted=False)


def _nothing_released(status: Status) -> int | None:
    return 0 if status.revision is None and status.state != "NotSeen" else None


def _request(context: Context, environment: Object, revision: int | None, *, says: str, goal: Goal = until_over) -> int:
    verb, options = context.options.verb, context.options
    details = {"revision": revision} if revision is not None else {}
    request = requesting.send(context.kubectl, environment, verb=verb, details=details, reason=options.reason)
    operation = requesting.answer(context.kubectl, environment, request=request, seconds=options.timeout_answer)
    message = operation.get("message") or says
    name = environment["metadata"]["name"]
    lines = [f"{context.output.style.sign('done')} {name}: {verb}{f' {revision}' if revision else ''} done: {message}"]
    answer = operation | {"environment": name, "revision": revision}
    if not options.watch:
        lines.append(f"  watch it: kubectl payments status {name} -w{context.suffix}")
        context.output.show(lines, answer)
        return 0
    context.output.change("\n".join(lines), answer)
    return Watch(
        kubectl=context.kubectl,
        output=context.output,
        name=name,
        goal=goal,
        timeout_seconds=options.timeout,
        settle_seconds=_SETTLE_SECONDS,
        suffix=context.suffix,
    ).run()


def _freeze(context: Context, verb: str, *, then: str) -> int:
    options, environment = context.options, environment_named(context.kubectl, context.name)
    name = environment["metadata"]["name"]
    request = requesting.send(context.kubectl, environment, verb=verb, details={}, reason=options.reason)
    found = requesting.answer(context.kubectl, environment, request=request, seconds=options.timeout_answer)
    lines = [f"{context.output.style.sign('done')} {name}: {verb} done: {found.get('message', '')}"]
    lines.append(f"  {then.format(name)}{context.suffix}")
    context.output.show(lines, found | {"environment": name})
    return 0


def _would_roll_back(context: Context, observed: Observed, revision: int) -> int:
    environment = observed.environment
    active = environment.get("status", {}).get("active") or {}
    entry = next((entry for entry in observed.of_kind("ControllerRevision") if entry["revision"] == revision), None)
    digest = entry["metadata"]["name"].removeprefix(f"{environment['metadata']['name']}-") if entry else ""
    ready = sum(pod.ready for pod in pods_of(observed, digest))
    found: dict[str, Any] = {
        "environment": environment["metadata"]["name"],
        "from": {"revision": active.get("revision"), "image": active.get("image", "")},
        "to": {"revision": revision, "image": image_of(entry) if entry else "", "readyPods": ready},
        "changed": False,
    }
    how = f"its {ready} pods are ready: traffic moves at once" if ready else "its pods start first, then pass smoke"
    lines = [
        f"would send the traffic of {found['environment']} back (nothing is changed):",
        f"  from revision {found['from']['revision']}  {found['from']['image']}",
        f"  to revision {revision}  {found['to']['image']}",
        f"  {how}",
        "  the database is not migrated back; the operator checks that the older revision works with its schema",
    ]
    context.output.show(lines, found)
    return 0


def _suspend(context: Context, *, wanted: bool) -> int:
    environment = environment_named(context.kubectl, context.name)
    name, word = environment["metadata"]["name"], "paused" if wanted else "resumed"
    already = bool(environment["spec"].get("suspend")) == wanted
    if not already:
        requesting.patch(context.kubectl, environment, {"spec": {"suspend": wanted}})
    style = context.output.style
    lines = [f"{style.sign('done')} {name}: {'was ' + word + ' already' if already else word}"]
    if wanted:
        lines.append("  the release stops before its next step; repairs and automatic rollbacks go on")
        lines.append(f"  go on: kubectl payments resume {name}{context.suffix}")
    else:
        lines.append(f"  watch it: kubectl payments status {name} -w{context.suffix}")
    context.output.show(lines, {"environment": name, "suspend": wanted, "changed": not already})
    return 0
