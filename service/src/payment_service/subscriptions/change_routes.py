"""Routes of changes of subscriptions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from litestar import Response, patch, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from litestar.params import Body

from payment_service.http.body import JsonBody
from payment_service.http.openapi import WRITING, IdempotencyKeyHeader, problems
from payment_service.http.route_access import CHANGE_LIMIT, CHANGES_NOTHING, READ, WRITE
from payment_service.operations.requests import Caller, bind_key, to_response
from payment_service.stripe_api.reads import Asker
from payment_service.subscriptions.change_schemas import (
    CancellationPreview,
    ChangedSubscription,
    ChangeSubscription,
    CreationPreview,
    PreviewChange,
    PreviewCreation,
    SubscriptionPreview,
)
from payment_service.subscriptions.changing import SubscriptionChanges
from payment_service.subscriptions.routes import SubscriptionId
from payment_service.subscriptions.schemas import CancelSubscription

if TYPE_CHECKING:
    from litestar.types import ControllerRouterHandler

_EXAMPLE: Final = {"lookup_key": "pro_monthly", "quantity": 3}
_CREATION: Final = {"customer_reference": "user-1", "lookup_key": "pro_monthly", "trial_days": 14}
_CANCELLATION: Final = {"at_period_end": False, "prorate": True}
_ABSENT: Final = CancelSubscription()
"""What an absent body says."""


@post(
    "/api/v1/subscriptions/{subscription_id:str}/preview",
    operation_id="previewSubscriptionChange",
    access=READ.uncounted(CHANGES_NOTHING),
    summary="Preview a change of a subscription",
    tags=["subscriptions"],
    dto=JsonBody[PreviewChange],
    return_dto=None,
    status_code=200,
    responses={
        200: ResponseSpec(SubscriptionPreview, description="What it would come to", generate_examples=False),
        **problems(400, 401, 403, 404, 409, 413, 415, 422, 429, 502, 503, 504),
    },
)
async def preview_change(
    subscription_id: SubscriptionId,
    data: Annotated[PreviewChange, Body(examples=[Example(summary="An upgrade", value=_EXAMPLE)])],
    asker: NamedDependency[Asker],
    subscription_changes: NamedDependency[SubscriptionChanges],
) -> SubscriptionPreview:
    """Return what a change of price, quantity or trial charges now and with the next invoice; nothing is changed."""
    return await subscription_changes.preview(subscription_id, data, asker=asker)


@post(
    "/api/v1/subscriptions/preview",
    operation_id="previewSubscriptionCreation",
    access=READ.uncounted(CHANGES_NOTHING),
    summary="Preview a new subscription",
    tags=["subscriptions"],
    dto=JsonBody[PreviewCreation],
    return_dto=None,
    status_code=200,
    responses={
        200: ResponseSpec(CreationPreview, description="What it would come to", generate_examples=False),
        **problems(400, 401, 403, 409, 413, 415, 422, 429, 502, 503, 504),
    },
)
async def preview_creation(
    data: Annotated[PreviewCreation, Body(examples=[Example(summary="With a trial", value=_CREATION)])],
    asker: NamedDependency[Asker],
    subscription_changes: NamedDependency[SubscriptionChanges],
) -> CreationPreview:
    """Return what a new subscription charges at once, and its first invoice that is paid; nothing is made."""
    return await subscription_changes.creations.preview(data, asker=asker)


@post(
    "/api/v1/subscriptions/{subscription_id:str}/cancel/preview",
    operation_id="previewSubscriptionCancellation",
    access=READ.uncounted(CHANGES_NOTHING),
    summary="Preview a cancellation of a subscription",
    tags=["subscriptions"],
    dto=JsonBody[CancelSubscription],
    return_dto=None,
    status_code=200,
    responses={
        200: ResponseSpec(CancellationPreview, description="What it would come to", generate_examples=False),
        **problems(400, 401, 403, 404, 409, 413, 415, 422, 429, 502, 503, 504),
    },
)
async def preview_cancellation(
    subscription_id: SubscriptionId,
    asker: NamedDependency[Asker],
    subscription_changes: NamedDependency[SubscriptionChanges],
    data: Annotated[CancelSubscription, Body(examples=[Example(summary="Now", value=_CANCELLATION)])] = _ABSENT,
) -> CancellationPreview:
    """Return what a cancellation gives back or charges, and when the subscription ends; nothing is changed."""
    return await subscription_changes.preview_cancellation(subscription_id, data, asker=asker)


@patch(
    "/api/v1/subscriptions/{subscription_id:str}",
    operation_id="changeSubscription",
    access=WRITE.counted(CHANGE_LIMIT),
    summary="Change a subscription",
    tags=["subscriptions"],
    dto=JsonBody[ChangeSubscription],
    return_dto=None,
    status_code=200,
    responses={
        200: ResponseSpec(ChangedSubscription, description="What is in force after the call", generate_examples=False),
        **problems(*WRITING),
    },
)
async def change_subscription(
    subscription_id: SubscriptionId,
    data: Annotated[ChangeSubscription, Body(examples=[Example(summary="An upgrade", value=_EXAMPLE)])],
    caller: NamedDependency[Caller],
    subscription_changes: NamedDependency[SubscriptionChanges],
    idempotency_key: IdempotencyKeyHeader = None,  # noqa: ARG001 - documented here, read by `caller`
) -> Response[bytes]:
    """Change price, quantity or trial of a subscription with one item, and charge what is due at once; or what is free.

    That is its metadata, description, default payment method and whether it ends with its period.
    """
    stored = await subscription_changes.change(subscription_id, data, caller=caller, key=bind_key(caller, data))
    return to_response(stored)


HANDLERS: list[ControllerRouterHandler] = [preview_change, preview_creation, preview_cancellation, change_subscription]
