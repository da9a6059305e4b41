"""Versions of the credentials: immutable Secrets named by what they hold, copied from the user's Secrets."""

import base64
import hashlib
import hmac
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import msgspec

from payment_operator import names
from payment_operator.api.environment import Environment
from payment_operator.api.fields import SecretRef
from payment_operator.plaintext import VERIFY, database_in_the_clear, is_mariadb, misread, redis_in_the_clear, verified
from payment_operator.resources.metadata import Manifest, Owner
from payment_operator.resources.secret_keys import SECRET_KEY, secret_key_problems, split

ADMIN_TOKEN: Final = "PAYMENTS_ADMIN_TOKEN"  # noqa: S105 - a setting's name
WEBHOOK: Final = "STRIPE_WEBHOOK_SECRET"
API_KEY: Final = "STRIPE_SECRET_KEY"
DATABASE: Final = "DATABASE_URL"
REPLICA: Final = "DATABASE_REPLICA_URL"
SIGNING_KEY: Final = "WEBHOOK_SIGNING_KEY"
MIGRATION: Final = "DATABASE_MIGRATION_URL"
ADMIN_URL: Final = "DATABASE_ADMIN_URL"
HOT: Final = frozenset({WEBHOOK, SECRET_KEY, SIGNING_KEY, MIGRATION, ADMIN_URL})
"""Settings whose change is no release: pods, Jobs or the operator read them anew."""
_OR: Final = "or where the network itself encrypts spec."
_ALLOW: Final = ".allowPlaintext: true"
_GROUP: Final = "spec.database.rotation.groupRole is missing: on MariaDB a role has the application's rights, name it"
_KINDS: Final = f"{ADMIN_URL}: it and {DATABASE} are addresses of different kinds of databases"
_FORM: Final = re.compile(r"[A-Za-z0-9_]{8,255}")
_PREFIXES: Final = {"Test": ("sk_test_", "rk_test_"), "Live": ("sk_live_", "rk_live_")}


@dataclass(frozen=True)
class Credentials:
    """Values by setting, and why no revision can be made of them."""

    values: dict[str, str] = field(default_factory=dict, repr=False)
    problems: tuple[str, ...] = ()

    @property
    def usable(self) -> bool:
        """Whether a revision can be made of them."""
        return not self.problems

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every value that must not be shown."""
        whole = tuple(self.values.values())
        return (*whole, *(part for value in whole for part in split(value)))

    @property
    def digest(self) -> str:
        """Ten hex digits over all credentials together; none can be guessed from it, for Stripe's key is among them."""
        return hashlib.sha256(self._frozen).hexdigest()[:10]

    @property
    def _frozen(self) -> bytes:
        content = {name: value for name, value in self.values.items() if name not in HOT}
        return msgspec.json.encode(content, order="deterministic")


@dataclass(frozen=True)
class Sources(Credentials):
    """What stands in the user's Secrets, whatever of it may be used."""

    authority: str = ""
    """Certificates in PEM by which the database is verified."""


@dataclass(frozen=True)
class StagedCredentials(Credentials):
    """What a revision may get now (`decide/rotation/staged_credentials.py`): a value of its own beside the sources."""

    refused: tuple[str, ...] = ()
    """What was not taken from the Secrets, with the reason; the value in use stands in its place."""

    def admin_token(self, owner: Owner) -> str:
        """The token of the admin port: of what the digest stands for, so that a version has one for all its life."""
        return hmac.new(self._frozen, f"admin {owner.uid}".encode(), hashlib.sha256).hexdigest()


def references(spec: Environment) -> dict[str, SecretRef]:
    """Where each setting's value stands."""
    found = {
        DATABASE: spec.database.url_secret_ref,
        REPLICA: spec.database.replica_url_secret_ref,
        MIGRATION: spec.database.migration_url_secret_ref,
        "REDIS_URL": spec.redis.url_secret_ref,
        SECRET_KEY: spec.secret_key_ref,
        SIGNING_KEY: spec.webhook_endpoints.signing_key_secret_ref,
        API_KEY: spec.stripe.api_key.secret_ref,
        WEBHOOK: spec.stripe.webhook.secret_ref,
    }
    if spec.database.rotation.mode == "AlternatingRoles":
        found[ADMIN_URL] = spec.database.rotation.admin_secret_ref
    return {setting: reference for setting, reference in found.items() if reference is not None}


def read_sources(
    spec: Environment, secrets: dict[str, Manifest | None], *, authority: Manifest | None = None
) -> Sources:
    """Take the values out of the Secrets, by name; None stands for one that does not exist.

    `authority` is the object that `spec.database.ca` names.
    """
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
    certificates, wrong = _authority(spec, authority)
    problems = list(dict.fromkeys([*problems, *wrong]))
    return Sources(values, tuple(problems) or _checked(spec, values), authority=certificates)


def _authority(spec: Environment, found: Manifest | None) -> tuple[str, list[str]]:
    """The certificates of the database's authority, and what is wrong with them: pods would wait for such a file."""
    if spec.database.ca is None:
        return "", []
    (kind, name), key = spec.database.ca.source, spec.database.ca.key
    if found is None:
        return "", [f"{kind} {name} does not exist; create it with the key {key} (spec.database.ca)"]
    text = str((found.get("data") or {}).get(key, ""))
    certificates = base64.b64decode(text).decode(errors="replace") if kind == "Secret" else text
    if "-----BEGIN CERTIFICATE-----" not in certificates:
        return "", [f"{kind} {name} has no certificate under the key {key}; add it in PEM (spec.database.ca)"]
    return certificates, []


def _checked(spec: Environment, values: dict[str, str]) -> tuple[str, ...]:
    addresses = (DATABASE, REPLICA, MIGRATION, ADMIN_URL, "REDIS_URL")
    wrong = [f"{name}: {found}" for name in addresses if (found := misread(values.get(name, "")))]
    wrong += _rotated(spec, values)
    keys = {name: split(values[name]) for name in (SECRET_KEY, SIGNING_KEY) if name in values}
    weak = [problem for name, parts in keys.items() for problem in secret_key_problems(parts, name=name)]
    return (*(wrong or _in_the_clear(spec, values)), *weak)


def _rotated(spec: Environment, values: dict[str, str]) -> Iterator[str]:
    """What keeps the roles of this kind of database from being alternated."""
    if ADMIN_URL in values:
        kinds = {is_mariadb(values[name]) for name in (ADMIN_URL, DATABASE)}
        if len(kinds) > 1:
            yield _KINDS
        elif kinds == {True} and spec.database.rotation.group_role is None:
            yield _GROUP


def _in_the_clear(spec: Environment, values: dict[str, str]) -> Iterator[str]:
    """Addresses that pods, Jobs and the operator would send passwords to unencrypted."""
    if not spec.database.allow_plaintext:
        unsaid = VERIFY if spec.database.ca else ""
        for setting in (DATABASE, REPLICA, MIGRATION, ADMIN_URL):
            url = values.get(setting, "")
            if found := database_in_the_clear(url, unsaid=unsaid):
                fix = f"set {verified(url)}, {_OR}database{_ALLOW}"
                yield f"{setting}: {found} may be unencrypted; {fix}"
    if not spec.redis.allow_plaintext and (found := redis_in_the_clear(values["REDIS_URL"])):
        yield f"REDIS_URL: {found} is unencrypted; use rediss://, {_OR}redis{_ALLOW}"


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


def credentials_secret(owner: Owner, staged: StagedCredentials, *, version: int) -> Manifest:
    """The immutable Secret that holds this version."""
    values = {name: value for name, value in staged.values.items() if name not in HOT}
    token = {ADMIN_TOKEN: staged.admin_token(owner)}
    manifest = _secret(owner, names.credentials(owner.name, staged.digest), values | token)
    manifest["metadata"]["annotations"] = {names.ANNOTATION_CREDENTIALS_VERSION: str(version)}
    return manifest | {"immutable": True}


def migration_secret(owner: Owner, sources: Sources) -> Manifest | None:
    """The Secret with the owner role's URL; None when migrations use the application's own."""
    if MIGRATION not in sources.values:
        return None
    return _secret(owner, names.migration_secret(owner.name), {MIGRATION: sources.values[MIGRATION]})


def signing_key_secret(owner: Owner, sources: Sources) -> Manifest | None:
    """The Secret with what webhooks are signed with, as the user's has it: no order of values loses a webhook.

    A worker that lacks a value yet lets those deliveries wait. None when the service sends none.
    """
    if SIGNING_KEY not in sources.values:
        return None
    values = {SIGNING_KEY: ",".join(split(sources.values[SIGNING_KEY]))}
    return _secret(owner, names.webhook_signing_keys(owner.name), values)


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
