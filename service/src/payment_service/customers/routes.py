"""Routes of customers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from litestar.params import Body, PathParameter

from payment_service.customers.schemas import CreateCustomer, CustomerView
from payment_service.customers.service import CustomerCreation, Customers
from payment_service.idempotency.requests import Caller, to_response
from payment_service.platform.body import JsonBody
from payment_service.platform.openapi import READING, WRITING, IdempotencyKeyHeader, problems

if TYPE_CHECKING:
    from litestar.types import ControllerRouterHandler

_EXAMPLE = {"email": "ada@example.com", "name": "Ada Lovelace", "reference": "user-1815"}


@post(
    "/api/v1/customers",
    operation_id="createCustomer",
    summary="Create a customer",
    tags=["customers"],
    dto=JsonBody[CreateCustomer],
    return_dto=None,
    status_code=201,
    responses={
        201: ResponseSpec(CustomerView, description="Created here and at Stripe", generate_examples=False),
        **problems(*WRITING),
    },
)
async def create_customer(
    data: Annotated[CreateCustomer, Body(examples=[Example(summary="With a reference", value=_EXAMPLE)])],
    caller: NamedDependency[Caller],
    customer_creation: NamedDependency[CustomerCreation],
    idempotency_key: IdempotencyKeyHeader = None,  # noqa: ARG001 - documented here, read by `caller`
) -> Response[bytes]:
    """Create a customer here and at Stripe; `reference` is the caller's own id and unique."""
    stored = await customer_creation.run(
        data, principal=caller.principal, request_id=caller.request_id, key=caller.key(data)
    )
    return to_response(stored)


@get(
    "/api/v1/customers/{customer_id:str}",
    operation_id="getCustomer",
    summary="Read a customer",
    tags=["customers"],
    responses=problems(*READING, 404),
)
async def get_customer(
    customer_id: Annotated[str, PathParameter(description="Our id (`lpc_…`) or Stripe's (`cus_…`).", max_length=255)],
    customers: NamedDependency[Customers],
) -> CustomerView:
    """Return a customer as last heard from Stripe."""
    return await customers.get(customer_id)


HANDLERS: list[ControllerRouterHandler] = [create_customer, get_customer]
