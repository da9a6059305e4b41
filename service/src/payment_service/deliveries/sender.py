"""Sends one webhook and says what came of it.

Every way in which a receiver can misbehave ends in an `Answer` within `TIMEOUT_SECONDS`, and costs no more memory than
the head of an answer: of its body a little is read, so that the connection can serve again, and nothing is kept. Bodies
are not decompressed, redirects are not followed, cookies are not kept, and proxies and passwords that the process's
environment names (`HTTPS_PROXY`, `.netrc`) are not used: a proxy would look the name up once more.

A 2xx counts when its head is here: the receiver has said that it has the webhook, whatever it says further.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import aiohttp

from payment_service.deliveries.addresses import AddressRefused
from payment_service.deliveries.connections import CheckedResolver, connector, look_up
from payment_service.deliveries.headers import check_headers
from payment_service.deliveries.schedule import parse_retry_after
from payment_service.deliveries.signing import signed_headers
from payment_service.deliveries.urls import UnsafeUrl, parse_url

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping, Sequence

    from payment_service.deliveries.addresses import Rules
    from payment_service.deliveries.connections import LookUp

TIMEOUT_SECONDS: Final = 15.0
"""Of one attempt: look-up, connection, TLS, request and answer (Standard Webhooks suggests 15 s to 30 s)."""
REST_SECONDS: Final = 1.0
"""How much of that the rest of an answer may take after its head."""
REST_BYTES: Final = 16_384

Outcome = Literal["delivered", "gone", "retry"]
Reason = Literal[
    "ok", "status", "redirect", "timeout", "address_not_allowed", "name_not_found", "not_connected", "tls", "broken"
]
"""Closed, so that it may be a metric's label, and without any address: `status` is in the answer beside it; `broken` is
a connection that ended before the answer, or an answer that is not HTTP."""


class Answer(NamedTuple):
    """What came of one attempt."""

    outcome: Outcome
    """`delivered` (2xx), `gone` (410: the receiver wants no more), or `retry`."""
    reason: Reason
    status: int | None
    """HTTP's, if there was an answer."""
    retry_after: float | None
    """Seconds that the receiver asked to be left alone, bounded."""
    seconds: float
    """That the attempt took."""


class Sender:
    """Sends webhooks over connections of its own, which are opened with the first.

    Args:
        rules: what may be reached.
        version: of the service, for `User-Agent`.
        look_up: finds a name's addresses, in a thread; raises OSError if there are none.
        tls: with other authorities than the system's (`SSL_CERT_FILE` names those too).
        timeout_seconds: of one attempt.
    """

    def __init__(
        self,
        rules: Rules,
        *,
        version: str,
        look_up: LookUp = look_up,
        tls: ssl.SSLContext | bool = True,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        self._rules = rules
        self._version = version
        self._resolver = CheckedResolver(rules, look_up=look_up)
        self._tls = tls
        self._timeout_seconds = timeout_seconds
        self._session: aiohttp.ClientSession | None = None

    async def send(
        self,
        *,
        url: str,
        webhook_id: str,
        timestamp: int,
        body: bytes,
        secrets: Sequence[str],
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a body of JSON, signed, and return what came of it.

        Args:
            url: of the endpoint; checked again, for the rules may have changed.
            webhook_id: the event's id, the same in every attempt.
            timestamp: now, in seconds since the Unix epoch.
            body: is signed and sent as it is.
            secrets: `whsec_…`, the newest first.
            headers: that people added to the endpoint, see `check_headers`.

        Raises:
            BadSecret: a secret is none, or there is none.
            UnsafeHeader: a header may not be sent.
        """
        check_headers(headers or {})
        signed = signed_headers(webhook_id=webhook_id, timestamp=timestamp, body=body, secrets=secrets)
        started = time.monotonic()
        now = datetime.fromtimestamp(timestamp, UTC)
        outcome, reason, status, retry_after = await self._attempt(url, body, {**(headers or {}), **signed}, now=now)
        return Answer(outcome, reason, status, retry_after, time.monotonic() - started)

    async def close(self) -> None:
        """Close the connections, for good."""
        if self._session is not None:
            await self._session.close()
        await self._resolver.close()

    async def _attempt(self, text: str, body: bytes, headers: dict[str, str], *, now: datetime) -> _Result:
        deadline = asyncio.get_running_loop().time() + self._timeout_seconds
        try:
            url = parse_url(text, rules=self._rules)
            async with asyncio.timeout_at(deadline):
                response = await self._connected().post(url, data=body, headers=headers, allow_redirects=False)
        except Exception as error:  # every fault of a receiver is told, and ours are among what is raised again
            reason = _reason(error)
            if reason is None:
                raise
            return "retry", reason, None, None
        result = _judge(response, now=now)
        await _read_rest(response, deadline=deadline)
        return result

    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=connector(self._rules, resolver=self._resolver, tls=self._tls),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
                headers={
                    "Accept-Encoding": "identity",
                    "Content-Type": "application/json",
                    "User-Agent": f"lean-payments/{self._version}",
                },
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
                read_bufsize=REST_BYTES,
            )
            # tracing puts itself into every session: its spans would hold paths, and those of some receivers are secret
            self._session.trace_configs.clear()
        return self._session


_Result = tuple[Outcome, Reason, int | None, float | None]


def _judge(response: aiohttp.ClientResponse, *, now: datetime) -> _Result:
    """Say what the head of an answer means."""
    status = response.status
    if status // 100 == 2:  # noqa: PLR2004 - the class of success
        return "delivered", "ok", status, None
    if status == HTTPStatus.GONE:
        return "gone", "status", status, None
    retry_after = parse_retry_after(response.headers.get("Retry-After"), now=now)
    return "retry", "redirect" if status // 100 == 3 else "status", status, retry_after  # noqa: PLR2004 - redirection


async def _read_rest(response: aiohttp.ClientResponse, *, deadline: float) -> None:
    """Read what is left of an answer, so that the connection can serve again; one with much, or a slow one, ends."""
    soon = asyncio.get_running_loop().time() + REST_SECONDS
    left = REST_BYTES
    try:
        async with asyncio.timeout_at(min(soon, deadline)):
            while left > 0 and (chunk := await response.content.read(left)):
                left -= len(chunk)
    except (aiohttp.ClientError, OSError):  # TimeoutError among them
        pass
    finally:
        response.close()  # of one that was read whole the connection was given back already


_REASONS: Final[tuple[tuple[type[Exception] | tuple[type[Exception], ...], Reason], ...]] = (
    ((UnsafeUrl, AddressRefused), "address_not_allowed"),
    (aiohttp.ClientConnectorDNSError, "name_not_found"),
    (aiohttp.ClientSSLError, "tls"),
    (aiohttp.ClientConnectorError, "not_connected"),
    (TimeoutError, "timeout"),
    ((aiohttp.ClientError, OSError), "broken"),
)
"""By the first that fits."""


def _reason(error: Exception) -> Reason | None:
    """Say in a word what went wrong; None: it was nothing that a receiver can do."""
    return next((reason for kinds, reason in _REASONS if isinstance(error, kinds)), None)
