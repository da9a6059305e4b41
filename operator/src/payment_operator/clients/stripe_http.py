"""Requests to Stripe's API over one session, each made once: who asks says what an answer means.

aiohttp, which Kopf brings, and not the `stripe` SDK: the image stays small, and every idempotency key is explicit.
"""

import re
from typing import Any, Final
from urllib.parse import quote

import aiohttp

from payment_operator.api.environment import Environment

STRIPE: Final = "https://api.stripe.com"
FAULTS: Final = (aiohttp.ClientError, TimeoutError, OSError, ValueError)
"""What `request` raises when no usable answer came."""
Form = list[tuple[str, str]]
_UNSAFE: Final = re.compile(r"\.{0,2}|.*[\u0000-\u001f\u007f-\u009f\ud800-\udfff].*", re.DOTALL)


def base_of(spec: Environment) -> str:
    """Where the environment's Stripe is."""
    return (spec.stripe.api_base or STRIPE).rstrip("/")


def address(base: str, *segments: str) -> str:
    """The address of an API call, each segment percent-encoded, so that an id cannot leave its place in the path.

    Raises:
        ValueError: a segment is empty, a dot segment, or holds a control character or half of a surrogate pair.
    """
    if any(_UNSAFE.fullmatch(segment) for segment in segments):
        raise ValueError("an id for Stripe is empty, a dot segment or holds a control character")
    return base + "/v1/" + "/".join(quote(segment, safe="") for segment in segments)


class StripeHttp:
    """The connections to Stripe."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    async def request(
        self,
        key: str,
        method: str,
        url: str,
        *,
        seconds: float,
        form: Form | None = None,
        query: Form | None = None,
        idempotency_key: str = "",
    ) -> tuple[int, Any]:
        """Send one request; return the status and the JSON.

        Raises:
            FAULTS: no answer within `seconds`, or none in JSON.
        """
        if self._session is None:
            self._session = aiohttp.ClientSession(trust_env=True)
        headers = {"Authorization": f"Bearer {key}"}
        if idempotency_key:
            headers["Idempotency-Key"] = idempotency_key
        async with self._session.request(
            method, url, headers=headers, data=form, params=query, timeout=aiohttp.ClientTimeout(total=seconds)
        ) as answer:
            return answer.status, await answer.json(content_type=None)
