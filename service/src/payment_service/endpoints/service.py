"""What people and programs do with webhook endpoints; each change is audited with who made it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec
from msgspec import UNSET

from payment_service.deliveries.urls import UnsafeUrl, parse_url
from payment_service.endpoints import queue, store
from payment_service.endpoints.errors import TooManyEndpoints
from payment_service.endpoints.filters import check_types
from payment_service.endpoints.rows import current, to_view
from payment_service.endpoints.schemas import (
    DeletedWebhookEndpoint,
    WebhookEndpointList,
    WebhookEndpointView,
    WebhookEndpointWithSecret,
)
from payment_service.endpoints.testing import TEST, check_room
from payment_service.errors import Conflict, NotFound, Unprocessable
from payment_service.feed.store import last_sequence
from payment_service.http.paging import read_listed
from payment_service.storage import audit_log
from payment_service.storage.ids import new_id

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.clock import Clock
    from payment_service.deliveries.addresses import Rules
    from payment_service.endpoints.rows import EndpointRow
    from payment_service.endpoints.schemas import CreateWebhookEndpoint, RotateSecret, UpdateWebhookEndpoint
    from payment_service.endpoints.secrets import SigningKeys
    from payment_service.http.paging import Page
    from payment_service.operations.schemas import StoredResponse
    from payment_service.storage.database import Database

MAXIMUM_ENDPOINTS: Final = 200
"""Of both modes: each is looked at by itself whenever there are events."""
OBJECT: Final = "webhook_endpoint"
REFUSED: Final = 400
T = TypeVar("T")
_WORKING: Final = {"failing_since": None, "failures": 0}
"""Of an endpoint that is taken for working, until it is tried."""


class WebhookEndpoints:
    """The endpoints of one mode.

    Args:
        database: where they are.
        keys: what their secrets are derived from.
        rules: where webhooks may be sent to.
        clock: the time.
        livemode: Stripe's mode.
    """

    def __init__(self, database: Database, *, keys: SigningKeys, rules: Rules, clock: Clock, livemode: bool) -> None:
        self._database = database
        self._keys = keys
        self._rules = rules
        self._clock = clock
        self._livemode = livemode

    async def create(
        self, connection: AsyncConnection, asked: CreateWebhookEndpoint, *, actor: str
    ) -> WebhookEndpointWithSecret:
        """Make an endpoint; it gets the events that come from now on. `with_secret` adds its secret.

        Raises:
            Unprocessable: the address or a type is none.
            TooManyEndpoints: there are as many as there may be.
            SigningKeyMissing: the service has nothing to derive a secret from.
        """
        now, derivation = self._clock.now(), self._keys.new()
        check_types(asked.event_types)
        if await store.count(connection, now=now) >= MAXIMUM_ENDPOINTS:
            raise TooManyEndpoints(f"There are {MAXIMUM_ENDPOINTS} webhook endpoints; delete one first")
        values: dict[str, object] = {
            "id": new_id("lpw"),
            "url": self._checked(asked.url),
            "description": asked.description,
            "event_types": list(dict.fromkeys(asked.event_types)),
            "customer_metadata": asked.customer_metadata,
            "secret_salt": derivation.salt,
            "secret_value": derivation.value,
            "livemode": self._livemode,
            "reached": await last_sequence(connection),
            "resume_at": now,
            "created_at": now,
            "updated_at": now,
            **_enabling(enabled=asked.enabled, now=now),
        }
        await store.add(connection, values)
        made = await self._found(connection, str(values["id"]))
        await audit_log.record_verb(
            connection, OBJECT, made.id, "create", actor=actor, now=now, details={"event_types": made.event_types}
        )
        return _without_secret(made, now=now)

    async def get(self, endpoint_id: str) -> WebhookEndpointView:
        """Return an endpoint.

        Raises:
            NotFound: there is none with this id.
        """
        async with self._database.read() as connection:
            return to_view(await self._found(connection, endpoint_id), now=self._clock.now())

    async def list(self, *, page: Page) -> WebhookEndpointList:
        """Return a page of endpoints.

        Raises:
            UnknownCursor: the page is to begin at no endpoint.
        """

        async def read(connection: AsyncConnection) -> WebhookEndpointList:
            rows, more = await store.list_page(connection, livemode=self._livemode, page=page)
            now = self._clock.now()
            return WebhookEndpointList(data=[to_view(row, now=now) for row in rows], has_more=more)

        return await read_listed(self._database, read)

    async def update(
        self, connection: AsyncConnection, endpoint_id: str, asked: UpdateWebhookEndpoint, *, actor: str
    ) -> WebhookEndpointView:
        """Change an endpoint; one that is enabled goes on with the event at which it stopped.

        Raises:
            NotFound: there is none with this id.
            Unprocessable: the address or a type is none.
        """
        now, row = self._clock.now(), await self._found(connection, endpoint_id, lock=True)
        values: dict[str, object] = {}
        if asked.url is not UNSET:
            values |= {"url": self._checked(asked.url), "resume_at": now, **_WORKING}
        if asked.event_types is not UNSET:
            check_types(asked.event_types)
            values["event_types"] = list(dict.fromkeys(asked.event_types))
        for name in ("description", "customer_metadata"):
            if (value := getattr(asked, name)) is not UNSET:
                values[name] = value
        if asked.enabled is not UNSET and asked.enabled != row.enabled:
            values |= {**_enabling(enabled=asked.enabled, now=now), "resume_at": now, **_WORKING}
        if values:
            await store.prompt(connection, endpoint_id, values, now=now)
            changed = sorted(msgspec.to_builtins(asked))
            await audit_log.record_verb(
                connection, OBJECT, endpoint_id, "update", actor=actor, now=now, details={"changed": changed}
            )
        return to_view(await self._found(connection, endpoint_id), now=now)

    async def rotate_secret(
        self, connection: AsyncConnection, endpoint_id: str, asked: RotateSecret, *, actor: str
    ) -> WebhookEndpointWithSecret:
        """Give an endpoint a new secret; the former one signs too for the overlap. `with_secret` adds the new one.

        Raises:
            NotFound: there is no endpoint with this id.
            SigningKeyMissing: the service has nothing to derive a secret from.
        """
        now, derivation = self._clock.now(), self._keys.new()
        row = await self._found(connection, endpoint_id, lock=True)
        overlaps = asked.overlap_hours > 0
        values: dict[str, object] = {
            "secret_salt": derivation.salt,
            "secret_value": derivation.value,
            "former_salt": row.secret_salt if overlaps else None,
            "former_value": row.secret_value if overlaps else None,
            "former_until": now + timedelta(hours=asked.overlap_hours) if overlaps else None,
            "resume_at": now,  # it may have waited for a value of WEBHOOK_SIGNING_KEY
        }
        await store.prompt(connection, endpoint_id, values, now=now)
        details = {"overlap_hours": asked.overlap_hours}
        await audit_log.record_verb(
            connection, OBJECT, endpoint_id, "rotate_secret", actor=actor, now=now, details=details
        )
        return _without_secret(await self._found(connection, endpoint_id), now=now)

    async def delete(self, connection: AsyncConnection, endpoint_id: str, *, actor: str) -> DeletedWebhookEndpoint:
        """Remove an endpoint, and what waits for it.

        Raises:
            NotFound: there is none with this id.
        """
        now = self._clock.now()
        await self._found(connection, endpoint_id, lock=True)
        await store.remove(connection, endpoint_id)
        await audit_log.record_verb(connection, OBJECT, endpoint_id, "delete", actor=actor, now=now)
        return DeletedWebhookEndpoint(id=endpoint_id, deleted=True)

    async def test(self, connection: AsyncConnection, endpoint_id: str, *, actor: str) -> str:
        """Have a test event sent, once and soon, and return the id of its delivery.

        Raises:
            NotFound: there is no endpoint with this id.
            Conflict: it is disabled.
            TooManyTests: as many wait for it as may.
        """
        now, row = self._clock.now(), await self._found(connection, endpoint_id, lock=True)
        if not row.enabled:
            raise Conflict(f"The webhook endpoint {endpoint_id} is disabled; enable it first")
        await check_room(connection, endpoint_id)
        delivery_id = await queue.add_test(connection, endpoint_id, event_type=TEST, now=now)
        await store.prompt(connection, endpoint_id, {"due_at": now, "resume_at": now}, now=now)
        await audit_log.record_verb(
            connection, OBJECT, endpoint_id, "test", actor=actor, now=now, details={"delivery": delivery_id}
        )
        return delivery_id

    async def with_secret(self, stored: StoredResponse) -> StoredResponse:
        """Add the secret to an answer of `create` or `rotate_secret`: what is stored for its repetition holds none."""
        if stored.status >= REFUSED:
            return stored
        answer = msgspec.json.decode(stored.body, type=WebhookEndpointWithSecret)
        return replace(stored, body=msgspec.json.encode(await self.revealed(answer)))

    async def revealed(self, answer: T) -> T:
        """Add the secret to what `create` or `rotate_secret` returned, after the commit, if it is the present one."""
        if isinstance(answer, WebhookEndpointWithSecret):
            async with self._database.read() as connection:
                row = await store.find(connection, answer.id, livemode=self._livemode)
            if row is not None and current(row).fingerprint == answer.secret_fingerprint:
                answer.secret = self._keys.reveal(current(row))
        return answer

    def _checked(self, url: str) -> str:
        try:
            return str(parse_url(url, rules=self._rules))
        except UnsafeUrl as error:
            raise Unprocessable(f"url: {error}", errors=[{"field": "url", "message": str(error)}]) from error

    async def _found(self, connection: AsyncConnection, endpoint_id: str, *, lock: bool = False) -> EndpointRow:
        row = await store.find(connection, endpoint_id, livemode=self._livemode, lock=lock)
        if row is None:
            raise NotFound(f"There is no webhook endpoint {endpoint_id}")
        return row


def _enabling(*, enabled: bool, now: datetime) -> dict[str, object]:
    reason = None if enabled else "asked"
    return {"enabled": enabled, "disabled_reason": reason, "disabled_at": None if enabled else now}


def _without_secret(row: EndpointRow, *, now: datetime) -> WebhookEndpointWithSecret:
    view = to_view(row, now=now)
    return WebhookEndpointWithSecret(**msgspec.structs.asdict(view), secret=None)
