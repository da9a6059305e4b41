"""Routes of operations for administrators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from litestar import get
from litestar.di import NamedDependency
from litestar.params import PathParameter, QueryParameter

from payment_service.http.id_types import MAXIMUM_CHARACTERS, OPERATION, WORD
from payment_service.http.openapi import READING, problems
from payment_service.http.paging import Page
from payment_service.http.route_access import ADMIN
from payment_service.operations.inspection import OperationInspection, OperationList, OperationView

if TYPE_CHECKING:
    from litestar.types import ControllerRouterHandler

PATH = "/api/v1/admin/operations"


@get(
    PATH,
    operation_id="listOperations",
    access=ADMIN,
    summary="List operations",
    tags=["administration"],
    responses=problems(*READING),
)
async def list_operations(
    *,
    operation_inspection: NamedDependency[OperationInspection],
    page: NamedDependency[Page],
    unfinished: Annotated[bool, QueryParameter(description="Only those without an answer.")] = False,
    kind: Annotated[str | None, QueryParameter(pattern=WORD, max_length=64, description="Only of this kind.")] = None,
) -> OperationList:
    """Return a page of operations, newest first."""
    return await operation_inspection.list(page=page, unfinished=unfinished, kind=kind)


@get(
    f"{PATH}/{{operation_id:str}}",
    operation_id="getOperation",
    access=ADMIN,
    summary="Read an operation",
    tags=["administration"],
    responses=problems(*READING, 404),
)
async def get_operation(
    operation_id: Annotated[
        str, PathParameter(pattern=OPERATION, max_length=MAXIMUM_CHARACTERS, description="Its id (`lpo_…`).")
    ],
    operation_inspection: NamedDependency[OperationInspection],
) -> OperationView:
    """Return how far an operation got, without its request and its answer."""
    return await operation_inspection.show(operation_id)


HANDLERS: list[ControllerRouterHandler] = [list_operations, get_operation]
