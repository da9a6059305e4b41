"""Refunds: what the routes call."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from payment_service.operations.schemas import Begun
from payment_service.refunds.creation import KIND, CreatingRefund

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.operations.requests import Caller
    from payment_service.operations.schemas import Asked, IdempotencyKey, StoredResponse
    from payment_service.operations.service import Operations
    from payment_service.refunds.schemas import CreateRefund


class Refunds:
    """Refunds of one Stripe account and mode."""

    def __init__(self, operations: Operations, *, livemode: bool) -> None:
        self._operations = operations
        self._livemode = livemode

    async def create(self, request: CreateRefund, *, caller: Caller, key: IdempotencyKey | None) -> StoredResponse:
        """Give money back, or replay that; what stands in the way is asked of Stripe by the operation.

        Raises:
            PaymentsError: a passing fault; the operation is completed later.
        """

        async def prepare(_: AsyncConnection, __: Asked) -> Begun[CreatingRefund]:
            return Begun(CreatingRefund())

        return await self._operations.run(
            KIND,
            principal=caller.principal,
            livemode=self._livemode,
            request=msgspec.to_builtins(request),
            request_id=caller.request_id,
            key=key,
            prepare=prepare,
        )
