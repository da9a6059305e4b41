"""Paths of Stripe's API, of segments: an id cannot leave its place, whatever it holds (RFC 3986, section 3.3).

Nobody else builds such a path, and no caller gives one: the gateway takes the segments. A test reads the whole package
for it.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote

MAXIMUM_CHARACTERS: Final = 255
"""Of a segment: an id of Stripe's is not longer (docs.stripe.com/upgrades)."""
_REFUSED: Final = re.compile(r"\.{0,2}|.*[\u0000-\u001f\u007f-\u009f\ud800-\udfff].*", re.DOTALL)


class UnsafeSegment(ValueError):
    """No object of Stripe's can have this id."""


def stripe_path(*segments: str) -> str:
    """Return the path of an API call, each segment percent-encoded: `/v1/customers/cus_1`.

    Raises:
        UnsafeSegment: one is empty, a dot segment, too long, or holds a control character or half of a surrogate pair.
    """
    for segment in segments:
        if len(segment) > MAXIMUM_CHARACTERS or _REFUSED.fullmatch(segment):
            raise UnsafeSegment("an id for Stripe is empty, a dot segment, too long or holds a control character")
    return "/v1/" + "/".join(quote(segment, safe="") for segment in segments)
