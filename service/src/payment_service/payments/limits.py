"""How often things may be begun at Stripe: looked at where a new operation would begin.

Replays and refusals by validation never get here, so they take nothing. Callers with an API key are servers that create
for many customers, so their requests count for the customer they name, within the key's principal: nobody can use up
what another caller may do for the same customer. One customer named in several ways (id, reference, address) has as
many counts. Requests without a key (development), and all with `PAYMENTS_CREATE_LIMIT_BY=address`, count for the
client's address. Each route counts for itself, under the name that it declares (`http/route_access.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from payment_service.mail_addresses import mail_key
from payment_service.ratelimit.limiter import Rule

if TYPE_CHECKING:
    from payment_service.config.settings import HttpSettings
    from payment_service.operations.requests import Caller
    from payment_service.payments.declines import Declines, Payer


class CreationLimits:
    """The limits of new operations."""

    def __init__(self, declines: Declines, settings: HttpSettings) -> None:
        self._declines = declines
        self._settings = settings

    def end_user(self, caller: Caller) -> str | None:
        """Return the fingerprint of the end user's address, if the caller passed one on.

        Raises:
            BadRequest: what it passed on is no address.
        """
        address = caller.end_user_address()
        return None if address is None else self._declines.fingerprint(caller.principal, address)

    async def admit(self, caller: Caller, *, named: str, payer: Payer | None) -> None:
        """Let a new operation begin, and count it.

        Args:
            caller: who asks.
            named: the customer that it is for, see `naming`.
            payer: who will try a card; None: nobody whose declines are looked at.

        Raises:
            TooManyRequests: the limit is reached, or too many payments before it were declined; nothing is counted.
        """
        limit = self._settings.create_limit_per_minute
        rules: list[Rule] = []
        if limit and caller.limit:
            rules.append(Rule(caller.limit, self._subject(caller, named), limit, exact=True))
        await self._declines.admit(payer, *rules)

    def _subject(self, caller: Caller, named: str) -> str:
        if not caller.keyed or self._settings.create_limit_by == "address":
            return caller.address
        return self._declines.fingerprint(caller.principal, named)


def naming(*, customer_id: str | None, reference: str | None = None, email: str | None = None) -> str:
    """Return what a customer counts under: our id where it is known, else as the request names it. Pure."""
    if customer_id is not None:
        return f"id {customer_id}"
    if reference is not None:
        return f"reference {reference}"
    return f"email {mail_key(email or '')}"
