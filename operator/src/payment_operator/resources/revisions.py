"""What belongs to a revision: the part of the user's input that shapes pods, its hash, the ControllerRevision.

The hash is of what the user wrote, with defaults left out, never of rendered manifests: a newer operator, with other
defaults or templates, finds the same revision and its stored manifests, and restarts no pod.
"""

import hashlib
from functools import cache
from typing import Any

import msgspec

from payment_operator import names
from payment_operator.api.environment import Environment
from payment_operator.resources.metadata import Manifest, Owner
from payment_operator.resources.pods import plaintext_allowed
from payment_operator.resources.release_record import ReleaseRecord


def pruned(struct: msgspec.Struct) -> dict[str, Any]:
    """The struct's fields that differ from their defaults; Kubernetes fragments inside are left as they are."""
    result: dict[str, Any] = {}
    for field in _fields(type(struct)):
        value = getattr(struct, field.name)
        if field.default is not msgspec.NODEFAULT and value == field.default:
            continue
        if field.default_factory is not msgspec.NODEFAULT and value == field.default_factory():
            continue
        if isinstance(value, msgspec.Struct):
            value = pruned(value)
            if not value:
                continue
        result[field.encode_name] = msgspec.to_builtins(value)
    return result


@cache
def _fields(kind: type[msgspec.Struct]) -> tuple[msgspec.structs.FieldInfo, ...]:
    return msgspec.structs.fields(kind)


def revision_input(spec: Environment, *, credentials: str) -> dict[str, Any]:
    """The part of the input whose change is a release."""
    worker = {name: value for name, value in pruned(spec.worker).items() if name in {"resources", "podTemplate"}}
    webhooks = pruned(spec.webhook_endpoints)
    webhooks |= {"signingKeySecretRef": True} if webhooks.pop("signingKeySecretRef", None) else {}
    stripe = {name: value for name, value in pruned(spec.stripe).items() if name in {"mode", "apiBase"}}
    chosen = {
        "image": spec.image,
        "imagePullPolicy": pruned(spec).get("imagePullPolicy"),
        "imagePullSecrets": spec.image_pull_secrets,
        "allowedOrigins": spec.allowed_origins,
        "api": pruned(spec.api),
        "worker": worker,
        "pods": pruned(spec.pods),
        "stripe": stripe,
        "webhookEndpoints": webhooks,
        "allowPlaintext": plaintext_allowed(spec),
        "databaseAuthority": pruned(spec.database.ca) if spec.database.ca else None,
        "drainSeconds": pruned(spec.release).get("drainSeconds"),
        "credentials": credentials,
    }
    return {name: value for name, value in chosen.items() if value not in (None, {}, [])}


def revision_hash(content: dict[str, Any]) -> str:
    """Eight hex digits that name a revision."""
    return hashlib.sha256(msgspec.json.encode(content, order="deterministic")).hexdigest()[:8]


def but_for_credentials(content: dict[str, Any]) -> dict[str, Any]:
    """What an input asks for, whatever the credentials are."""
    return content | {"credentials": ""}


def same_but_for_credentials(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two inputs ask for the same, whatever the credentials."""
    return but_for_credentials(one) == but_for_credentials(other)


def controller_revision(
    owner: Owner, *, digest: str, number: int, content: dict[str, Any], manifests: Manifest, record: ReleaseRecord
) -> Manifest:
    """The ControllerRevision: an immutable snapshot with the release record as an annotation."""
    return owner.owned(
        {
            "apiVersion": "apps/v1",
            "kind": "ControllerRevision",
            "metadata": {
                "name": names.revision(owner.name, digest),
                "labels": owner.labels(revision=digest),
                "annotations": {names.ANNOTATION_RELEASE: record.encode()},
            },
            "revision": number,
            "data": {"input": content, "manifests": manifests},
        }
    )
