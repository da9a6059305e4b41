"""Routes of webhook endpoints."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Final

from litestar import Response, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from litestar.params import Body, PathParameter

from payment_service.endpoints.people import WebhookDeliveries
from payment_service.endpoints.schemas import (
    CreateWebhookEndpoint,
    DeletedWebhookEndpoint,
    NoFields,
    RotateSecret,
    UpdateWebhookEndpoint,
    WebhookDeliveryView,
    WebhookEndpointList,
    WebhookEndpointView,
    WebhookEndpointWithSecret,
)
from payment_service.endpoints.service import WebhookEndpoints
from payment_service.http.body import JsonBody
from payment_service.http.id_types import MAXIMUM_CHARACTERS, WEBHOOK_ENDPOINT
from payment_service.http.openapi import ADMIN_WRITING, READING, IdempotencyKeyHeader, problems
from payment_service.http.paging import Page
from payment_service.http.route_access import CREATES_NOTHING, ENDPOINTS, READ
from payment_service.operations.immediate import run_at_once
from payment_service.operations.requests import Caller, to_response
from payment_service.operations.service import Operations

if TYPE_CHECKING:
    from litestar.types import ControllerRouterHandler
    from sqlalchemy.ext.asyncio import AsyncConnection

CREATE: Final = "create_webhook_endpoint"
UPDATE: Final = "update_webhook_endpoint"
ROTATE: Final = "rotate_webhook_endpoint_secret"
DELETE: Final = "delete_webhook_endpoint"
TEST: Final = "test_webhook_endpoint"
TAGS: Final = ["webhook endpoints"]
_EXAMPLE: Final = {"url": "https://shop.example.com/hooks", "event_types": ["invoice.*", "subscription.canceled"]}
_ROTATE: Final = RotateSecret()
_UNCHANGED: Final = UpdateWebhookEndpoint()
_NOTHING: Final = NoFields()
"""What an absent body says."""
EndpointPath = Annotated[
    str,
    PathParameter(pattern=WEBHOOK_ENDPOINT, max_length=MAXIMUM_CHARACTERS, description="The endpoint's id (`lpw_…`)."),
]


@post(
    "/api/v1/webhook-endpoints",
    operation_id="createWebhookEndpoint",
    access=ENDPOINTS.uncounted(CREATES_NOTHING),
    summary="Create a webhook endpoint",
    tags=TAGS,
    dto=JsonBody[CreateWebhookEndpoint],
    return_dto=None,
    status_code=201,
    responses={
        201: ResponseSpec(WebhookEndpointWithSecret, description="Created, with its secret", generate_examples=False),
        **problems(*ADMIN_WRITING, 409),
    },
)
async def create_webhook_endpoint(
    data: Annotated[CreateWebhookEndpoint, Body(examples=[Example(summary="Some events", value=_EXAMPLE)])],
    caller: NamedDependency[Caller],
    operations: NamedDependency[Operations],
    webhook_endpoints: NamedDependency[WebhookEndpoints],
    idempotency_key: IdempotencyKeyHeader = None,  # noqa: ARG001 - documented here, read by `caller`
) -> Response[bytes]:
    """Have events sent to an address from now on, signed as Standard Webhooks ask; this answer alone has the secret."""
    work = partial(webhook_endpoints.create, asked=data, actor=caller.actor)
    stored = await run_at_once(operations, CREATE, work, caller=caller, body=data, status=201)
    return to_response(await webhook_endpoints.with_secret(stored))


@get(
    "/api/v1/webhook-endpoints",
    operation_id="listWebhookEndpoints",
    access=READ,
    summary="List webhook endpoints",
    tags=TAGS,
    responses=problems(*READING),
)
async def list_webhook_endpoints(
    webhook_endpoints: NamedDependency[WebhookEndpoints], page: NamedDependency[Page]
) -> WebhookEndpointList:
    """Return a page of webhook endpoints, newest first."""
    return await webhook_endpoints.list(page=page)


@get(
    "/api/v1/webhook-endpoints/{webhook_endpoint_id:str}",
    operation_id="getWebhookEndpoint",
    access=READ,
    summary="Read a webhook endpoint",
    tags=TAGS,
    responses=problems(*READING, 404),
)
async def get_webhook_endpoint(
    webhook_endpoint_id: EndpointPath, webhook_endpoints: NamedDependency[WebhookEndpoints]
) -> WebhookEndpointView:
    """Return a webhook endpoint and how it does, without its secret."""
    return await webhook_endpoints.get(webhook_endpoint_id)


@patch(
    "/api/v1/webhook-endpoints/{webhook_endpoint_id:str}",
    operation_id="updateWebhookEndpoint",
    access=ENDPOINTS.uncounted(CREATES_NOTHING),
    summary="Change, enable or disable a webhook endpoint",
    tags=TAGS,
    dto=JsonBody[UpdateWebhookEndpoint],
    return_dto=None,
    status_code=200,
    responses={
        200: ResponseSpec(WebhookEndpointView, description="Its state after the call", generate_examples=False),
        **problems(*ADMIN_WRITING, 404, 409),
    },
)
async def update_webhook_endpoint(
    *,
    webhook_endpoint_id: EndpointPath,
    caller: NamedDependency[Caller],
    operations: NamedDependency[Operations],
    webhook_endpoints: NamedDependency[WebhookEndpoints],
    data: Annotated[
        UpdateWebhookEndpoint, Body(examples=[Example(summary="Disable it", value={"enabled": False})])
    ] = _UNCHANGED,
    idempotency_key: IdempotencyKeyHeader = None,  # noqa: ARG001 - documented here, read by `caller`
) -> Response[bytes]:
    """Change what is given. What an endpoint missed while it was disabled is sent when it is enabled."""
    work = partial(webhook_endpoints.update, endpoint_id=webhook_endpoint_id, asked=data, actor=caller.actor)
    return to_response(await run_at_once(operations, UPDATE, work, caller=caller, body=data))


@post(
    "/api/v1/webhook-endpoints/{webhook_endpoint_id:str}/rotate-secret",
    operation_id="rotateWebhookEndpointSecret",
    access=ENDPOINTS.uncounted(CREATES_NOTHING),
    summary="Give a webhook endpoint a new secret",
    tags=TAGS,
    dto=JsonBody[RotateSecret],
    return_dto=None,
    status_code=200,
    responses={
        200: ResponseSpec(WebhookEndpointWithSecret, description="With the new secret", generate_examples=False),
        **problems(*ADMIN_WRITING, 404, 409),
    },
)
async def rotate_webhook_endpoint_secret(
    *,
    webhook_endpoint_id: EndpointPath,
    caller: NamedDependency[Caller],
    operations: NamedDependency[Operations],
    webhook_endpoints: NamedDependency[WebhookEndpoints],
    data: Annotated[RotateSecret, Body(examples=[Example(summary="A week", value={"overlap_hours": 168})])] = _ROTATE,
    idempotency_key: IdempotencyKeyHeader = None,  # noqa: ARG001 - documented here, read by `caller`
) -> Response[bytes]:
    """Sign with a new secret from now on, and with the former one too for the overlap; the answer alone shows it."""
    work = partial(webhook_endpoints.rotate_secret, endpoint_id=webhook_endpoint_id, asked=data, actor=caller.actor)
    stored = await run_at_once(operations, ROTATE, work, caller=caller, body=data)
    return to_response(await webhook_endpoints.with_secret(stored))


@delete(
    "/api/v1/webhook-endpoints/{webhook_endpoint_id:str}",
    operation_id="deleteWebhookEndpoint",
    access=ENDPOINTS.uncounted(CREATES_NOTHING),
    summary="Delete a webhook endpoint",
    tags=TAGS,
    status_code=200,
    responses={
        200: ResponseSpec(DeletedWebhookEndpoint, description="There is none any more", generate_examples=False),
        **problems(*ADMIN_WRITING, 404, 409),
    },
)
async def delete_webhook_endpoint(
    webhook_endpoint_id: EndpointPath,
    caller: NamedDependency[Caller],
    operations: NamedDependency[Operations],
    webhook_endpoints: NamedDependency[WebhookEndpoints],
    idempotency_key: IdempotencyKeyHeader = None,  # noqa: ARG001 - documented here, read by `caller`
) -> Response[bytes]:
    """End the sending to an endpoint; what waits for it is dropped."""
    work = partial(webhook_endpoints.delete, endpoint_id=webhook_endpoint_id, actor=caller.actor)
    return to_response(await run_at_once(operations, DELETE, work, caller=caller, body=_NOTHING))


@post(
    "/api/v1/webhook-endpoints/{webhook_endpoint_id:str}/test",
    operation_id="testWebhookEndpoint",
    access=ENDPOINTS.uncounted(CREATES_NOTHING),
    summary="Send a test event",
    tags=TAGS,
    dto=JsonBody[NoFields],
    return_dto=None,
    status_code=202,
    responses={
        202: ResponseSpec(WebhookDeliveryView, description="A worker sends it soon", generate_examples=False),
        **problems(*ADMIN_WRITING, 404, 409),
    },
)
async def send_test_event(
    *,
    webhook_endpoint_id: EndpointPath,
    caller: NamedDependency[Caller],
    operations: NamedDependency[Operations],
    webhook_endpoints: NamedDependency[WebhookEndpoints],
    webhook_deliveries: NamedDependency[WebhookDeliveries],
    data: Annotated[NoFields, Body(examples=[Example(summary="Nothing", value={})])] = _NOTHING,
    idempotency_key: IdempotencyKeyHeader = None,  # noqa: ARG001 - documented here, read by `caller`
) -> Response[bytes]:
    """Have `webhook_endpoint.test` sent once; read the delivery to see what came of it."""

    async def work(connection: AsyncConnection) -> WebhookDeliveryView:
        delivery_id = await webhook_endpoints.test(connection, webhook_endpoint_id, actor=caller.actor)
        return await webhook_deliveries.shown(connection, delivery_id)

    return to_response(await run_at_once(operations, TEST, work, caller=caller, body=data, status=202))


HANDLERS: list[ControllerRouterHandler] = [
    create_webhook_endpoint,
    list_webhook_endpoints,
    get_webhook_endpoint,
    update_webhook_endpoint,
    rotate_webhook_endpoint_secret,
    delete_webhook_endpoint,
    send_test_event,
]
