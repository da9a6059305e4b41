"""The members of each object in API version 2026-10-28.endive, as JSON files in `shapes/`.

One file an object, in the order and with the nulls of Stripe's reference (docs.stripe.com/api). A new object is decoded
from the file's bytes: that copies all levels at once and costs less than building them in Python.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any, Final

import msgspec

_FILES: Final = files(__package__).joinpath("shapes")
_DECODER: Final = msgspec.json.Decoder(dict[str, Any])
_BYTES: Final[dict[str, bytes]] = {
    entry.name.removesuffix(".json"): entry.read_bytes() for entry in _FILES.iterdir() if entry.name.endswith(".json")
}


def shape(kind: str) -> dict[str, Any]:
    """Return a new object of a kind, for example `checkout_session`, with all its members."""
    return _DECODER.decode(_BYTES[kind])


def has_shape(kind: str) -> bool:
    """Tell whether there is a file of this kind."""
    return kind in _BYTES
