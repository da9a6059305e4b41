"""Lays a user's fragment over a manifest, and tells whether a live object has what a manifest asks for."""

import re
from decimal import Decimal
from typing import Any, Final

_QUANTITY: Final = re.compile(r"^([0-9]+(?:\.[0-9]+)?)(m|k|M|G|T|Ki|Mi|Gi|Ti)?$")
_DECIMAL: Final = {"m": Decimal("0.001"), "k": Decimal(10**3), "M": Decimal(10**6), "G": Decimal(10**9)}
_BINARY: Final = {"Ki": Decimal(2**10), "Mi": Decimal(2**20), "Gi": Decimal(2**30), "Ti": Decimal(2**40)}
_COMPLETED: Final = frozenset({"ipFamilies"})
"""Lists that the API server adds to: a Service with a policy of two families has a second one."""
_SUFFIXES: Final = {None: Decimal(1), "T": Decimal(10**12)} | _DECIMAL | _BINARY


def overlay(base: Any, over: Any) -> Any:
    """Merge objects by key and lists of named objects by name; anything else is replaced."""
    if isinstance(base, dict) and isinstance(over, dict):
        return base | {key: overlay(base[key], value) if key in base else value for key, value in over.items()}
    if _named(base) and _named(over):
        added = [item for item in over if item["name"] not in {old["name"] for old in base}]
        by_name = {item["name"]: item for item in over}
        return [overlay(old, by_name[old["name"]]) if old["name"] in by_name else old for old in base] + added
    return over


def _named(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(i, dict) and "name" in i for i in value)


def holds(live: Any, wanted: Any) -> bool:
    """Whether the live value has everything that is wanted; the API server may have added fields of its own.

    An empty value equals an absent one and quantities are compared as numbers, as the API server stores them.
    """
    if live == wanted:
        return True
    if isinstance(wanted, dict):
        return isinstance(live, dict | None) and all(holds(_comparable(live or {}, k, v), v) for k, v in wanted.items())
    if isinstance(wanted, list):
        return _holds_items(live or [], wanted)
    return (not live and not wanted) or _same_quantity(live, wanted)


def _comparable(live: dict[str, Any], name: str, wanted: Any) -> Any:
    found = live.get(name)
    return found[: len(wanted)] if name in _COMPLETED and isinstance(found, list) else found


def _holds_items(live: list[Any], wanted: list[Any]) -> bool:
    """Named objects are found by name, for others may add containers or volumes; anything else is compared in order."""
    if _named(live) and _named(wanted):
        by_name = {item["name"]: item for item in live}
        return all(item["name"] in by_name and holds(by_name[item["name"]], item) for item in wanted)
    return len(live) == len(wanted) and all(map(holds, live, wanted))


def _same_quantity(live: Any, wanted: Any) -> bool:
    numbers = [_quantity(str(value)) for value in (live, wanted)]
    return None not in numbers and numbers[0] == numbers[1]


def _quantity(text: str) -> Decimal | None:
    """The number that a Kubernetes quantity stands for as in resources."""
    match = _QUANTITY.match(text)
    return Decimal(match[1]) * _SUFFIXES[match[2]] if match else None
