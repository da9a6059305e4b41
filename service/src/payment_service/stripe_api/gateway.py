"""The only module that talks to Stripe, through the official SDK's async client.

The SDK signs, encodes and pins the API version. Responses are taken as plain dictionaries (`raw_request_async`), the
same shape that webhooks carry, because building the SDK's object tree costs more CPU than the rest of a request. Time
limits, the connection pool and retries are ours: the SDK's default time limit is 80 s.

A call that was not answered, or answered 5xx, has an unknown outcome: `StripeUnavailable` and `StripeTimeout` say so,
and the caller resumes later with the same idempotency key (docs.stripe.com/error-low-level).
"""

from __future__ import annotations

import asyncio
import random
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, NamedTuple

import aiohttp
import stripe

from payment_service.errors import (
    PaymentsError,
    StripeKeySpent,
    StripeMisconfigured,
    StripeTimeout,
    StripeUnavailable,
)
from payment_service.observability.metrics import STRIPE_REQUESTS, STRIPE_SECONDS
from payment_service.storage.database import in_transaction
from payment_service.stripe_api.objects import member
from payment_service.stripe_api.paths import UnsafeSegment, stripe_path

if TYPE_CHECKING:
    from collections.abc import Mapping

    from payment_service.config.settings import StripeSettings
    from payment_service.json_types import JsonObject

API_VERSION: Final = "2026-10-28.endive"
"""The API version that the SDK pins; a test holds the two together."""
RETRY_BASE_SECONDS: Final = 0.25
RETRY_CAP_SECONDS: Final = 4.0
RETRY_AFTER_SECONDS: Final = 5.0
OTHER_PARAMETERS, IN_USE = 400, 409
"""HTTP statuses of an idempotency error (docs.stripe.com/api/idempotent_requests)."""
SUBSCRIPTION_EXPAND: Final = ("latest_invoice.confirmation_secret", "pending_setup_intent")


class Answer(NamedTuple):
    """What Stripe answered to a call."""

    object: JsonObject
    replayed: bool
    """The call had been made before under its key: this is the object as it was then."""


_MAY_PASS: Final = frozenset({"resource_missing", "livemode_mismatch"})


class StripeRejected(PaymentsError):
    """Stripe refused the request: it named a parameter or an object that is not there (HTTP 400 or 404)."""

    status, code, title = 422, "stripe_rejected", "Stripe refused the request"

    def __init__(self, detail: str, *, param: str | None, stripe_code: str | None, http_status: int) -> None:
        super().__init__(detail, param=param, stripe_code=stripe_code)
        self.param = param
        self.stripe_code = stripe_code
        self.http_status = http_status

    @property
    def not_found(self) -> bool:
        """Whether Stripe has no such object (HTTP 404)."""
        return self.http_status == HTTPStatus.NOT_FOUND

    def refuses(self, *params: str) -> bool:
        """Whether Stripe says that one of these parameters can never be right: asked again, it says the same.

        A 400 without a parameter may be about our version or account; what is missing may come to be, and what is of
        the other mode is found with the right key (docs.stripe.com/error-codes).
        """
        proof = self.http_status == HTTPStatus.BAD_REQUEST and self.stripe_code not in _MAY_PASS
        return proof and self.param in params


class StripeDeclined(PaymentsError):
    """A card was declined (HTTP 402)."""

    status, code, title = 402, "payment_declined", "The payment was declined"

    def __init__(
        self,
        detail: str,
        *,
        stripe_code: str | None,
        decline_code: str | None,
        payment_method: JsonObject | None = None,
    ) -> None:
        super().__init__(detail, stripe_code=stripe_code, decline_code=decline_code)
        self.payment_method = payment_method
        """What was declined, where Stripe says so; never told on."""
        self.stripe_code = stripe_code
        self.decline_code = decline_code


class StripeGateway:
    """Calls to one Stripe account."""

    def __init__(self, settings: StripeSettings) -> None:
        self._settings = settings
        self._session: aiohttp.ClientSession | None = None
        self._client: stripe.StripeClient | None = None

    async def request(
        self,
        operation: str,
        method: str,
        *segments: str,
        params: Mapping[str, object] | None = None,
        idempotency_key: str | None = None,
    ) -> JsonObject:
        """Call Stripe and return the object of its answer: see `call`."""
        answer = await self.call(operation, method, *segments, params=params, idempotency_key=idempotency_key)
        return answer.object

    async def call(
        self,
        operation: str,
        method: str,
        *segments: str,
        params: Mapping[str, object] | None = None,
        idempotency_key: str | None = None,
    ) -> Answer:
        """Call Stripe, trying again after passing faults with the same key until the time limit.

        Args:
            operation: the name under which the call is counted.
            method: `get`, `post` or `delete`.
            segments: of the path behind the version, for example `customers` and an id; each is percent-encoded.
            params: parameters; None values are dropped.
            idempotency_key: required for every call that changes something.

        Raises:
            StripeRejected: 400 or 404, or no object can have this id; nothing was done.
            StripeDeclined: 402; the card was declined.
            StripeMisconfigured: 401 or 403; the key is wrong or lacks a permission.
            StripeUnavailable: 409, 429 or 5xx, or no connection: the outcome is unknown.
            StripeKeySpent: the same, and trying again with this key cannot help.
            StripeTimeout: no answer in time: the outcome is unknown.
            RuntimeError: within a transaction, whose locks would be held for as long as Stripe takes.
        """
        if in_transaction():
            raise RuntimeError(f"{operation}: a call to Stripe inside a database transaction")
        try:
            path = stripe_path(*segments)
        except UnsafeSegment as error:
            raise StripeRejected(
                f"This names no object: {error}", param=None, stripe_code=None, http_status=400
            ) from error
        given = {name: value for name, value in (params or {}).items() if value is not None}
        started = time.perf_counter()
        outcome = "error"
        try:
            async with asyncio.timeout(self._settings.timeout_seconds):
                result = await self._attempts(method, path, given, idempotency_key)
        except TimeoutError as error:
            outcome = "timeout"
            raise StripeTimeout(retry_after=RETRY_AFTER_SECONDS) from error
        except PaymentsError as error:
            outcome = error.code
            raise
        else:
            outcome = "ok"
            return result
        finally:
            STRIPE_REQUESTS.labels(operation, outcome).inc()
            STRIPE_SECONDS.labels(operation).observe(time.perf_counter() - started)

    async def _attempts(self, method: str, path: str, params: dict[str, object], key: str | None) -> Answer:
        for attempt in range(self._settings.max_retries + 1):
            try:
                return await self._once(method, path, params, key)
            except StripeKeySpent:
                raise
            except StripeUnavailable:
                if attempt == self._settings.max_retries:
                    raise
                cap = min(RETRY_CAP_SECONDS, RETRY_BASE_SECONDS * 2**attempt)
                await asyncio.sleep(random.uniform(0, cap))  # noqa: S311 - jitter
        raise AssertionError

    async def _once(self, method: str, path: str, params: dict[str, object], key: str | None) -> Answer:
        options = {"api_key": self._settings.secret_key.reveal(), "max_network_retries": 0}
        if key is not None:
            options["idempotency_key"] = key
        try:
            response = await self._connected().raw_request_async(method, path, **options, **params)
        except stripe.StripeError as error:
            raise _translate(error) from error
        if not isinstance(response.data, dict):
            raise StripeUnavailable("Stripe answered no object", retry_after=RETRY_AFTER_SECONDS)
        return Answer(response.data, _is_replay(response.headers))

    def _connected(self) -> stripe.StripeClient:
        if self._client is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._settings.max_connections, ttl_dns_cache=60),
                timeout=aiohttp.ClientTimeout(total=None),  # `request` has the one: of two, one swallows the other's
            )
            self._client = stripe.StripeClient(
                self._settings.secret_key.reveal(),
                base_addresses={"api": self._settings.api_base},
                http_client=stripe.AIOHTTPClient(session=self._session, timeout=None),
                max_network_retries=0,
            )
        return self._client

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
        self._session = self._client = None


def _is_replay(headers: Mapping[str, str]) -> bool:
    """Tell whether Stripe repeats a saved answer (docs.stripe.com/api/idempotent_requests)."""
    return headers.get("idempotent-replayed") == "true"


def _translate(error: stripe.StripeError) -> PaymentsError:
    """Map the SDK's errors to ours; what Stripe says for people is passed on, keys and bodies are not."""
    message = error.user_message or "Stripe gave no reason"
    if isinstance(error, stripe.CardError):
        body = member(error.json_body if isinstance(error.json_body, dict) else {}, "error")
        decline = body.get("decline_code")
        return StripeDeclined(
            message,
            stripe_code=error.code,
            decline_code=decline if isinstance(decline, str) else None,
            payment_method=member(body, "payment_method") or None,
        )
    if isinstance(error, stripe.AuthenticationError | stripe.PermissionError):
        return StripeMisconfigured("Stripe refuses the configured API key, or it lacks a permission")
    status = error.http_status or 0
    if isinstance(error, stripe.IdempotencyError) and status == OTHER_PARAMETERS:
        return StripeKeySpent("Stripe has another request under this operation's key", retry_after=RETRY_AFTER_SECONDS)
    if isinstance(error, stripe.InvalidRequestError | stripe.IdempotencyError) and status < IN_USE:
        param = getattr(error, "param", None)
        return StripeRejected(message, param=param, stripe_code=error.code, http_status=error.http_status or 400)
    kind = StripeKeySpent if _is_replay(error.headers or {}) else StripeUnavailable
    return kind(retry_after=RETRY_AFTER_SECONDS)
