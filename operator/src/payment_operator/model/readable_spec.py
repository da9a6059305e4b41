"""What can still be read of a spec that an older schema took: enough to keep what serves, never to release anything."""

import copy
import re
from typing import Any, Final

import msgspec

from payment_operator.api.environment import Environment
from payment_operator.resources.metadata import Manifest

MOST_FIELDS: Final = 50
"""Unreadable ones that are left out."""
UNREADABLE: Final = "unreadable:0"
"""In place of the image: what serves has its own, in its record."""
_PLACE: Final = re.compile(r"at `\$\.([^`]+)`")


def readable(environment: Manifest) -> Manifest | None:
    """The environment without the fields that cannot be read; None where too little is left."""
    spec: Any = copy.deepcopy(environment.get("spec"))
    for _ in range(MOST_FIELDS):
        try:
            msgspec.convert(spec, Environment)
        except msgspec.ValidationError as error:
            place = _PLACE.search(str(error))
            if place is None or not _leave_out(spec, place[1]):
                return None
        else:
            return environment | {"spec": spec}
    return None


def _leave_out(spec: Manifest, place: str) -> bool:
    """Take one field out, the whole list or map for a part of one; tell whether it was there."""
    *parents, last = [part.partition("[")[0] for part in place.split(".")]
    inner: Any = spec
    for part in parents:
        inner = inner.get(part) if isinstance(inner, dict) else None
    if not isinstance(inner, dict) or last not in inner:
        return False
    del inner[last]
    if place == "image":
        spec["image"] = UNREADABLE
    return True
