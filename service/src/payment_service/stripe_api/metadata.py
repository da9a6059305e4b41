"""Keys in the metadata of Stripe's objects that are ours and not the caller's (docs.stripe.com/metadata)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

OURS: Final = "lean_payments_"
"""How they begin; requests may name none that does (`http/id_types.py`)."""
OPERATION: Final = f"{OURS}operation"
"""Names the operation that made the object."""


def of_caller(metadata: Mapping[str, str] | None) -> dict[str, str]:
    """Return what is the caller's. Pure."""
    return {key: value for key, value in (metadata or {}).items() if not key.startswith(OURS)}
