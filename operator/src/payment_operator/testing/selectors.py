"""Label and field selectors, as kubernetes.io/docs/concepts/overview/working-with-objects/ has them."""

from collections.abc import Callable, Iterator

from payment_operator.errors import Refused
from payment_operator.resources.metadata import Manifest
from payment_operator.testing.kinds import COMMON_FIELDS, FIELDS


def selecting(kind: str, labels: str, fields: str) -> Callable[[Manifest], bool]:
    """Whether an object of the kind fits both; equality is the one operator that the operator uses.

    Raises:
        Refused: the kind has no such field to select by.
        NotImplementedError: another operator.
    """
    known = COMMON_FIELDS | FIELDS.get(kind, {})
    wanted, where = dict(_pairs(labels)), dict(_pairs(fields))
    for unknown in where.keys() - known.keys():
        raise Refused(400, "BadRequest", f"field label not supported: {unknown}")

    def fits(item: Manifest) -> bool:
        own = item["metadata"].get("labels") or {}
        return wanted.items() <= own.items() and all(_at(item, known[name]) == value for name, value in where.items())

    return fits


def _pairs(selector: str) -> Iterator[tuple[str, str]]:
    for part in filter(None, selector.split(",")):
        name, equal, value = part.partition("=")
        if not equal or "=" in value or name.endswith("!"):
            raise NotImplementedError(part)
        yield name, value


def _at(item: Manifest, path: tuple[str, ...]) -> object:
    found: object = item
    for step in path:
        found = found.get(step) if isinstance(found, dict) else None
    return found
