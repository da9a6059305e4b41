"""Asks Stripe one question with one key."""

from typing import Any, Final

from payment_operator.clients.protocols import Stripe
from payment_operator.clients.stripe_http import FAULTS
from payment_operator.model.key_proof import Answer

SECONDS: Final = 10.0


class StripeProbe:
    """Requests that change nothing."""

    def __init__(self, http: Stripe) -> None:
        self._http = http

    async def send(self, key: str, method: str, url: str) -> Answer:
        """Send one request; what goes wrong is an answer of status 0."""
        try:
            status, body = await self._http.request(key, method, url, seconds=SECONDS)
        except FAULTS:
            return Answer(0)
        return read_answer(status, body)


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
