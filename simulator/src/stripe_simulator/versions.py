"""Events in the API version of their endpoint (docs.stripe.com/webhooks/versioning).

Only what the product's normaliser has to know is turned back: the members that 2025-03-31.basil moved.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

BASIL: Final = "2025-03-31"


def in_version(event: dict[str, Any], version: str) -> dict[str, Any]:
    """Return the event as an endpoint of this version gets it."""
    shown = event | {"api_version": version}
    if version[:10] >= BASIL:
        return shown
    obj = msgspec.json.decode(msgspec.json.encode(event["data"]["object"]))
    if obj["object"] == "subscription":
        _subscription_before_basil(obj)
    elif obj["object"] == "invoice":
        _invoice_before_basil(obj)
    return shown | {"data": event["data"] | {"object": obj}}


def _subscription_before_basil(obj: dict[str, Any]) -> None:
    """docs.stripe.com/changelog/basil/2025-03-31/deprecate-subscription-current-period-start-and-end."""
    item = obj["items"]["data"][0]
    obj["current_period_start"] = item.pop("current_period_start")
    obj["current_period_end"] = item.pop("current_period_end")
    for other in obj["items"]["data"][1:]:
        del other["current_period_start"], other["current_period_end"]


def _invoice_before_basil(obj: dict[str, Any]) -> None:
    """docs.stripe.com/changelog/basil/2025-03-31/adds-new-parent-field-to-invoicing-objects."""
    details = (obj.pop("parent", None) or {}).get("subscription_details") or {}
    obj["subscription"] = details.get("subscription")
    obj["subscription_details"] = {"metadata": details.get("metadata")}
    obj["paid"] = obj["status"] == "paid"
