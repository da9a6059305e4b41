"""Routes of replays."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Final

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from litestar.params import Body, PathParameter, QueryParameter

from payment_service.endpoints.replay_schemas import ReplayWebhooks, WebhookReplayList, WebhookReplayView
from payment_service.endpoints.replays import WebhookReplays
from payment_service.endpoints.routes import EndpointPath
from payment_service.endpoints.schemas import NoFields
from payment_service.http.body import JsonBody
from payment_service.http.id_types import MAXIMUM_CHARACTERS, WEBHOOK_ENDPOINT, WEBHOOK_REPLAY
from payment_service.http.openapi import ADMIN_WRITING, READING, IdempotencyKeyHeader, problems
from payment_service.http.paging import Page
from payment_service.http.route_access import CREATES_NOTHING, ENDPOINTS, READ
from payment_service.operations.immediate import run_at_once
from payment_service.operations.requests import Caller, to_response
from payment_service.operations.service import Operations

if TYPE_CHECKING:
    from litestar.types import ControllerRouterHandler

REPLAY: Final = "replay_webhooks"
CANCEL: Final = "cancel_webhook_replay"
TAGS: Final = ["webhook endpoints"]
_EXAMPLE: Final = {"since": "2026-01-31T12:00:00Z", "event_types": ["invoice.*"], "dry_run": True}
_NOTHING: Final = NoFields()
"""What an absent body says."""
ReplayPath = Annotated[
    str,
    PathParameter(pattern=WEBHOOK_REPLAY, max_length=MAXIMUM_CHARACTERS, description="The replay's id (`lpr_…`)."),
]


@post(
    "/api/v1/webhook-endpoints/{webhook_endpoint_id:str}/replay",
    operation_id="replayWebhooks",
    access=ENDPOINTS.uncounted(CREATES_NOTHING),
    summary="Send events again",
    tags=TAGS,
    dto=JsonBody[ReplayWebhooks],
    return_dto=None,
    status_code=202,
    responses={
        202: ResponseSpec(WebhookReplayView, description="A worker sends them", generate_examples=False),
        **problems(*ADMIN_WRITING, 404, 409),
    },
)
async def replay_webhooks(
    *,
    webhook_endpoint_id: EndpointPath,
    data: Annotated[ReplayWebhooks, Body(examples=[Example(summary="Count them", value=_EXAMPLE)])],
    caller: NamedDependency[Caller],
    operations: NamedDependency[Operations],
    webhook_replays: NamedDependency[WebhookReplays],
    idempotency_key: IdempotencyKeyHeader = None,  # noqa: ARG001 - documented here, read by `caller`
) -> Response[bytes]:
    """Have events of the feed sent again to an endpoint, after what is new, with the `webhook-id` that they had.

    An endpoint has one replay at a time; to ask for the same, or for a part of it from a later moment on, while it runs
    is answered with that one.
    """
    work = partial(webhook_replays.request, endpoint_id=webhook_endpoint_id, asked=data, actor=caller.actor)
    return to_response(await run_at_once(operations, REPLAY, work, caller=caller, body=data, status=202))


@get(
    "/api/v1/webhook-replays",
    operation_id="listWebhookReplays",
    access=READ,
    summary="List replays",
    tags=TAGS,
    responses=problems(*READING),
)
async def list_webhook_replays(
    webhook_replays: NamedDependency[WebhookReplays],
    page: NamedDependency[Page],
    endpoint: Annotated[
        str | None,
        QueryParameter(
            pattern=WEBHOOK_ENDPOINT, max_length=MAXIMUM_CHARACTERS, description="Only to this endpoint (`lpw_…`)."
        ),
    ] = None,
) -> WebhookReplayList:
    """Return a page of replays, newest first."""
    return await webhook_replays.list(page=page, endpoint_id=endpoint)


@get(
    "/api/v1/webhook-replays/{webhook_replay_id:str}",
    operation_id="getWebhookReplay",
    access=READ,
    summary="Read a replay",
    tags=TAGS,
    responses=problems(*READING, 404),
)
async def get_webhook_replay(
    webhook_replay_id: ReplayPath, webhook_replays: NamedDependency[WebhookReplays]
) -> WebhookReplayView:
    """Return how far a replay is."""
    return await webhook_replays.get(webhook_replay_id)


@post(
    "/api/v1/webhook-replays/{webhook_replay_id:str}/cancel",
    operation_id="cancelWebhookReplay",
    access=ENDPOINTS.uncounted(CREATES_NOTHING),
    summary="Cancel a replay",
    tags=TAGS,
    dto=JsonBody[NoFields],
    return_dto=None,
    status_code=200,
    responses={
        200: ResponseSpec(WebhookReplayView, description="Its state after the call", generate_examples=False),
        **problems(*ADMIN_WRITING, 404, 409),
    },
)
async def cancel_webhook_replay(
    *,
    webhook_replay_id: ReplayPath,
    caller: NamedDependency[Caller],
    operations: NamedDependency[Operations],
    webhook_replays: NamedDependency[WebhookReplays],
    data: Annotated[NoFields, Body(examples=[Example(summary="Nothing", value={})])] = _NOTHING,
    idempotency_key: IdempotencyKeyHeader = None,  # noqa: ARG001 - documented here, read by `caller`
) -> Response[bytes]:
    """End a replay; what it has waiting is skipped, what is new goes on."""
    work = partial(webhook_replays.cancel, replay_id=webhook_replay_id, actor=caller.actor)
    return to_response(await run_at_once(operations, CANCEL, work, caller=caller, body=data))


HANDLERS: list[ControllerRouterHandler] = [
    replay_webhooks,
    list_webhook_replays,
    get_webhook_replay,
    cancel_webhook_replay,
]
