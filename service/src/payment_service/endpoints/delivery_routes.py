"""Routes of webhook deliveries."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Final

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from litestar.params import Body, PathParameter, QueryParameter

from payment_service.endpoints.people import WebhookDeliveries
from payment_service.endpoints.schemas import DeliveryState, NoFields, WebhookDeliveryList, WebhookDeliveryView
from payment_service.http.body import JsonBody
from payment_service.http.id_types import MAXIMUM_CHARACTERS, OBJECT, WEBHOOK_DELIVERY, WEBHOOK_ENDPOINT
from payment_service.http.openapi import ADMIN_WRITING, READING, IdempotencyKeyHeader, problems
from payment_service.http.paging import Page
from payment_service.http.route_access import CREATES_NOTHING, ENDPOINTS, READ
from payment_service.operations.immediate import run_at_once
from payment_service.operations.requests import Caller, to_response
from payment_service.operations.service import Operations

if TYPE_CHECKING:
    from litestar.types import ControllerRouterHandler

RETRY: Final = "retry_webhook_delivery"
SKIP: Final = "skip_webhook_delivery"
TAGS: Final = ["webhook endpoints"]
_NOTHING: Final = NoFields()
"""What an absent body says."""
DeliveryPath = Annotated[
    str,
    PathParameter(pattern=WEBHOOK_DELIVERY, max_length=MAXIMUM_CHARACTERS, description="The delivery's id (`lpd_…`)."),
]


@get(
    "/api/v1/webhook-deliveries",
    operation_id="listWebhookDeliveries",
    access=READ,
    summary="List webhook deliveries",
    tags=TAGS,
    responses=problems(*READING),
)
async def list_webhook_deliveries(
    webhook_deliveries: NamedDependency[WebhookDeliveries],
    page: NamedDependency[Page],
    endpoint: Annotated[
        str | None,
        QueryParameter(
            pattern=WEBHOOK_ENDPOINT, max_length=MAXIMUM_CHARACTERS, description="Only to this endpoint (`lpw_…`)."
        ),
    ] = None,
    in_state: Annotated[DeliveryState | None, QueryParameter(name="state", description="Only in this state.")] = None,
    object_id: Annotated[
        str | None,
        QueryParameter(
            name="object",
            pattern=OBJECT,
            max_length=MAXIMUM_CHARACTERS,
            description="Only about this object, by the id that events name it by.",
        ),
    ] = None,
) -> WebhookDeliveryList:
    """Return a page of what is, or was, to be sent, newest first; `waits_for` says what is in a delivery's way."""
    return await webhook_deliveries.list(page=page, endpoint_id=endpoint, state=in_state, object_id=object_id)


@get(
    "/api/v1/webhook-deliveries/{webhook_delivery_id:str}",
    operation_id="getWebhookDelivery",
    access=READ,
    summary="Read a webhook delivery",
    tags=TAGS,
    responses=problems(*READING, 404),
)
async def get_webhook_delivery(
    webhook_delivery_id: DeliveryPath, webhook_deliveries: NamedDependency[WebhookDeliveries]
) -> WebhookDeliveryView:
    """Return one event's way to one endpoint."""
    return await webhook_deliveries.get(webhook_delivery_id)


@post(
    "/api/v1/webhook-deliveries/{webhook_delivery_id:str}/retry",
    operation_id="retryWebhookDelivery",
    access=ENDPOINTS.uncounted(CREATES_NOTHING),
    summary="Try a webhook delivery now",
    tags=TAGS,
    dto=JsonBody[NoFields],
    return_dto=None,
    status_code=200,
    responses={
        200: ResponseSpec(WebhookDeliveryView, description="Its state after the call", generate_examples=False),
        **problems(*ADMIN_WRITING, 404, 409),
    },
)
async def retry_webhook_delivery(
    *,
    webhook_delivery_id: DeliveryPath,
    caller: NamedDependency[Caller],
    operations: NamedDependency[Operations],
    webhook_deliveries: NamedDependency[WebhookDeliveries],
    data: Annotated[NoFields, Body(examples=[Example(summary="Nothing", value={})])] = _NOTHING,
    idempotency_key: IdempotencyKeyHeader = None,  # noqa: ARG001 - documented here, read by `caller`
) -> Response[bytes]:
    """Have a delivery tried soon that is pending, failed or skipped, with all attempts before it again."""
    work = partial(webhook_deliveries.retry, delivery_id=webhook_delivery_id, actor=caller.actor)
    return to_response(await run_at_once(operations, RETRY, work, caller=caller, body=data))


@post(
    "/api/v1/webhook-deliveries/{webhook_delivery_id:str}/skip",
    operation_id="skipWebhookDelivery",
    access=ENDPOINTS.uncounted(CREATES_NOTHING),
    summary="Skip a webhook delivery",
    tags=TAGS,
    dto=JsonBody[NoFields],
    return_dto=None,
    status_code=200,
    responses={
        200: ResponseSpec(WebhookDeliveryView, description="Its state after the call", generate_examples=False),
        **problems(*ADMIN_WRITING, 404, 409),
    },
)
async def skip_webhook_delivery(
    *,
    webhook_delivery_id: DeliveryPath,
    caller: NamedDependency[Caller],
    operations: NamedDependency[Operations],
    webhook_deliveries: NamedDependency[WebhookDeliveries],
    data: Annotated[NoFields, Body(examples=[Example(summary="Nothing", value={})])] = _NOTHING,
    idempotency_key: IdempotencyKeyHeader = None,  # noqa: ARG001 - documented here, read by `caller`
) -> Response[bytes]:
    """Give up a pending delivery, so that those that wait for it go on."""
    work = partial(webhook_deliveries.skip, delivery_id=webhook_delivery_id, actor=caller.actor)
    return to_response(await run_at_once(operations, SKIP, work, caller=caller, body=data))


HANDLERS: list[ControllerRouterHandler] = [
    list_webhook_deliveries,
    get_webhook_delivery,
    retry_webhook_delivery,
    skip_webhook_delivery,
]
