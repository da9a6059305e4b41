"""Operations that are done in the transaction that records them: nothing of Stripe's is touched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from payment_service.errors import PaymentsError
from payment_service.operations.schemas import StoredResponse
from payment_service.operations.service import refusal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.operations.requests import Caller
    from payment_service.operations.schemas import IdempotencyKey, Operation
    from payment_service.operations.service import Operations


async def run_at_once(
    operations: Operations,
    kind: str,
    work: Callable[[AsyncConnection], Awaitable[object]],
    *,
    caller: Caller,
    request: dict[str, Any],
    key: IdempotencyKey | None,
    status: int = 200,
) -> StoredResponse:
    """Do `work` once for this key and return its result, or the error it raised, as the stored answer."""

    async def prepare(connection: AsyncConnection, operation: Operation) -> None:
        try:
            operation.response = StoredResponse.of(status, await work(connection))
        except PaymentsError as error:
            operation.response = refusal(error, operation)
        operation.phase = "finished"

    return await operations.run(
        kind,
        principal=caller.principal,
        livemode=caller.livemode,
        request=request,
        request_id=caller.request_id,
        key=key,
        prepare=prepare,
    )
