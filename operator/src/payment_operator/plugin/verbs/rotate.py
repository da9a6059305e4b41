"""``rotate``: ask the operator for a new secret, or say how a person makes it."""

from payment_operator.plugin import requesting
from payment_operator.plugin.context import Context
from payment_operator.plugin.errors import Refused
from payment_operator.plugin.kubectl import Object
from payment_operator.plugin.observe import environment_named

_HAPPENS = {
    "webhook": "a second endpoint is made at Stripe; both secrets are accepted until the old one goes; no pod restarts",
    "database": "the idle role gets a new password and is released blue-green; then the former role is locked",
}


def rotate(context: Context) -> int:
    """Ask for a rotation, or with --dry-run say what would happen.

    Raises:
        Refused: nobody but a person can make a new API key, or the operator says no.
    """
    options = context.options
    if options.what == "api-key":
        raise Refused(
            "Stripe has no call that makes an API key",
            fix="make one in Stripe's Dashboard and put the new value into the Secret that the spec names: "
            "the operator proves it at Stripe and releases it blue-green",
        )
    environment = environment_named(context.kubectl, context.name)
    return _would_rotate(context, environment) if options.dry_run else _rotate(context, environment)


def _would_rotate(context: Context, environment: Object) -> int:
    what, name = context.options.what, environment["metadata"]["name"]
    present = (environment.get("status", {}).get("rotation") or {}).get(what) or {}
    lines = [f"would rotate the {what} secret of {name} (nothing is changed):", f"  {_HAPPENS[what]}"]
    if present:
        lines.append(
            f"  now: version {present.get('version', 0)}, {present['state']}, {present.get('fingerprint', '')}"
        )
    context.output.show(lines, {"environment": name, "what": what, "now": present, "changed": False})
    return 0


def _rotate(context: Context, environment: Object) -> int:
    options, name = context.options, environment["metadata"]["name"]
    details = {"what": options.what} | ({"compromised": True} if options.compromised else {})
    request = requesting.send(context.kubectl, environment, verb="rotate", details=details)
    operation = requesting.answer(context.kubectl, environment, request=request, seconds=options.timeout_answer)
    lines = [f"{context.output.style.mark('done')} {name}: {operation.get('message', '')}"]
    lines.append(f"  {_HAPPENS[options.what]}")
    lines.append(
        f"  watch it: kubectl get penv {name} -o jsonpath='{{.status.rotation.{options.what}}}'{context.suffix}"
    )
    context.output.show(lines, operation | {"environment": name, "what": options.what})
    return 0
