"""Routes of subscriptions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from litestar.params import Body, PathParameter, QueryParameter

from payment_service.http.body import JsonBody
from payment_service.http.id_types import CUSTOMER, MAXIMUM_CHARACTERS, OBJECT, SUBSCRIPTION
from payment_service.http.openapi import READING, WRITING, EndUserAddressHeader, IdempotencyKeyHeader, problems
from payment_service.http.paging import Page
from payment_service.http.route_access import CREATE_LIMIT, CREATES_NOTHING, READ, WRITE
from payment_service.operations.requests import Caller, bind_key, to_response
from payment_service.subscriptions.schemas import (
    CancelSubscription,
    CreatedSubscription,
    CreateSubscription,
    SubscriptionList,
    SubscriptionStatus,
    SubscriptionView,
)
from payment_service.subscriptions.service import Subscriptions

if TYPE_CHECKING:
    from litestar.types import ControllerRouterHandler

CREATE_PATH = "/api/v1/payments/create-subscription"
_EXAMPLE = {"lookup_key": "pro_monthly", "email": "hedy@example.com", "payment_method_id": "pm_card_visa"}
_ABSENT: Final = CancelSubscription()
"""What an absent body says."""
SubscriptionId = Annotated[
    str,
    PathParameter(
        pattern=SUBSCRIPTION,
        max_length=MAXIMUM_CHARACTERS,
        description="Our id of the subscription (`lps_…`) or Stripe's (`sub_…`).",
    ),
]


def _of(kind: str) -> QueryParameter:
    return QueryParameter(pattern=OBJECT, max_length=MAXIMUM_CHARACTERS, description=f"Only to this {kind}.")


@post(
    CREATE_PATH,
    operation_id="createSubscription",
    access=WRITE.counted(CREATE_LIMIT),
    summary="Create a subscription",
    tags=["subscriptions"],
    dto=JsonBody[CreateSubscription],
    return_dto=None,
    status_code=201,
    responses={
        201: ResponseSpec(CreatedSubscription, description="Created at Stripe and recorded", generate_examples=False),
        200: ResponseSpec(CreatedSubscription, description="An incomplete one is resumed", generate_examples=False),
        **problems(*WRITING),
    },
)
async def create_subscription(
    data: Annotated[CreateSubscription, Body(examples=[Example(summary="By address", value=_EXAMPLE)])],
    caller: NamedDependency[Caller],
    subscriptions: NamedDependency[Subscriptions],
    idempotency_key: IdempotencyKeyHeader = None,  # noqa: ARG001 - documented here, read by `caller`
    end_user_address: EndUserAddressHeader = None,  # noqa: ARG001 - documented here, read by `caller`
) -> Response[bytes]:
    """Create a subscription and, with a payment method, charge its first invoice at once."""
    key = bind_key(caller, data)
    return to_response(await subscriptions.create(data, caller=caller, key=key))


@get(
    "/api/v1/subscriptions/{subscription_id:str}",
    operation_id="getSubscription",
    access=READ,
    summary="Read a subscription",
    tags=["subscriptions"],
    responses=problems(*READING, 404),
)
async def get_subscription(
    subscription_id: SubscriptionId, subscriptions: NamedDependency[Subscriptions]
) -> SubscriptionView:
    """Return a subscription as last heard from Stripe."""
    return await subscriptions.get(subscription_id)


@get(
    "/api/v1/subscriptions",
    operation_id="listSubscriptions",
    access=READ,
    summary="List subscriptions",
    tags=["subscriptions"],
    responses=problems(*READING),
)
async def list_subscriptions(
    *,
    subscriptions: NamedDependency[Subscriptions],
    page: NamedDependency[Page],
    customer_id: Annotated[
        str | None,
        QueryParameter(
            pattern=CUSTOMER, max_length=MAXIMUM_CHARACTERS, description="Only this customer's (`lpc_…` or `cus_…`)."
        ),
    ] = None,
    price_id: Annotated[str | None, _of("price")] = None,
    product_id: Annotated[str | None, _of("product")] = None,
    status: Annotated[SubscriptionStatus | None, QueryParameter(description="Only with this status.")] = None,
) -> SubscriptionList:
    """Return a page of subscriptions, newest first."""
    return await subscriptions.list(
        page=page, customer_id=customer_id, price_id=price_id, product_id=product_id, status=status
    )


@post(
    "/api/v1/subscriptions/{subscription_id:str}/cancel",
    operation_id="cancelSubscription",
    access=WRITE.uncounted(CREATES_NOTHING),
    summary="Cancel a subscription",
    tags=["subscriptions"],
    dto=JsonBody[CancelSubscription],
    return_dto=None,
    status_code=200,
    responses={
        200: ResponseSpec(SubscriptionView, description="Its state after the call", generate_examples=False),
        **problems(*WRITING),
    },
)
async def cancel_subscription(
    subscription_id: SubscriptionId,
    caller: NamedDependency[Caller],
    subscriptions: NamedDependency[Subscriptions],
    data: Annotated[
        CancelSubscription, Body(examples=[Example(summary="Now", value={"at_period_end": False})])
    ] = _ABSENT,
    idempotency_key: IdempotencyKeyHeader = None,  # noqa: ARG001 - documented here, read by `caller`
) -> Response[bytes]:
    """End a subscription with its period (the default) or at once."""
    stored = await subscriptions.cancel(
        subscription_id, data, principal=caller.principal, request_id=caller.request_id, key=bind_key(caller, data)
    )
    return to_response(stored)


HANDLERS: list[ControllerRouterHandler] = [
    create_subscription,
    get_subscription,
    list_subscriptions,
    cancel_subscription,
]
