"""Routes of the catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from litestar import get
from litestar.di import NamedDependency

from payment_service.catalog.schemas import PriceList
from payment_service.catalog.service import Catalog
from payment_service.platform.openapi import READING, Limit, StartingAfter, problems

if TYPE_CHECKING:
    from litestar.types import ControllerRouterHandler


@get(
    "/api/v1/prices",
    operation_id="listPrices",
    summary="List prices",
    tags=["catalogue"],
    responses=problems(*READING, 422, 502, 504),
)
async def list_prices(
    catalog: NamedDependency[Catalog], limit: Limit = 10, starting_after: StartingAfter = None
) -> PriceList:
    """Return a page of active prices, as Stripe has them now."""
    return await catalog.list_prices(limit=limit, starting_after=starting_after)


HANDLERS: list[ControllerRouterHandler] = [list_prices]
