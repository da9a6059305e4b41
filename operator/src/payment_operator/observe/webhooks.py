"""What a webhook rotation must know of pods and of Stripe, asked as often as it matters."""

import asyncio
import logging
import secrets
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

from payment_operator.backoff import Backoff
from payment_operator.clients.protocols import PodAdmin
from payment_operator.clients.stripe_endpoints import Account, StripeEndpoints, StripeFault
from payment_operator.clients.stripe_http import base_of
from payment_operator.decide.rotation.webhook import endpoints as webhook_endpoints
from payment_operator.decide.rotation.webhook import state
from payment_operator.logs import environment_of
from payment_operator.model.observed import ClusterState
from payment_operator.model.webhook import PodReport, WebhookSight
from payment_operator.observe.pods import token
from payment_operator.resources.credentials import API_KEY, StagedCredentials
from payment_operator.resources.release_record import moment

IDLE: Final = timedelta(seconds=60)
RETRIES: Final = timedelta(days=3)
"""For so long Stripe tries to deliver an event (docs.stripe.com/webhooks#retries)."""
MARGIN: Final = timedelta(seconds=60)
"""Between the clocks of Stripe and of this machine."""
log = logging.getLogger("payment_operator.observe.webhooks")


@dataclass
class WebhookWatch:
    """The memory of one environment; all of it can be lost."""

    admin: PodAdmin
    stripe: StripeEndpoints
    sight: WebhookSight = field(default_factory=WebhookSight)
    at: datetime | None = None
    calls: Backoff = field(default_factory=Backoff)
    """Of changes at Stripe."""
    lists: Backoff = field(default_factory=Backoff)
    """Of the lists of its endpoints."""

    async def look(self, observed: ClusterState, staged: StagedCredentials) -> WebhookSight:
        """What is seen of the endpoints."""
        record = observed.webhook_record
        busy = state.busy(record)
        needed = staged.usable and (busy or state.managed(observed))
        waits = self.at is not None and observed.now - self.at < IDLE and self.lists.fault is None
        if needed and (busy or not waits):
            self.sight, self.at = await self._look(observed, account_of(observed, staged)), observed.now
        elif not needed:
            self.sight = WebhookSight()
        return replace(self.sight, fault=self.calls.fault, fresh=secrets.token_hex(16))

    async def _look(self, observed: ClusterState, account: Account) -> WebhookSight:
        reports = await self._reports(observed)
        if (fault := self.lists.fault) is not None and observed.now < fault.again_at:
            return WebhookSight(reports, unlisted=fault)
        record = observed.webhook_record
        try:
            endpoints = await self.stripe.all_of(account, key=webhook_endpoints.ENVIRONMENT, value=observed.owner.uid)
        except StripeFault as error:
            log.warning("no list of the webhook endpoints: %s", error, extra=environment_of(observed.owner))
            self.lists.failed(str(error), now=observed.now)
            return WebhookSight(reports, unlisted=self.lists.fault)
        self.lists.done()
        if not state.ends(observed, record):
            return WebhookSight(reports, endpoints)
        try:
            return WebhookSight(reports, endpoints, await self._undelivered(observed, account))
        except StripeFault as error:  # no fault of the calls: the overlap ends without this list at the latest
            return WebhookSight(reports, endpoints, unread=str(error))

    async def _undelivered(self, observed: ClusterState, account: Account) -> tuple[str, ...]:
        webhook, enabled = observed.spec.stripe.webhook, moment(observed.webhook_record.enabled_at)
        margin = min(MARGIN, timedelta(seconds=webhook.rotation.overlap_seconds))
        return await self.stripe.undelivered(
            account, since=enabled - RETRIES, until=enabled + margin, types=webhook.wanted_events
        )

    async def _reports(self, observed: ClusterState) -> dict[str, PodReport | None]:
        pods = state.reporting(observed)
        found = await asyncio.gather(*(self.admin.status(pod, token=token(observed, pod.revision)) for pod in pods))
        return {pod.uid: read_report(answer) for pod, answer in zip(pods, found, strict=True)}

    def done(self) -> None:
        """Forget the faults of changes, and look anew in the next pass."""
        self.calls.done()
        self.at = None


def account_of(observed: ClusterState, staged: StagedCredentials) -> Account:
    """Stripe, with the key that is in use."""
    return Account(base_of(observed.spec), staged.values[API_KEY])


def read_report(answer: dict[str, Any]) -> PodReport | None:
    """What a pod's /status says of webhooks (docs/contracts.md, "Admin port")."""
    if not answer:
        return None
    try:
        return PodReport(
            frozenset((answer.get("secrets") or {}).get("stripe_webhook_secret") or ()),
            frozenset(verified for verified, count in (answer.get("webhooks_verified") or {}).items() if count),
            str((answer.get("build") or {}).get("stripe_api_version", "")),
        )
    except (AttributeError, TypeError, ValueError):  # of another form than the contract's
        return None
