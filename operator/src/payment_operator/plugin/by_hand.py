"""How a person replaces a secret that the operator cannot make: what to type, step by step. Pure."""

from collections.abc import Iterator
from typing import Any, Final

from payment_operator.plugin import secret_key
from payment_operator.plugin.kubectl import Object

_DASHBOARD: Final = "https://dashboard.stripe.com"
REASONS: Final = {
    "webhook": "a person makes the new webhook secret, for spec.stripe.webhook.provider is SecretRef",
    "api-key": "a person makes the new API key, for Stripe has no call that does",
    "database": "a person makes the new database password, for spec.database.rotation.mode is None",
    "secret-key": "a person makes the new value of SECRET_KEY, which must outlive the PaymentEnvironment, as keys do",
}


def steps_of(environment: Object, what: str, *, compromised: bool) -> str:
    """Return the steps, each with what to type."""
    steps = {"webhook": _webhook, "api-key": _api_key, "database": _database, "secret-key": secret_key.steps}[what]
    lines = [f"  {number}. {step}" for number, step in enumerate(steps(environment, compromised=compromised), 1)]
    return "\n".join(["what to do:", *lines])


def source(environment: Object, what: str) -> tuple[str, str]:
    """Return the Secret and the key in it that the spec names for a secret."""
    spec = environment["spec"]
    reference, setting = {
        "webhook": (spec["stripe"]["webhook"].get("secretRef"), "STRIPE_WEBHOOK_SECRET"),
        "api-key": (spec["stripe"]["apiKey"]["secretRef"], "STRIPE_SECRET_KEY"),
        "database": (spec["database"]["urlSecretRef"], "DATABASE_URL"),
    }[what]
    named: dict[str, Any] = reference or {}
    return named.get("name", ""), named.get("key") or setting


def _api_key(environment: Object, *, compromised: bool) -> Iterator[str]:
    name, namespace = environment["metadata"]["name"], environment["metadata"]["namespace"]
    if compromised:
        yield (
            f"roll the key in Stripe's Dashboard: {_dashboard(environment, 'apikeys')}\n"
            "     (expired now, requests fail until the new one is released; expired later, none do, but whoever has "
            "it can use it)"
        )
    else:
        yield f"make a key in Stripe's Dashboard, of the same account: {_dashboard(environment, 'apikeys')}"
    yield from _written(environment, "api-key")
    yield f"see it proven at Stripe, then released: kubectl payments status {name} -n {namespace}"
    if environment["spec"].get("release", {}).get("promotion") == "Manual" and not compromised:
        yield f"when the release waits for you: kubectl payments promote {name} -n {namespace}"
    else:
        yield f"watch the release to its end: kubectl payments status {name} -n {namespace} -w"
    if not compromised:
        yield "revoke the old key in the Dashboard when status says that it can be"


def _webhook(environment: Object, *, compromised: bool) -> Iterator[str]:
    name, namespace = environment["metadata"]["name"], environment["metadata"]["namespace"]
    old = "the leaked one expires now" if compromised else "the old one stays valid for a day"
    yield f"roll the endpoint's secret in Stripe's Dashboard, {old}: {_dashboard(environment, 'webhooks')}"
    yield from _written(environment, "webhook")
    if compromised:
        yield (
            "when the new one is written, let pods accept the leaked one no longer:\n"
            f"     kubectl payments rotate webhook {name} -n {namespace} --compromised"
        )
    yield f"see the new fingerprint; no pod restarts: kubectl payments status {name} -n {namespace}"


def _database(environment: Object, *, compromised: bool) -> Iterator[str]:
    name, namespace = environment["metadata"]["name"], environment["metadata"]["namespace"]
    yield (
        "make a second role with the rights of the present one: its own password must stay, for its pods still run\n"
        f"     (or let the operator do it all: set spec.database.rotation.mode to AlternatingRoles, then\n"
        f"     kubectl payments rotate database {name} -n {namespace})"
    )
    yield from _written(environment, "database")
    if environment["spec"].get("release", {}).get("promotion") == "Manual":
        yield f"when the release waits for you: kubectl payments promote {name} -n {namespace}"
    yield f"watch the release to its end: kubectl payments status {name} -n {namespace} -w"
    left = "at once" if compromised else "when its pods have ended"
    yield f"take LOGIN from the former role {left}, and end its sessions"


def _written(environment: Object, what: str) -> Iterator[str]:
    """The step that writes the value: ``read`` keeps it out of the shell's history."""
    secret, key = source(environment, what)
    namespace = environment["metadata"]["namespace"]
    change = f'{{\\"stringData\\":{{\\"{key}\\":\\"$VALUE\\"}}}}'
    yield (
        f"put {'its URL' if what == 'database' else 'it'} into the Secret {secret}, key {key} "
        "(or let the tool do it that writes this Secret); in bash or zsh:\n"
        "     read -rs VALUE\n"
        f"     kubectl patch secret {secret} -n {namespace} --type=merge --patch-file=/dev/stdin "
        f'<<< "{change}"'
    )


def _dashboard(environment: Object, page: str) -> str:
    test = "" if environment["spec"]["stripe"].get("mode", "Live") == "Live" else "/test"
    return f"{_DASHBOARD}{test}/{page}"
