"""How often subscriptions may be created: looked at where a new operation would begin.

Replays and refusals by validation never get here, so they take nothing. Callers with an API key are servers that create
for many customers, so their requests count for the customer they name, within the key's principal: nobody can use up
what another caller may do for the same customer. One customer named in several ways (id, reference, address) has as
many counts. Requests without a key (development), and all with `PAYMENTS_CREATE_LIMIT_BY=address`, count for the
client's address.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from payment_service.mail_addresses import mail_key
from payment_service.payments.declines import Payer
from payment_service.ratelimit.limiter import Rule

if TYPE_CHECKING:
    from payment_service.config.settings import HttpSettings
    from payment_service.operations.requests import Caller
    from payment_service.payments.declines import Declines
    from payment_service.subscriptions.schemas import CreateSubscription


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

    async def admit(
        self, request: CreateSubscription, *, caller: Caller, customer: str | None, end_user: str | None
    ) -> None:
        """Let a new operation begin, and count it.

        Args:
            request: what is asked.
            caller: who asks.
            customer: our id of the customer, if the request names one by id.
            end_user: see `end_user`.

        Raises:
            TooManyRequests: the limit is reached, or too many payments before it were declined; nothing is counted.
        """
        payer = None
        if request.payment_method_id is not None:
            payer = Payer(caller.principal, request.payment_method_id, end_user)
        limit = self._settings.create_limit_per_minute
        rules: list[Rule] = []
        if limit and caller.limit:
            rules.append(Rule(caller.limit, self._subject(request, caller, customer), limit, exact=True))
        await self._declines.admit(payer, *rules)

    def _subject(self, request: CreateSubscription, caller: Caller, customer: str | None) -> str:
        if not caller.keyed or self._settings.create_limit_by == "address":
            return caller.address
        if customer is not None:
            named = f"id {customer}"
        elif request.customer_reference is not None:
            named = f"reference {request.customer_reference}"
        else:
            named = f"email {mail_key(request.email or '')}"
        return self._declines.fingerprint(caller.principal, named)
