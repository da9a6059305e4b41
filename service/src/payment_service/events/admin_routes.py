"""Routes of the inbox for administrators."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from litestar.params import Body, PathParameter, QueryParameter

from payment_service.events.administration import DISCARD, REPLAY, RESTORE, RETRY, InboxAdministration
from payment_service.events.schemas import DiscardRequest, EventList, EventState, EventView, ReplayRequest, ReplayResult
from payment_service.events.service import Inbox
from payment_service.http.body import JsonBody
from payment_service.http.id_types import EVENT, EVENT_TYPES, MAXIMUM_CHARACTERS, OBJECT
from payment_service.http.openapi import ADMIN_WRITING, READING, IdempotencyKeyHeader, problems
from payment_service.http.paging import Page
from payment_service.http.route_access import ADMIN, CREATES_NOTHING
from payment_service.operations.immediate import run_at_once
from payment_service.operations.requests import Caller, to_response
from payment_service.operations.service import Operations

if TYPE_CHECKING:
    from litestar.types import ControllerRouterHandler

PATH = "/api/v1/admin/inbox"
EventId = Annotated[
    str,
    PathParameter(pattern=EVENT, max_length=MAXIMUM_CHARACTERS, description="Stripe's id of the event (`evt_…`)."),
]


class RetryRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing has to be said."""


class RestoreRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing has to be said."""


_RETRY: Final = RetryRequest()
_RESTORE: Final = RestoreRequest()
"""What an absent body says."""


@get(
    PATH,
    operation_id="listEvents",
    access=ADMIN,
    summary="List the events of the inbox",
    tags=["administration"],
    responses=problems(*READING),
)
async def list_events(
    *,
    inbox_administration: NamedDependency[InboxAdministration],
    page: NamedDependency[Page],
    event_state: Annotated[EventState | None, QueryParameter(name="state", description="Only in this state.")] = None,
    type: Annotated[  # noqa: A002 - the name that Stripe gives it
        str | None,
        QueryParameter(
            pattern=EVENT_TYPES, max_length=255, description="Of this type; `invoice.*`: every one that begins so."
        ),
    ] = None,
    object_id: Annotated[
        str | None,
        QueryParameter(
            pattern=OBJECT, max_length=MAXIMUM_CHARACTERS, description="Only about this object of Stripe's."
        ),
    ] = None,
) -> EventList:
    """Return a page of events, the last received first; `created[…]` is about when they were received."""
    return await inbox_administration.list(page=page, state=event_state, kind=type, object_id=object_id)


@get(
    f"{PATH}/{{event_id:str}}",
    operation_id="getEvent",
    access=ADMIN,
    summary="Read an event of the inbox",
    tags=["administration"],
    responses=problems(*READING, 404),
)
async def get_event(
    *,
    event_id: EventId,
    caller: NamedDependency[Caller],
    inbox_administration: NamedDependency[InboxAdministration],
    payload: Annotated[bool, QueryParameter(description="Also what Stripe sent; this is audited.")] = False,
) -> EventView:
    """Return an event with its state and what went wrong."""
    return await inbox_administration.show(event_id, payload=payload, actor=caller.actor)


@post(
    f"{PATH}/{{event_id:str}}/retry",
    operation_id="retryEvent",
    access=ADMIN.uncounted(CREATES_NOTHING),
    summary="Apply an event now",
    tags=["administration"],
    dto=JsonBody[RetryRequest],
    return_dto=None,
    status_code=200,
    responses={
        200: ResponseSpec(EventView, description="It waits to be applied", generate_examples=False),
        **problems(*ADMIN_WRITING, 404, 409),
    },
)
async def retry_event(
    *,
    event_id: EventId,
    data: Annotated[RetryRequest, Body(examples=[Example(summary="Nothing", value={})])] = _RETRY,
    caller: NamedDependency[Caller],
    operations: NamedDependency[Operations],
    inbox_administration: NamedDependency[InboxAdministration],
    inbox: NamedDependency[Inbox],
    idempotency_key: IdempotencyKeyHeader = None,  # noqa: ARG001 - documented here, read by `caller`
) -> Response[bytes]:
    """Let a dead, ignored or waiting event be applied now."""
    work = partial(inbox_administration.retry, event_id=event_id, actor=caller.actor)
    stored = await run_at_once(operations, RETRY, work, caller=caller, body=data)
    inbox.announce()
    return to_response(stored)


@post(
    f"{PATH}/{{event_id:str}}/discard",
    access=ADMIN.uncounted(CREATES_NOTHING),
    operation_id="discardEvent",
    summary="Give up a dead event",
    tags=["administration"],
    dto=JsonBody[DiscardRequest],
    return_dto=None,
    status_code=200,
    responses={
        200: ResponseSpec(EventView, description="It is discarded", generate_examples=False),
        **problems(*ADMIN_WRITING, 404, 409),
    },
)
async def discard_event(
    *,
    event_id: EventId,
    data: Annotated[DiscardRequest, Body(examples=[Example(summary="With why", value={"reason": "made by hand"})])],
    caller: NamedDependency[Caller],
    operations: NamedDependency[Operations],
    inbox_administration: NamedDependency[InboxAdministration],
    idempotency_key: IdempotencyKeyHeader = None,  # noqa: ARG001 - documented here, read by `caller`
) -> Response[bytes]:
    """Give up a dead event for good, with the reason; the alert stops, the payload stays until its retention.

    `restoreEvent` takes it back; `reconcile` with `full` reads the present object from Stripe.
    """
    work = partial(inbox_administration.discard, event_id=event_id, request=data, actor=caller.actor)
    return to_response(await run_at_once(operations, DISCARD, work, caller=caller, body=data))


@post(
    f"{PATH}/{{event_id:str}}/restore",
    access=ADMIN.uncounted(CREATES_NOTHING),
    operation_id="restoreEvent",
    summary="Take a discarded event back",
    tags=["administration"],
    dto=JsonBody[RestoreRequest],
    return_dto=None,
    status_code=200,
    responses={
        200: ResponseSpec(EventView, description="It is dead again", generate_examples=False),
        **problems(*ADMIN_WRITING, 404, 409),
    },
)
async def restore_event(
    *,
    event_id: EventId,
    data: Annotated[RestoreRequest, Body(examples=[Example(summary="Nothing", value={})])] = _RESTORE,
    caller: NamedDependency[Caller],
    operations: NamedDependency[Operations],
    inbox_administration: NamedDependency[InboxAdministration],
    idempotency_key: IdempotencyKeyHeader = None,  # noqa: ARG001 - documented here, read by `caller`
) -> Response[bytes]:
    """Make a discarded event dead again."""
    work = partial(inbox_administration.restore, event_id=event_id, actor=caller.actor)
    return to_response(await run_at_once(operations, RESTORE, work, caller=caller, body=data))


@post(
    f"{PATH}/replay",
    operation_id="replayEvents",
    access=ADMIN.uncounted(CREATES_NOTHING),
    summary="Apply settled events again",
    tags=["administration"],
    dto=JsonBody[ReplayRequest],
    return_dto=None,
    status_code=200,
    responses={
        200: ResponseSpec(ReplayResult, description="How many wait to be applied again", generate_examples=False),
        **problems(*ADMIN_WRITING),
    },
)
async def replay_events(
    *,
    data: Annotated[ReplayRequest, Body(examples=[Example(summary="The dead", value={"dead": True})])],
    caller: NamedDependency[Caller],
    operations: NamedDependency[Operations],
    inbox_administration: NamedDependency[InboxAdministration],
    inbox: NamedDependency[Inbox],
    idempotency_key: IdempotencyKeyHeader = None,  # noqa: ARG001 - documented here, read by `caller`
) -> Response[bytes]:
    """Apply settled events again: all since a moment, of a type, or the dead ones; what Stripe says now decides."""
    work = partial(inbox_administration.replay, request=data, actor=caller.actor)
    stored = await run_at_once(operations, REPLAY, work, caller=caller, body=data)
    inbox.announce()
    return to_response(stored)


HANDLERS: list[ControllerRouterHandler] = [
    list_events,
    get_event,
    retry_event,
    discard_event,
    restore_event,
    replay_events,
]
