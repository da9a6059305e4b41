"""Routes of the feed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from litestar import Request, Response, get
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import HeaderParameter, PathParameter, QueryParameter
from litestar.response import Stream

from payment_service.feed.filters import Filters
from payment_service.feed.readers import FeedReaders
from payment_service.feed.schemas import MAXIMUM_WAIT, FeedEvent, FeedPage
from payment_service.http.id_types import FEED_CURSOR, FEED_EVENT, FEED_TYPES, MAXIMUM_CHARACTERS, OBJECT
from payment_service.http.openapi import READING, problems
from payment_service.http.route_access import EVENTS
from payment_service.http.scope import noted

if TYPE_CHECKING:
    from litestar.types import ControllerRouterHandler

STREAM = "text/event-stream"
MAXIMUM_TYPES = 2_000
"""Characters of the types asked for."""


@get(
    "/api/v1/events",
    operation_id="listFeedEvents",
    access=EVENTS,
    summary="Read events, or wait for them",
    tags=["events"],
    responses={
        200: ResponseSpec(FeedPage, description="Events, oldest first", generate_examples=False),
        **problems(*READING, 410),
    },
)
async def list_events(
    *,
    request: Request[object, object, State],
    feed_readers: NamedDependency[FeedReaders],
    after: Annotated[
        str | None,
        QueryParameter(
            pattern=FEED_CURSOR,
            max_length=MAXIMUM_CHARACTERS,
            description="Go on behind this event: `next` of the answer before, or an id. `latest`: behind the newest. "
            "Without it: from the oldest that is kept.",
        ),
    ] = None,
    types: Annotated[
        str | None,
        QueryParameter(
            pattern=FEED_TYPES,
            max_length=MAXIMUM_TYPES,
            description="Only of these types, by commas; `invoice.*` is all about invoices.",
        ),
    ] = None,
    object_id: Annotated[
        str | None,
        QueryParameter(
            name="object",
            pattern=OBJECT,
            max_length=MAXIMUM_CHARACTERS,
            description="Only of this object, by our id or Stripe's.",
        ),
    ] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=100, description="How many to return at most.")] = 100,
    wait: Annotated[
        int,
        QueryParameter(ge=0, le=MAXIMUM_WAIT, description="Seconds to wait for an event if there is none yet."),
    ] = 0,
    last_event_id: Annotated[
        str | None,
        HeaderParameter(
            name="Last-Event-ID",
            required=False,
            pattern=FEED_EVENT,
            max_length=MAXIMUM_CHARACTERS,
            description="As `after`, which it overrides: a browser's EventSource sends it when it comes again.",
        ),
    ] = None,
) -> Response[FeedPage]:
    """Return events in the order of the feed, the oldest first; each reader sees the same ones in the same order.

    Read, handle what was read, then ask with `next` as `after`: none is missed and none comes twice. With
    `Accept: text/event-stream` the events come as Server-Sent Events for as long as the connection lasts. A place whose
    followers are no longer kept (`PAYMENTS_OUTBOX_RETENTION_DAYS`), or that a restored database does not know, is 410.
    """
    scope, cursor = noted(request.scope), last_event_id or after
    filters = Filters(types=tuple(types.split(",")) if types else (), object_id=object_id)
    streaming = STREAM in request.headers.get("accept", "")
    page = await feed_readers.page(
        after=cursor, filters=filters, limit=limit, wait=0 if streaming else wait, scope=scope
    )
    if not streaming:
        return Response(page)
    headers = {"x-accel-buffering": "no"}
    stream: Any = Stream(feed_readers.stream(page, filters=filters, scope=scope), media_type=STREAM, headers=headers)
    answer: Response[FeedPage] = stream
    return answer


@get(
    "/api/v1/events/{event_id:str}",
    operation_id="getFeedEvent",
    access=EVENTS,
    summary="Read an event",
    tags=["events"],
    responses=problems(*READING, 404),
)
async def get_event(
    event_id: Annotated[
        str, PathParameter(pattern=FEED_EVENT, max_length=MAXIMUM_CHARACTERS, description="The event's id (`evt_…`).")
    ],
    feed_readers: NamedDependency[FeedReaders],
) -> FeedEvent:
    """Return one event of the feed."""
    return await feed_readers.feed.get(event_id)


HANDLERS: list[ControllerRouterHandler] = [list_events, get_event]
