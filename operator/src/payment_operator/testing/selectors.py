"""Label and field selectors, as kubernetes.io/docs/concepts/overview/working-with-objects/ has them."""

from collections.abc import Callable, Iterator
from typing import Final

from payment_operator.errors import Refused
from payment_operator.resources.metadata import Manifest

FIELDS: Final = {
    "involvedObject.uid": ("involvedObject", "uid"),
    "type": ("type",),
    "metadata.name": ("metadata", "name"),
}
"""What can be selected by, with where it stands."""


def selecting(labels: str, fields: str) -> Callable[[Manifest], bool]:
    """Whether an object fits both; equality is the one operator that the operator uses.

    Raises:
        Refused: there is no such field to select by.
    """
    wanted, where = dict(_pairs(labels)), dict(_pairs(fields))
    if unknown := where.keys() - FIELDS.keys():
        raise Refused(400, "BadRequest", f"field label not supported: {', '.join(sorted(unknown))}")

    def fits(item: Manifest) -> bool:
        own = item["metadata"].get("labels") or {}
        return wanted.items() <= own.items() and all(_at(item, name) == value for name, value in where.items())

    return fits


def _pairs(selector: str) -> Iterator[tuple[str, str]]:
    for part in filter(None, selector.split(",")):
        name, _, value = part.partition("=")
        yield name, value


def _at(item: Manifest, name: str) -> object:
    found: object = item
    for step in FIELDS[name]:
        found = found.get(step) if isinstance(found, dict) else None
    return found
