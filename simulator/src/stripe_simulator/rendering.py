"""How objects are shown: ids become objects on request (docs.stripe.com/api/expanding_objects)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stripe_simulator.errors import invalid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from stripe_simulator.errors import StripeFault
    from stripe_simulator.state import State

MAXIMUM_DEPTH = 4


def not_expandable(name: str) -> StripeFault:
    """Return the refusal of a name in `expand` (docs.stripe.com/api/expanding_objects)."""
    return invalid(f"This property cannot be expanded ({name}).", param="expand")


def _kept(name: str) -> Callable[[State, dict[str, Any]], Any]:
    return lambda state, obj: state.hidden(obj).get(name)


def _sublist(kind: str, field: str, url: str) -> Callable[[State, dict[str, Any]], Any]:
    def found(state: State, obj: dict[str, Any]) -> dict[str, Any]:
        data = [other for other in state.newest(kind) if other[field] == obj["id"]]
        return {"object": "list", "data": data, "has_more": False, "url": url.format(obj["id"])}

    return found


ON_REQUEST: dict[tuple[str, str], Callable[[State, dict[str, Any]], Any]] = {
    ("invoice", "confirmation_secret"): _kept("confirmation_secret"),
    ("invoice", "payments"): _sublist("invoice_payment", "invoice", "/v1/invoice_payments?invoice={}"),
    ("charge", "refunds"): _sublist("refund", "charge", "/v1/charges/{}/refunds"),
    ("checkout.session", "line_items"): _kept("line_items"),
    ("customer", "subscriptions"): _sublist("subscription", "customer", "/v1/customers/{}/subscriptions"),
}
"""Members that are there only when expanded: docs.stripe.com/changelog/basil/2025-03-31, the pages of the objects."""


def render(state: State, obj: dict[str, Any], *, expand: Iterable[str] = ()) -> dict[str, Any]:
    """Return what the API shows of `obj`: itself, or a copy with the asked members expanded."""
    if not expand:
        return obj
    paths = [path.split(".") for path in expand]
    if any(len(path) > MAXIMUM_DEPTH for path in paths):
        raise invalid("You cannot expand more than 4 levels of a property.", param="expand")
    return _expanded(state, obj, paths)


def _expanded(state: State, obj: dict[str, Any], paths: list[list[str]]) -> dict[str, Any]:
    shown = dict(obj)
    for name in dict.fromkeys(path[0] for path in paths):
        below = [path[1:] for path in paths if path[0] == name and len(path) > 1]
        shown[name] = _member(state, _value(state, obj, name), below)
    return shown


def _value(state: State, obj: dict[str, Any], name: str) -> Any:
    if name in obj:
        return obj[name]
    on_request = ON_REQUEST.get((obj.get("object", ""), name))
    if on_request is None:
        raise not_expandable(name)
    return on_request(state, obj)


def _member(state: State, value: Any, below: list[list[str]]) -> Any:
    if isinstance(value, str):
        value = state.objects.get(value, value)
    if isinstance(value, list):
        return [_member(state, item, below) for item in value]
    if isinstance(value, dict) and below:
        return _expanded(state, value, below)
    return value
