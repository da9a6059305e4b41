"""Versions of the credentials: immutable Secrets named by what they hold, copied from the user's Secrets."""

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass, field
from typing import Final

import msgspec

from payment_operator import names
from payment_operator.api.environment import Environment
from payment_operator.api.fields import SecretRef
from payment_operator.resources.metadata import Manifest, Owner

ADMIN_TOKEN: Final = "PAYMENTS_ADMIN_TOKEN"  # noqa: S105 - a setting's name
WEBHOOK: Final = "STRIPE_WEBHOOK_SECRET"
API_KEY: Final = "STRIPE_SECRET_KEY"
DATABASE: Final = "DATABASE_URL"
REPLICA: Final = "DATABASE_REPLICA_URL"
MIGRATION: Final = "DATABASE_MIGRATION_URL"
ADMIN_URL: Final = "DATABASE_ADMIN_URL"
HOT: Final = frozenset({WEBHOOK, MIGRATION, ADMIN_URL})
"""Settings whose change is no release: pods, Jobs or the operator read them anew."""
MINIMUM_KEY_LENGTH: Final = 32
_FORM: Final = re.compile(r"[A-Za-z0-9_]{8,255}")
_PREFIXES: Final = {"Test": ("sk_test_", "rk_test_"), "Live": ("sk_live_", "rk_live_")}


@dataclass(frozen=True)
class Sources:
    """The values of the user's Secrets by setting, and what is wrong with them."""

    values: dict[str, str] = field(repr=False)
    problems: tuple[str, ...] = ()
    """Why no revision can be made."""
    refused: tuple[str, ...] = ()
    """What was not taken from the Secrets, with the reason; the value in use stands in its place."""
    original: dict[str, str] = field(default_factory=dict, repr=False)
    """What stands in the Secrets, used or not."""

    @property
    def usable(self) -> bool:
        """Whether a revision can be made of them."""
        return not self.problems

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every value that must not be shown."""
        return (*self.values.values(), *self.original.values())

    @property
    def digest(self) -> str:
        """Ten hex digits over all credentials together; none can be guessed from it, for SECRET_KEY is among them."""
        content = {name: value for name, value in self.values.items() if name not in HOT}
        return hashlib.sha256(msgspec.json.encode(content, order="deterministic")).hexdigest()[:10]


def references(spec: Environment) -> dict[str, SecretRef]:
    """Where each setting's value stands."""
    found = {
        DATABASE: spec.database.url_secret_ref,
        REPLICA: spec.database.replica_url_secret_ref,
        MIGRATION: spec.database.migration_url_secret_ref,
        "REDIS_URL": spec.redis.url_secret_ref,
        "SECRET_KEY": spec.secret_key_ref,
        API_KEY: spec.stripe.api_key.secret_ref,
        WEBHOOK: spec.stripe.webhook.secret_ref,
    }
    if spec.database.rotation.mode == "AlternatingRoles":
        found[ADMIN_URL] = spec.database.rotation.admin_secret_ref
    return {setting: reference for setting, reference in found.items() if reference is not None}


def read_sources(spec: Environment, secrets: dict[str, Manifest | None]) -> Sources:
    """Take the values out of the Secrets, by name; None stands for one that does not exist."""
    values: dict[str, str] = {}
    problems: list[str] = []
    for setting, reference in references(spec).items():
        secret, key = secrets.get(reference.name), reference.key or setting
        encoded = ((secret or {}).get("data") or {}).get(key)
        if secret is None:
            problems.append(f"Secret {reference.name} does not exist; create it with the key {key}")
        elif not encoded:
            problems.append(f"Secret {reference.name} has no key {key}; add it ({setting})")
        else:
            values[setting] = base64.b64decode(encoded).decode(errors="replace").strip()
    return Sources(values, tuple(dict.fromkeys(problems)) or _checked(values), original=values)


def _checked(values: dict[str, str]) -> tuple[str, ...]:
    problems = []
    if len(values["SECRET_KEY"]) < MINIMUM_KEY_LENGTH:
        problems.append(f"SECRET_KEY is shorter than {MINIMUM_KEY_LENGTH} characters; make a longer one")
    return tuple(problems)


def malformed(spec: Environment, key: str) -> tuple[str, str]:
    """What is wrong with the form of an API key, as a word and for people; empty when nothing is."""
    prefixes = _PREFIXES[spec.stripe.mode]
    if key.startswith(prefixes):
        fits = _FORM.fullmatch(key) is not None
        return ("", "") if fits else ("Malformed", "it holds characters that no key of Stripe's has")
    foreign = key.startswith(tuple(prefix for known in _PREFIXES.values() for prefix in known))
    wanted = " or ".join(prefixes)
    why = f"it does not start with {wanted}, which mode {spec.stripe.mode} asks for"
    return ("OtherMode" if foreign else "Malformed"), why


def held(secret: Manifest | None) -> dict[str, str]:
    """The values of a Secret."""
    data = (secret or {}).get("data") or {}
    return {name: base64.b64decode(value).decode(errors="replace") for name, value in data.items()}


def credentials_secret(owner: Owner, sources: Sources, *, version: int) -> Manifest:
    """The immutable Secret that holds this version."""
    values = {name: value for name, value in sources.values.items() if name not in HOT}
    token = hmac.new(values["SECRET_KEY"].encode(), f"admin {owner.uid}".encode(), hashlib.sha256).hexdigest()
    manifest = _secret(owner, names.credentials(owner.name, sources.digest), values | {ADMIN_TOKEN: token})
    manifest["metadata"]["annotations"] = {names.ANNOTATION_CREDENTIALS_VERSION: str(version)}
    return manifest | {"immutable": True}


def migration_secret(owner: Owner, sources: Sources) -> Manifest | None:
    """The Secret with the owner role's URL; None when migrations use the application's own."""
    if MIGRATION not in sources.values:
        return None
    return _secret(owner, names.migration_secret(owner.name), {MIGRATION: sources.values[MIGRATION]})


def _secret(owner: Owner, name: str, values: dict[str, str]) -> Manifest:
    return owner.owned(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "labels": owner.labels()},
            "type": "Opaque",
            "data": {key: base64.b64encode(value.encode()).decode() for key, value in sorted(values.items())},
        }
    )
