"""Routes of the catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from litestar import get
from litestar.di import NamedDependency

from payment_service.catalog.schemas import PriceList
from payment_service.catalog.service import Catalog
from payment_service.http.openapi import READING, problems
from payment_service.http.paging import Page
from payment_service.http.route_access import READ
from payment_service.stripe_api.reads import Asker

if TYPE_CHECKING:
    from litestar.types import ControllerRouterHandler


@get(
    "/api/v1/prices",
    operation_id="listPrices",
    access=READ,
    summary="List prices",
    tags=["catalogue"],
    responses=problems(*READING, 502, 504),
)
async def list_prices(
    catalog: NamedDependency[Catalog], page: NamedDependency[Page], asker: NamedDependency[Asker]
) -> PriceList:
    """Return a page of active prices, as Stripe has them now (the same page at most once a second)."""
    return await catalog.list_prices(page, asker=asker)


HANDLERS: list[ControllerRouterHandler] = [list_prices]
