"""Webhook endpoints at Stripe (docs.stripe.com/api/webhook_endpoints)."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final, NamedTuple, Protocol

from payment_operator.clients.protocols import Stripe
from payment_operator.clients.stripe_http import FAULTS, Form, address
from payment_operator.errors import OperatorError
from payment_operator.model.webhook import Endpoint

SECONDS: Final = 20.0
PAGE: Final = 100
MOST_PAGES: Final = 5
NOT_FOUND: Final = 404


class Account(NamedTuple):
    """Where and as whom Stripe is asked."""

    base: str
    key: str

    def __repr__(self) -> str:
        """Without the key."""
        return f"Account({self.base!r})"


class StripeFault(OperatorError):
    """Stripe did not answer (status 0) or said no."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Endpoints(Protocol):
    """What is asked of Stripe."""

    async def create(self, account: Account, *, key: str, form: Form) -> Endpoint:
        """Make an endpoint; a repetition with the same idempotency key makes none."""

    async def update(self, account: Account, endpoint: str, *, form: Form) -> bool:
        """Change an endpoint; tell whether it exists."""

    async def delete(self, account: Account, endpoint: str) -> None:
        """Delete an endpoint; one that does not exist is deleted already."""


class StripeEndpoints:
    """The real one."""

    def __init__(self, http: Stripe) -> None:
        self._http = http

    async def create(self, account: Account, *, key: str, form: Form) -> Endpoint:
        """Make an endpoint; a repetition with the same idempotency key makes none.

        Raises:
            StripeFault: nothing was made, or it is not known.
        """
        return _read(await self._call(account, "POST", "webhook_endpoints", form=form, key=key))

    async def update(self, account: Account, endpoint: str, *, form: Form) -> bool:
        """Change an endpoint; tell whether it exists. It says the same when it is done again, so it needs no key.

        Raises:
            StripeFault: it was not changed, or it is not known.
        """
        try:
            await self._call(account, "POST", "webhook_endpoints", endpoint, form=form)
        except StripeFault as fault:
            if fault.status == NOT_FOUND:
                return False
            raise
        return True

    async def delete(self, account: Account, endpoint: str) -> None:
        """Delete an endpoint; one that does not exist is deleted already. Stripe keeps no idempotency key of a DELETE.

        Raises:
            StripeFault: it was not deleted, or it is not known.
        """
        try:
            await self._call(account, "DELETE", "webhook_endpoints", endpoint)
        except StripeFault as fault:
            if fault.status != NOT_FOUND:
                raise

    async def all_of(self, account: Account, *, key: str, value: str) -> tuple[Endpoint, ...]:
        """The endpoints whose metadata hold this value.

        Raises:
            StripeFault: no answer.
        """
        page = await self._call(account, "GET", "webhook_endpoints", query=[("limit", str(PAGE))])
        found = [_read(item) for item in page["data"]]
        return tuple(item for item in found if item.metadata.get(key) == value)

    async def undelivered(
        self, account: Account, *, since: datetime, until: datetime, types: Iterable[str]
    ) -> tuple[str, ...]:
        """Ids of events from that time that Stripe has not delivered to every endpoint, oldest last.

        Raises:
            StripeFault: no answer, or more events than are read.
        """
        wanted, found, after = frozenset(types), [], ""
        for _ in range(MOST_PAGES):
            query = [
                ("delivery_success", "false"),
                ("created[gte]", str(int(since.timestamp()))),
                ("created[lte]", str(int(until.timestamp()))),
                ("limit", str(PAGE)),
            ]
            page = await self._call(account, "GET", "events", query=[*query, *after_item(after)])
            found += [item["id"] for item in page["data"] if "*" in wanted or item["type"] in wanted]
            if not page.get("has_more"):
                break
            after = page["data"][-1]["id"]
        else:
            raise StripeFault(0, f"more than {MOST_PAGES * PAGE} undelivered events")
        return tuple(found)

    async def _call(
        self,
        account: Account,
        method: str,
        *segments: str,
        form: Form | None = None,
        query: Form | None = None,
        key: str = "",
    ) -> dict[str, Any]:
        try:
            url = address(account.base, *segments)
        except ValueError as error:
            raise StripeFault(0, str(error)) from error
        try:
            status, body = await self._http.request(
                account.key, method, url, seconds=SECONDS, form=form, query=query, idempotency_key=key
            )
        except FAULTS as error:
            raise StripeFault(0, f"Stripe does not answer: {type(error).__name__}") from error
        if status >= 300:  # noqa: PLR2004 - HTTP
            refusal = (body if isinstance(body, dict) else {}).get("error") or {}
            raise StripeFault(status, f"Stripe: {status} {refusal.get('message', '')}".strip())
        return dict(body)


def after_item(cursor: str) -> Form:
    """The cursor of a later page."""
    return [("starting_after", cursor)] if cursor else []


def _read(item: dict[str, Any]) -> Endpoint:
    return Endpoint(
        id=item["id"],
        url=item.get("url", ""),
        enabled=item.get("status") == "enabled",
        events=tuple(item.get("enabled_events") or ()),
        metadata=dict(item.get("metadata") or {}),
        created=int(item.get("created") or 0),
        secret=item.get("secret") or "",
    )
