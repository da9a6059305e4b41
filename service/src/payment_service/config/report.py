"""Shows the settings with secrets masked."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING

from payment_service.config.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _typeshed import DataclassInstance


def report(settings: DataclassInstance, *, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the dotted name and the value of every setting; secrets as `***`, or `(not set)`."""
    for field in fields(settings):
        value = getattr(settings, field.name)
        name = prefix + field.name
        if is_dataclass(value) and not isinstance(value, type):
            yield from report(value, prefix=f"{name}.")
        elif isinstance(value, Secret):
            yield name, "***" if value else "(not set)"
        else:
            yield name, str(value)
