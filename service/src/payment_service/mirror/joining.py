"""When a subscription got each of its products: whoever came last to one that the person had already is told. Pure.

Kept in `joined` by product, as seconds, or null for one that it was made with. What an earlier version wrote in between
counts from the next write on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from payment_service.storage.tables import LIVE_STATUSES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from datetime import datetime

    from payment_service.storage.rows import Values


def products_of(items: Iterable[Mapping[str, object]], product_id: str) -> set[str]:
    """Return the products of all items; rows of the first version hold the one product alone."""
    shown = {found for item in items if isinstance(found := item.get("product_id"), str)}
    return (shown | {product_id}) - {""}


def first_seen(products: Collection[str], *, now: datetime, imported: bool, restored: bool) -> dict[str, object]:
    """Return when a subscription without a row got its products.

    Args:
        products: of all its items.
        now: the present time.
        imported: it comes with the account's history.
        restored: it was ordered here and is not in a restored dump; nobody knows any more with which wishes.
    """
    since = now.timestamp() if restored and not imported else None
    return {"joined": dict.fromkeys(sorted(products), since), "joined_at": None if imported else now}


def seen_again(row: Values, products: Collection[str], *, status: str, now: datetime) -> dict[str, object]:
    """Return when the subscription of this row got the products that it has now.

    One that was made elsewhere counts from the moment on in which it comes alive.
    """
    stored = products_of(row["items"], row["product_id"])
    begins = row["operation_id"] is None and row["status"] not in LIVE_STATUSES and status in LIVE_STATUSES
    known = {} if begins else row["joined"] or dict.fromkeys(stored)
    return {
        "joined": {product: known.get(product, now.timestamp()) for product in sorted(products)},
        "joined_at": now if set(products) - known.keys() else row["joined_at"],
    }
