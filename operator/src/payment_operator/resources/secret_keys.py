"""The values of `SECRET_KEY` that API pods have: a Secret of the operator's, fed from the one that the spec names.

The user's Secret says which values there are to be and which one signs. This one is what pods read, and may differ for
a while: a new value is accepted by every pod before it signs, and one that is gone from the user's Secret stays while
API keys need it. The values themselves stay the user's: the API keys in the database die with them, and must not die
with a PaymentEnvironment.
"""

import base64
from collections.abc import Iterator
from typing import Final

import msgspec

from payment_operator import names
from payment_operator.resources.metadata import Manifest, Owner

SECRET_KEY: Final = "SECRET_KEY"  # noqa: S105 - a setting's name
ANNOTATION: Final = f"{names.GROUP}/secret-keys"
MINIMUM_CHARACTERS: Final = 32
MINIMUM_DISTINCT_CHARACTERS: Final = 8
MAXIMUM_VALUES: Final = 5
"""As in the service (docs/contracts.md, "SECRET_KEY"): pods go on with their former values when a file is unusable."""


class SecretKeysRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """What is remembered of the value that signs."""

    number: int = 0
    """How many values have signed."""
    signs_since: str = ""


def split(text: str) -> tuple[str, ...]:
    """The values of a secret that may hold several, separated by commas, spaces or lines: as the service reads it."""
    return tuple(dict.fromkeys(part for chunk in text.split(",") for part in chunk.split()))


def secret_key_problems(values: tuple[str, ...], *, name: str = SECRET_KEY) -> Iterator[str]:
    """What the service would refuse of a setting, by places; no value is told."""
    if not values or len(values) > MAXIMUM_VALUES:
        yield f"{name} has {len(values)} values; it needs 1 to {MAXIMUM_VALUES}"
    for place, value in enumerate(values, start=1):
        which = f"{name}, value {place} of {len(values)}," if len(values) > 1 else name
        if len(value) < MINIMUM_CHARACTERS:
            yield f"{which} is shorter than {MINIMUM_CHARACTERS} characters; make a longer one: openssl rand -hex 32"
        elif len(set(value)) < MINIMUM_DISTINCT_CHARACTERS or value.startswith("development-only"):
            yield f"{which} is too weak; make another one: openssl rand -hex 32"


def decode(secret: Manifest | None) -> tuple[tuple[str, ...], SecretKeysRecord]:
    """The values that pods have, and the record; empty when there is none, or it cannot be read."""
    if secret is None:
        return (), SecretKeysRecord()
    encoded = (secret.get("data") or {}).get(SECRET_KEY, "")
    text = (secret["metadata"].get("annotations") or {}).get(ANNOTATION, "")
    try:
        record = msgspec.json.decode(text, type=SecretKeysRecord) if text else SecretKeysRecord()
    except msgspec.DecodeError:
        record = SecretKeysRecord()
    return split(base64.b64decode(encoded).decode(errors="replace")), record


def manifest(owner: Owner, values: tuple[str, ...], record: SecretKeysRecord, *, former: Manifest | None) -> Manifest:
    """The Secret, over the version that was read."""
    metadata = {
        "name": names.secret_keys(owner.name),
        "labels": owner.labels(),
        "annotations": {ANNOTATION: msgspec.json.encode(record, order="sorted").decode()},
    }
    if former is not None:
        metadata["resourceVersion"] = former["metadata"]["resourceVersion"]
    data = {SECRET_KEY: base64.b64encode(",".join(values).encode()).decode()}
    return owner.owned({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": data})
