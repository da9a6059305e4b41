"""Operations that are done in the transaction that records them: nothing of Stripe's is touched."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from payment_service.errors import PaymentsError
from payment_service.operations.requests import bind_key
from payment_service.operations.schemas import Begun, StoredResponse
from payment_service.operations.service import refusal
from payment_service.operations.state import Finished, Kind

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.operations.requests import Caller
    from payment_service.operations.schemas import Asked
    from payment_service.operations.service import Operations


async def run_at_once(
    operations: Operations,
    kind: str,
    work: Callable[[AsyncConnection], Awaitable[object]],
    *,
    caller: Caller,
    body: msgspec.Struct,
    status: int = 200,
) -> StoredResponse:
    """Do `work` once for the caller's key and return its result, or the error it raised, as the stored answer.

    The operation records the path's parameters and `body`, which the key is bound to.

    Raises:
        BadRequest: the key is malformed, or missing although required.
    """

    async def prepare(connection: AsyncConnection, asked: Asked) -> Begun[Finished]:
        try:
            return Begun(Finished(), StoredResponse.of(status, await work(connection)))
        except PaymentsError as error:
            return Begun(Finished(), refusal(error, asked))

    return await operations.run(
        Kind(kind, Finished),
        principal=caller.principal,
        livemode=caller.livemode,
        request=caller.path_params | msgspec.to_builtins(body),
        request_id=caller.request_id,
        key=bind_key(caller, body),
        prepare=prepare,
    )
