"""Routes of customers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from litestar.params import Body, PathParameter, QueryParameter

from payment_service.customers.creation import CustomerCreation
from payment_service.customers.schemas import CreateCustomer, CustomerList, CustomerView
from payment_service.customers.service import Customers
from payment_service.http.body import JsonBody
from payment_service.http.id_types import CUSTOMER, LINE, MAXIMUM_CHARACTERS, PATH_REFERENCE
from payment_service.http.openapi import READING, WRITING, IdempotencyKeyHeader, problems
from payment_service.http.paging import Page
from payment_service.http.route_access import READ, WRITE
from payment_service.operations.requests import Caller, bind_key, to_response

if TYPE_CHECKING:
    from litestar.types import ControllerRouterHandler

_EXAMPLE = {"email": "ada@example.com", "name": "Ada Lovelace", "reference": "user-1815"}
NO_LIMIT: Final = "a customer tries no card, and a caller makes as many as it has: its key's limit of requests counts"
"""The limits of creations count for the customer that a request names (`payments/limits.py`), and this one names none
yet: counted for the caller they would stop whoever imports its customers. What many cost is one call to Stripe each,
and of those a caller has no more under way at once than it may have requests (`ratelimit/in_flight.py`)."""
_ABSENT: Final = CreateCustomer()
"""What an absent body says."""


@post(
    "/api/v1/customers",
    operation_id="createCustomer",
    access=WRITE.uncounted(NO_LIMIT),
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
    caller: NamedDependency[Caller],
    customer_creation: NamedDependency[CustomerCreation],
    data: Annotated[CreateCustomer, Body(examples=[Example(summary="With a reference", value=_EXAMPLE)])] = _ABSENT,
    idempotency_key: IdempotencyKeyHeader = None,  # noqa: ARG001 - documented here, read by `caller`
) -> Response[bytes]:
    """Create a customer here and at Stripe; `reference` is the caller's own id and unique."""
    stored = await customer_creation.run(
        data, principal=caller.principal, request_id=caller.request_id, key=bind_key(caller, data)
    )
    return to_response(stored)


@get(
    "/api/v1/customers/{customer_id:str}",
    operation_id="getCustomer",
    access=READ,
    summary="Read a customer",
    tags=["customers"],
    responses=problems(*READING, 404),
)
async def get_customer(
    customer_id: Annotated[
        str,
        PathParameter(
            pattern=CUSTOMER, max_length=MAXIMUM_CHARACTERS, description="Our id (`lpc_…`) or Stripe's (`cus_…`)."
        ),
    ],
    customers: NamedDependency[Customers],
) -> CustomerView:
    """Return a customer as last heard from Stripe."""
    return await customers.get(customer_id)


@get(
    "/api/v1/customers/by-reference/{reference:str}",
    operation_id="getCustomerByReference",
    access=READ,
    summary="Read a customer by your own id",
    tags=["customers"],
    responses=problems(*READING, 404),
)
async def get_customer_by_reference(
    reference: Annotated[
        str,
        PathParameter(
            description="Your id of the customer, if it is of letters, digits and . _ : @ - (else: `?reference=`).",
            max_length=128,
            pattern=PATH_REFERENCE,
        ),
    ],
    customers: NamedDependency[Customers],
) -> CustomerView:
    """Return the customer with this reference, as last heard from Stripe."""
    return await customers.get_by_reference(reference)


@get(
    "/api/v1/customers",
    operation_id="listCustomers",
    access=READ,
    summary="List customers",
    tags=["customers"],
    responses=problems(*READING),
)
async def list_customers(
    *,
    customers: NamedDependency[Customers],
    page: NamedDependency[Page],
    reference: Annotated[
        str | None,
        QueryParameter(
            description="Only with this id of yours, of any form.", min_length=1, max_length=255, pattern=LINE
        ),
    ] = None,
) -> CustomerList:
    """Return a page of customers, newest first."""
    return await customers.list(page=page, reference=reference)


HANDLERS: list[ControllerRouterHandler] = [create_customer, get_customer, get_customer_by_reference, list_customers]
