"""When a subscription got each of its products: whoever came last to one that the person had already is told. Pure.

Kept in `joined` by product, as seconds, or null for one that it was made with. What an earlier version wrote in between
counts from the next write on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from payment_service.storage.tables import LIVE_STATUSES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy.engine import Row


def products_of(columns: Mapping[str, Any]) -> set[str]:
    """Return the products of all items; rows of the first version hold the one product alone."""
    shown = {found for item in columns["items"] if (found := item.get("product_id"))}
    return shown | ({columns["product_id"]} - {""})


def first_seen(columns: Mapping[str, Any], *, now: datetime, imported: bool, restored: bool) -> dict[str, Any]:
    """Return when a subscription without a row got its products.

    Args:
        columns: as mirrored.
        now: the present time.
        imported: it comes with the account's history.
        restored: it was ordered here and is not in a restored dump; nobody knows any more with which wishes.
    """
    since = now.timestamp() if restored and not imported else None
    joined = dict.fromkeys(sorted(products_of(columns)), since)
    return {"joined": joined, "joined_at": None if imported else now}


def seen_again(row: Row[Any], columns: Mapping[str, Any], *, now: datetime) -> dict[str, Any]:
    """Return when the subscription of this row got the products that it has now.

    One that was made elsewhere counts from the moment on in which it comes alive.
    """
    stored = {"items": row._mapping["items"], "product_id": row.product_id}  # noqa: SLF001 - public, despite its name
    begins = row.operation_id is None and row.status not in LIVE_STATUSES and columns["status"] in LIVE_STATUSES
    known = {} if begins else row.joined or dict.fromkeys(products_of(stored))
    has = products_of(columns)
    return {
        "joined": {product: known.get(product, now.timestamp()) for product in sorted(has)},
        "joined_at": now if has - known.keys() else row.joined_at,
    }
