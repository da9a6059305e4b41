"""Asks Stripe one question with one key."""

from typing import Any, Final

import aiohttp

from payment_operator.key_check import Answer

TIMEOUT: Final = aiohttp.ClientTimeout(total=10)
_FAULTS: Final = (aiohttp.ClientError, TimeoutError, OSError, ValueError)


class StripeProbe:
    """Requests that change nothing."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    async def ask(self, key: str, method: str, url: str) -> Answer:
        """Send one request; what goes wrong is an answer of status 0."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=TIMEOUT, trust_env=True)
        headers = {"Authorization": f"Bearer {key}"}
        try:
            async with self._session.request(method, url, headers=headers) as answer:
                return read_answer(answer.status, await answer.json(content_type=None))
        except _FAULTS:
            return Answer(0)


def read_answer(status: int, body: Any) -> Answer:
    """What matters of an answer of Stripe's."""
    body = body if isinstance(body, dict) else {}
    error = body.get("error") or {}
    return Answer(
        status=status,
        account=str(body.get("id", "")) if body.get("object") == "account" else "",
        livemode=body.get("livemode"),
        code=str(error.get("code", "")),
        message=str(error.get("message", "")),
    )
