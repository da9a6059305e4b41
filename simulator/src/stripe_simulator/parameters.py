"""Checks of single parameters, with the errors that Stripe gives (docs.stripe.com/error-codes)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from stripe_simulator.errors import invalid

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

MAXIMUM_METADATA = 50
MAXIMUM_KEY = 40
MAXIMUM_VALUE = 500
"""docs.stripe.com/api/metadata: 50 keys, names of 40 and values of 500 characters."""


_OBJECTS: Final = {
    "address",
    "automatic_payment_methods",
    "billing_details",
    "cancellation_details",
    "card",
    "end_behavior",
    "evidence",
    "invoice_settings",
    "metadata",
    "pause_collection",
    "payment_intent_data",
    "payment_settings",
    "product_data",
    "recurring",
    "shipping",
    "subscription_data",
    "subscription_details",
    "trial_settings",
}
_LISTS: Final = {
    "enabled_events",
    "expand",
    "ids",
    "lookup_keys",
    "payment_method_types",
    "preferred_locales",
    "types",
}
_LISTS_OF_OBJECTS: Final = {"discounts", "items", "line_items"}
_RANGES: Final = {"created"}


def check_known(params: dict[str, Any], accepted: Collection[str]) -> None:
    """Refuse parameters that the call does not have, or of the wrong shape (docs.stripe.com/error-codes).

    What Stripe takes and the simulator does not implement is refused as well: being ignored would be a false answer.
    """
    for name, value in params.items():
        if name not in accepted:
            raise invalid(f"Received unknown parameter: {name}", param=name, code="parameter_unknown")
        _check_shape(name, value, name)


def _check_shape(name: str, value: Any, param: str) -> None:
    """Refuse an object, array or text where another of them belongs; an empty text stands for nothing in all places."""
    if value == "":
        return
    if name in _LISTS or name in _LISTS_OF_OBJECTS:
        _check_list(name, value, param)
    elif name == "metadata":
        if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
            raise invalid("Invalid object", param=param)
    elif isinstance(value, dict) and (name in _OBJECTS or name in _RANGES):
        _check_members(value, param)
    elif name in _OBJECTS or not isinstance(value, str):
        raise invalid("Invalid object" if name in _OBJECTS else "Invalid string", param=param)


def _check_list(name: str, value: Any, param: str) -> None:
    kind = dict if name in _LISTS_OF_OBJECTS else str
    if not isinstance(value, list) or not all(isinstance(item, kind) for item in value):
        raise invalid("Invalid array", param=param)
    for index, item in enumerate(value if kind is dict else ()):
        _check_members(item, f"{param}[{index}]")


def _check_members(value: dict[str, Any], param: str) -> None:
    for name, member in value.items():
        _check_shape(name, member, f"{param}[{name}]")


def absent(value: Any) -> bool:
    """Tell whether a parameter was not given, or given empty."""
    return value is None or value in ("", {}, [])


def require(params: dict[str, Any], *names: str) -> None:
    """Refuse a call that lacks a parameter (docs.stripe.com/error-codes#parameter-missing)."""
    for name in names:
        if absent(params.get(name)):
            raise invalid(f"Missing required param: {name}.", param=name, code="parameter_missing")


def integer(
    params: dict[str, Any], name: str, *, default: int | None = None, least: int | None = None, most: int | None = None
) -> int | None:
    """Return a whole number within its limits (docs.stripe.com/error-codes#parameter-invalid-integer)."""
    value = params.get(name)
    if absent(value):
        return default
    try:
        number = int(str(value))
    except ValueError:
        raise invalid(f"Invalid integer: {value}", param=name, code="parameter_invalid_integer") from None
    if (least is not None and number < least) or (most is not None and number > most):
        bounds = f"between {least} and {most}" if most is not None else f"greater than or equal to {least}"
        raise invalid(f"This value must be {bounds}.", param=name, code="parameter_invalid_integer")
    return number


def choice(params: dict[str, Any], name: str, allowed: Collection[str], *, default: str) -> str:
    """Return one of the allowed texts."""
    value = str(params.get(name) or default)
    if value not in allowed:
        raise invalid(f"Invalid {name}: must be one of {', '.join(sorted(allowed))}", param=name)
    return value


def nested(params: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a parameter that is an object; absent or empty: `{}`."""
    value = params.get(name) or {}
    if not isinstance(value, dict):
        raise invalid("Invalid object", param=name)
    return value


def listed(params: dict[str, Any], name: str) -> list[Any]:
    """Return a parameter that is an array; absent or empty: `[]`."""
    value = params.get(name) or []
    if not isinstance(value, list):
        raise invalid("Invalid array", param=name)
    return value


def merge_metadata(current: dict[str, str], params: dict[str, Any]) -> dict[str, str]:
    """Return metadata after a call: keys are merged, empty values remove (docs.stripe.com/api/metadata)."""
    if params.get("metadata") == "":
        return {}
    merged = current | nested(params, "metadata")
    merged = {key: value for key, value in merged.items() if value != ""}
    if len(merged) > MAXIMUM_METADATA:
        raise invalid("Metadata can have up to 50 keys.", param="metadata")
    for key, value in merged.items():
        if len(key) > MAXIMUM_KEY or len(str(value)) > MAXIMUM_VALUE:
            raise invalid("Metadata keys have at most 40 and values at most 500 characters.", param=f"metadata[{key}]")
    return merged


def change(obj: dict[str, Any], params: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Set members to text parameters, an empty one to null; return the values before that changed.

    Metadata is merged with the rest: almost every object has it.
    """
    wanted = {name: params[name] or None for name in names if name in params}
    if "metadata" in params:
        wanted["metadata"] = merge_metadata(obj["metadata"] or {}, params)
    previous = {name: obj[name] for name, value in wanted.items() if obj[name] != value}
    obj |= wanted
    return previous
