"""Routes of reconciliation for administrators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from litestar import Response, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from litestar.params import Body

from payment_service.http.body import JsonBody
from payment_service.http.openapi import ADMIN_WRITING, IdempotencyKeyHeader, problems
from payment_service.http.route_access import ADMIN, CREATES_NOTHING
from payment_service.operations.immediate import run_at_once
from payment_service.operations.requests import Caller, to_response
from payment_service.operations.service import Operations
from payment_service.reconcile.schemas import ReconcileAccepted, ReconcileRequest
from payment_service.reconcile.service import Reconciler

if TYPE_CHECKING:
    from litestar.types import ControllerRouterHandler
    from sqlalchemy.ext.asyncio import AsyncConnection

KIND = "schedule_reconciliation"
_ABSENT: Final = ReconcileRequest()
"""What an absent body says."""


@post(
    "/api/v1/admin/reconcile",
    operation_id="reconcile",
    access=ADMIN.uncounted(CREATES_NOTHING),
    summary="Compare with Stripe soon",
    tags=["administration"],
    dto=JsonBody[ReconcileRequest],
    return_dto=None,
    status_code=202,
    responses={
        202: ResponseSpec(ReconcileAccepted, description="A worker runs it within seconds", generate_examples=False),
        **problems(*ADMIN_WRITING),
    },
)
async def reconcile(
    caller: NamedDependency[Caller],
    operations: NamedDependency[Operations],
    reconciler: NamedDependency[Reconciler],
    data: Annotated[ReconcileRequest, Body(examples=[Example(summary="Everything", value={"full": True})])] = _ABSENT,
    idempotency_key: IdempotencyKeyHeader = None,  # noqa: ARG001 - documented here, read by `caller`
) -> Response[bytes]:
    """Let a worker read Stripe's events, and with `full` every object, and bring what is missing through the inbox."""

    async def work(connection: AsyncConnection) -> ReconcileAccepted:
        await reconciler.schedule(connection, data, actor=caller.actor)
        return ReconcileAccepted(since=data.since, full=data.full)

    return to_response(await run_at_once(operations, KIND, work, caller=caller, body=data, status=202))


HANDLERS: list[ControllerRouterHandler] = [reconcile]
