"""What came of a person's request, in the audit log: one row for each operation that has its answer.

The states before and after stand in the outbox under the operation's id as their cause, written in the same
transactions. Each of them has a retention of its own, the audit log the longest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from payment_service.storage import audit_log

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.operations.schemas import Asked, StoredResponse

_REFUSED: Final = 400
_OF_WORKERS: Final = {"cancel_setup_intent": "worker:card_testing"}
"""Who acts in operations that nobody asked for."""


async def record_outcome(
    connection: AsyncConnection, operation: Asked, *, response: StoredResponse, now: datetime
) -> None:
    """Append the outcome of an operation that has just got its answer, in the transaction that stores the answer.

    `create_subscription` becomes the action `subscription.create`. The object is what was made or changed; of a
    refused request, the operation.
    """
    verb, _, noun = operation.kind.partition("_")
    answer: dict[str, object] = msgspec.json.decode(response.body)
    done = response.status < _REFUSED
    details = {"operation": operation.id, "request_id": operation.request_id, "status": response.status}
    await audit_log.record(
        connection,
        actor=_OF_WORKERS.get(operation.kind) or audit_log.api_actor(operation.principal),
        action=f"{noun}.{verb}",
        object_type=noun if done else "operation",
        object_id=str(answer.get("id", operation.id)) if done else operation.id,
        now=now,
        details=details if done else details | {"code": answer.get("code")},
    )
