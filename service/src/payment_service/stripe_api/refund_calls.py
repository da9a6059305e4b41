"""The calls to Stripe about refunds, each with the parameters that Stripe documents for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from payment_service.stripe_api.calls import find_marked, retrieve
from payment_service.stripe_api.objects import id_in

if TYPE_CHECKING:
    from collections.abc import Mapping

    from payment_service.json_types import JsonObject
    from payment_service.stripe_api.gateway import StripeGateway


async def create_refund(
    gateway: StripeGateway,
    *,
    key: str,
    charge: str,
    amount: int | None,
    reason: str | None,
    metadata: Mapping[str, str],
) -> JsonObject:
    """Give money of a charge back, all that is left without an amount; return the refund as it is now.

    docs.stripe.com/api/refunds/create.
    """
    params = {"charge": charge, "amount": amount, "reason": reason, "metadata": dict(metadata)}
    answer = await gateway.call("create_refund", "post", "refunds", params=params, idempotency_key=key)
    return await retrieve(gateway, "refunds", id_in(answer.object)) if answer.replayed else answer.object


async def find_refund(gateway: StripeGateway, *, charge: str, metadatum: tuple[str, str]) -> JsonObject | None:
    """Return the charge's refund with this metadatum (docs.stripe.com/api/refunds/list)."""
    return await find_marked(gateway, "refunds", metadatum, charge=charge)
