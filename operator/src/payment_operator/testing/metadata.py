"""What an API server does to an object's metadata before it stores it, and which metadata it refuses."""

import base64
from datetime import datetime
from typing import Any, Final

from payment_operator.errors import Refused
from payment_operator.resources.metadata import Manifest
from payment_operator.resources.release_record import stamp
from payment_operator.testing import refusals
from payment_operator.testing.immutable import immutable_field
from payment_operator.testing.json_patch import copied
from payment_operator.testing.kinds import WITH_GENERATION, WITH_STATUS
from payment_operator.testing.refusals import Place

SET_BY_THE_SERVER: Final = (
    *("uid", "creationTimestamp", "resourceVersion"),
    *("deletionTimestamp", "deletionGracePeriodSeconds", "managedFields"),
)


def without_the_servers(manifest: Manifest) -> Manifest:
    """What a client may say of an object that is to be made."""
    lost = (*SET_BY_THE_SERVER, *(("generation",) if manifest["kind"] in WITH_GENERATION else ()))
    kept = {name: value for name, value in manifest["metadata"].items() if name not in lost}
    return without_status(manifest) | {"metadata": kept}


def without_status(manifest: Manifest) -> Manifest:
    """The object, less the status of a kind whose status has a subresource."""
    return {name: value for name, value in manifest.items() if name != "status" or manifest["kind"] not in WITH_STATUS}


def begin(place: Place, after: Manifest, *, uid: str, now: datetime) -> None:
    """Fill in what a new object lacks.

    Raises:
        Refused: its metadata break a rule.
    """
    metadata = after["metadata"]
    metadata.setdefault("uid", uid)
    metadata.setdefault("creationTimestamp", stamp(now))
    if place[0] in WITH_GENERATION:
        metadata.setdefault("generation", 1)
    _encode_text(after)
    _check_owners(place, metadata)


def carry_on(place: Place, live: Manifest, after: Manifest, *, status: bool) -> None:
    """Keep what a write cannot change.

    Raises:
        Refused: it changes what is immutable, or breaks a rule.
    """
    former, metadata = live["metadata"], after["metadata"]
    fixed = ("uid", "creationTimestamp", "generation", "resourceVersion", "deletionTimestamp")
    metadata |= {name: former[name] for name in fixed if name in former}
    if place[0] in WITH_STATUS and not status:
        after.pop("status", None)
        after |= {"status": copied(live["status"])} if "status" in live else {}
    _encode_text(after)
    if where := immutable_field(live, after):
        raise refusals.invalid(place, where)
    _check_owners(place, metadata)
    fresh = set(metadata.get("finalizers") or []) - set(former.get("finalizers") or [])
    if fresh and "deletionTimestamp" in former:
        raise refusals.invalid(
            place,
            "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new "
            f"finalizers {sorted(fresh)}",
        )
    if "generation" in metadata and live.get("spec") != after.get("spec"):
        metadata["generation"] += 1


def begin_to_go(metadata: dict[str, Any], *, now: datetime) -> None:
    """Mark an object that waits for its finalizers."""
    metadata["deletionTimestamp"] = stamp(now)
    if "generation" in metadata:
        metadata["generation"] += 1


def is_let_go(before: Manifest, after: Manifest) -> bool:
    """Whether the last finalizer of an object that is being deleted is gone."""
    going = "deletionTimestamp" in before["metadata"] and before["metadata"].get("finalizers")
    return bool(going and not after["metadata"].get("finalizers"))


def check_names(place: Place, after: Manifest) -> None:
    """Whether a patched object is still where it was.

    Raises:
        Refused: it is not.
    """
    _, namespace, name = place
    metadata = after["metadata"]
    if metadata.get("namespace", "") != namespace:
        raise Refused(
            400,
            "BadRequest",
            "the namespace of the provided object does not match the namespace sent on the request",
        )
    if metadata.get("name") != name:
        words = f"the name of the object ({metadata.get('name')}) does not match the name on the URL ({name})"
        raise Refused(400, "BadRequest", words)


def _check_owners(place: Place, metadata: dict[str, Any]) -> None:
    controllers = [entry for entry in metadata.get("ownerReferences") or [] if entry.get("controller")]
    if len(controllers) > 1:
        first, second = (entry.get("name", "") for entry in controllers[:2])
        raise refusals.invalid(
            place,
            "metadata.ownerReferences: Invalid value: Only one reference can have Controller set to true. Found "
            f'"true" in references for {first} and {second}',
        )


def _encode_text(after: Manifest) -> None:
    """A Secret's text is written as such and stored as data."""
    if after["kind"] == "Secret" and (text := after.pop("stringData", None)):
        after["data"] = (after.get("data") or {}) | {
            name: base64.b64encode(value.encode()).decode() for name, value in text.items()
        }
