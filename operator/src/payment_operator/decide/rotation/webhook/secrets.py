"""Which signing secrets the pods accept: the hot Secret, with the rotation's record on it.

Those of secretRef, those of the operator's endpoints, and for an overlap those that were there and are in neither.
"""

import base64
from datetime import datetime, timedelta
from typing import Final

import msgspec

from payment_operator import names
from payment_operator.decide.rotation.webhook import state
from payment_operator.decide.turn import AT_ONCE, Turn
from payment_operator.fingerprints import fingerprint
from payment_operator.model.actions import Apply
from payment_operator.model.observed import ClusterState, Observed
from payment_operator.resources.credentials import WEBHOOK
from payment_operator.resources.metadata import Manifest
from payment_operator.resources.release_record import moment, stamp
from payment_operator.resources.webhook_record import ANNOTATION, WebhookRecord, encode

UNUSED: Final = "whsec_none_"
"""Start of a random value that signs nothing: pods must start before there is an endpoint."""


def live(observed: Observed) -> Manifest | None:
    """The hot Secret as it was read."""
    return observed.objects.get(("Secret", names.webhook_secrets(observed.owner.name)))


def values(observed: Observed) -> list[str]:
    """The secrets that it holds."""
    encoded = ((live(observed) or {}).get("data") or {}).get(WEBHOOK, "")
    return _parts(base64.b64decode(encoded).decode(errors="replace"))


def from_source(observed: Observed) -> list[str]:
    """Those that secretRef names."""
    return _parts(observed.sources.values.get(WEBHOOK, ""))


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def fingerprint_of(observed: ClusterState, secret: str) -> str:
    """The fingerprint of a secret, as pods report it."""
    return fingerprint(secret, salt=observed.owner.uid)


def settled(observed: Observed, record: WebhookRecord) -> WebhookRecord:
    """The record with what has left its source, and when secretRef changed."""
    source = [fingerprint_of(observed, value) for value in from_source(observed)]
    known = {*source, *(endpoint.fingerprint for endpoint in record.endpoints())}
    now = stamp(observed.now)
    found = {fingerprint_of(observed, value) for value in values(observed) if not value.startswith(UNUSED)}
    left = {fp: record.left.get(fp, now) for fp in sorted(found - known)}
    left = {fp: at for fp, at in left.items() if (end := expiry(observed, record, at)) is None or observed.now < end}
    record = msgspec.structs.replace(record, left=left)
    if state.managed(observed) or not source or source[0] == record.source:
        return record
    return msgspec.structs.replace(record, source=source[0], number=record.number + 1, rotated_at=now)


def expiry(observed: Observed, record: WebhookRecord, left_at: str) -> datetime | None:
    """Until when a value is accepted that has left its source; None while no endpoint of ours serves in its place."""
    if state.managed(observed) and record.current is None:
        return None
    return moment(max(left_at, record.enabled_at)) + timedelta(seconds=state.times(observed).overlap_seconds)


def write(observed: Observed, record: WebhookRecord, *, add: str = "") -> Apply:
    """Write the record and the secrets that it speaks of, over the version that was read; `add` is a new secret."""
    owner, former = observed.owner, live(observed)
    kept = {*record.left, *(endpoint.fingerprint for endpoint in record.endpoints())}
    present = [value for value in values(observed) if fingerprint_of(observed, value) in kept]
    wanted = list(dict.fromkeys([*([add] if add else []), *from_source(observed), *present]))
    metadata = {
        "name": names.webhook_secrets(owner.name),
        "labels": owner.labels(),
        "annotations": {ANNOTATION: encode(record)},
    }
    if former is not None:
        metadata["resourceVersion"] = former["metadata"]["resourceVersion"]
    text = ",".join(wanted or _unused(observed))
    data = {WEBHOOK: base64.b64encode(text.encode()).decode()}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": data}
    return Apply(owner.owned(secret))


def save(turn: Turn, record: WebhookRecord) -> None:
    """Write the record, and look at once at what it allows."""
    turn.decision.actions.append(write(turn.observed, record))
    turn.decision.look_again(AT_ONCE)


def _unused(observed: Observed) -> list[str]:
    there = [value for value in values(observed) if value.startswith(UNUSED)]
    return there or [UNUSED + observed.webhook.fresh]
