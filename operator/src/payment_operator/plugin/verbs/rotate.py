"""``rotate``: ask the operator for a new secret, or say how a person makes it."""

from dataclasses import asdict
from typing import Final

from payment_operator.plugin import by_hand, clock, precheck, requesting
from payment_operator.plugin.context import Context
from payment_operator.plugin.errors import NoAnswer, Refused
from payment_operator.plugin.kubectl import Object
from payment_operator.plugin.rotation import WORDS, made_by_hand, secret
from payment_operator.plugin.screens import due_in
from payment_operator.plugin.snapshot import environment_named

_HAPPENS: Final = {
    "webhook": "a second endpoint is made at Stripe, and no pod restarts",
    "database": "the idle role gets a new password, which is proven and released blue-green",
}
_THEN: Final = {
    "webhook": "both secrets are accepted until the events of the old endpoint are delivered; then it is deleted",
    "database": "the former role is locked when the pods that use it have ended",
}
_THEN_IF_LEAKED: Final = {
    "webhook": "the old endpoint and its secret go as soon as every pod accepts the new one, without an overlap",
    "database": "the release is not held, nothing of the old is retained, and the former role is locked",
}
_TOLD: Final = {
    "webhook": "former values are accepted no longer; the one in use only you can replace",
    "api-key": "only you can make another; its release is not held, and nothing of the leaked one is retained",
}
"""Of a leak: secrets that a person makes."""


def rotate(context: Context) -> int:
    """Ask for a rotation, or with --dry-run say what would happen.

    Raises:
        Refused: a person must make the secret (the fix says how), or the operator says no.
    """
    options = context.options
    environment = environment_named(context.kubectl, context.name)
    precheck.rotated(environment, options.what, compromised=options.compromised)
    return _would_rotate(context, environment) if options.dry_run else _rotate(context, environment)


def _happens(context: Context, environment: Object) -> list[str]:
    what = context.options.what
    if made_by_hand(environment, what):
        return [_TOLD[what], *by_hand.steps_of(environment, what, compromised=True).splitlines()]
    return [_HAPPENS[what], (_THEN_IF_LEAKED if context.options.compromised else _THEN)[what]]


def _would_rotate(context: Context, environment: Object) -> int:
    what, name = context.options.what, environment["metadata"]["name"]
    now, happens = secret(environment, what, clock.now()), _happens(context, environment)
    lines = [f"would rotate the {WORDS[what]} of {name} (nothing is changed):", *(f"  {line}" for line in happens)]
    if now is not None:
        age = f", {clock.duration(now.age_seconds)} old" if now.age_seconds is not None else ""
        due = f", next one {due_in(now)}" if due_in(now) else ""
        lines.append(f"  now: version {now.version}, fingerprint {now.fingerprint}{age}, {now.state}{due}")
    found = {"environment": name, "what": what, "compromised": context.options.compromised}
    context.output.show(lines, found | {"happens": happens, "now": asdict(now) if now else None, "changed": False})
    return 0


def _rotate(context: Context, environment: Object) -> int:
    options, name = context.options, environment["metadata"]["name"]
    details = {"secret": options.what} | ({"compromised": True} if options.compromised else {})
    try:
        request = requesting.send(context.kubectl, environment, verb="rotate", details=details)
        operation = requesting.answer(context.kubectl, environment, request=request, seconds=options.timeout_answer)
    except (Refused, NoAnswer) as error:
        if not made_by_hand(environment, options.what):
            raise
        steps = by_hand.steps_of(environment, options.what, compromised=True)
        raise type(error)(str(error), fix="\n".join(filter(None, [error.fix, steps]))) from error
    lines = [f"{context.output.style.sign('done')} {name}: rotate {options.what} done: {operation.get('message', '')}"]
    lines += [f"  {line}" for line in _happens(context, environment)]
    watch = f"watch the release: kubectl payments status {name} -w"
    look = f"see how far it is: kubectl payments status {name}"
    lines.append(f"  {look if options.what == 'webhook' else watch}{context.suffix}")
    context.output.show(lines, operation | {"environment": name, "what": options.what})
    return 0
