"""Other kinds than those of the service, for a test's length; afterwards each is where it was."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from payment_service.mirror import registry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from payment_service.mirror.kind import Kind


@contextmanager
def registered(*kinds: Kind, without: tuple[str, ...] = ()) -> Iterator[None]:
    """Register these kinds, each in the place of the one with its name or last, and take some out."""
    plain = dict(registry._REGISTERED)
    for name in without:
        del registry._REGISTERED[name]
    registry._REGISTERED.update({kind.name: kind for kind in kinds})
    try:
        yield
    finally:
        registry._REGISTERED.clear()
        registry._REGISTERED.update(plain)
