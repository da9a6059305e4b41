"""How a person replaces SECRET_KEY: one value more, a wait, one value less; what is next follows from its state."""

from collections.abc import Iterator
from typing import Any

from payment_operator.plugin.kubectl import Object


def steps(environment: Object, *, compromised: bool) -> Iterator[str]:
    """Return what is to be done now, as the operator has heard it from the pods, each step with what to type."""
    reported: dict[str, Any] = (environment.get("status", {}).get("rotation") or {}).get("secretKey") or {}
    state = reported.get("state", "Current")
    first = _first(environment, state, reported.get("message", ""))
    if first:
        yield first
    if state != "Removable":
        metadata = environment["metadata"]
        yield (
            "wait: a new value signs when every pod has it, none restarts; API keys move to it when they are used:\n"
            f"     kubectl payments status {metadata['name']} -n {metadata['namespace']}"
        )
        yield (
            "use, rotate or revoke the keys that do not move; this lists them:\n"
            f"     kubectl exec -n {metadata['namespace']} service/{metadata['name']}-api -- payments secret-key status"
        )
    if compromised:
        yield "hurry with that: the leaked value is accepted until you remove it"
    when = "" if state == "Removable" else "when status says Removable, "
    yield (
        f"{when}remove the former values, which no API key needs any more:\n"
        f"     VALUES=$({_read(environment)})\n{_patched(environment, '${VALUES%%,*}')}"
    )


def _first(environment: Object, state: str, message: str) -> str:
    if state == "Retaining":
        return f"put the value back that API keys need, from where the operator keeps it:\n{_put_back(environment)}"
    if state == "Failed":
        return f"mend this first: {message}"
    if state != "Current":
        return ""
    return (
        "put a new value before the present one (or let the tool do it that writes this Secret); in bash or zsh:\n"
        f"     VALUES=$({_read(environment)})\n{_patched(environment, '$(openssl rand -hex 32),$VALUES')}"
    )


def _put_back(environment: Object) -> str:
    kept = _values(environment, f"{environment['metadata']['name']}-secret-keys", "SECRET_KEY")
    return f"     VALUES=$({kept})\n{_patched(environment, '$VALUES')}"


def _source(environment: Object) -> tuple[str, str]:
    reference = environment["spec"]["secretKeyRef"]
    return reference["name"], reference.get("key") or "SECRET_KEY"


def _read(environment: Object) -> str:
    return _values(environment, *_source(environment))


def _values(environment: Object, secret: str, key: str) -> str:
    """The command that prints the values of a Secret, separated by commas alone."""
    template = f"'{{{{index .data \"{key}\" | base64decode}}}}'"
    namespace = environment["metadata"]["namespace"]
    return f"kubectl get secret {secret} -n {namespace} -o go-template={template} | tr -s ', \\n' ','"


def _patched(environment: Object, value: str) -> str:
    secret, key = _source(environment)
    change = f'{{\\"stringData\\":{{\\"{key}\\":\\"{value}\\"}}}}'
    namespace = environment["metadata"]["namespace"]
    return f'     kubectl patch secret {secret} -n {namespace} --type=merge --patch-file=/dev/stdin <<< "{change}"'
