"""Routes of operations for administrators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from litestar import get
from litestar.di import NamedDependency
from litestar.params import PathParameter, QueryParameter

from payment_service.idempotency.inspection import OperationInspection, OperationList, OperationView
from payment_service.platform.openapi import READING, Limit, Since, StartingAfter, parse_since, problems

if TYPE_CHECKING:
    from litestar.types import ControllerRouterHandler

PATH = "/api/v1/admin/operations"


@get(
    PATH,
    operation_id="listOperations",
    summary="List operations",
    tags=["administration"],
    responses=problems(*READING),
)
async def list_operations(
    *,
    operation_inspection: NamedDependency[OperationInspection],
    unfinished: Annotated[bool, QueryParameter(description="Only those without an answer.")] = False,
    kind: Annotated[str | None, QueryParameter(max_length=255, description="Only of this kind.")] = None,
    since: Since = None,
    limit: Limit = 10,
    starting_after: StartingAfter = None,
) -> OperationList:
    """Return a page of operations, newest first."""
    return await operation_inspection.list(
        unfinished=unfinished, kind=kind, since=parse_since(since), limit=limit, starting_after=starting_after
    )


@get(
    f"{PATH}/{{operation_id:str}}",
    operation_id="getOperation",
    summary="Read an operation",
    tags=["administration"],
    responses=problems(*READING, 404),
)
async def get_operation(
    operation_id: Annotated[str, PathParameter(description="Its id (`lpo_…`).", max_length=255)],
    operation_inspection: NamedDependency[OperationInspection],
) -> OperationView:
    """Return how far an operation got, without its request and its answer."""
    return await operation_inspection.show(operation_id)


HANDLERS: list[ControllerRouterHandler] = [list_operations, get_operation]
