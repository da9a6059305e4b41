"""What is learned of credentials between passes: whether Stripe takes a new API key, and whether changes still come."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from payment_operator.api.rotation import PendingKey
from payment_operator.backoff import Backoff
from payment_operator.clients.key_proof import Asks, prove, whose
from payment_operator.clients.scram import new_password
from payment_operator.decide.rotation.staged_credentials import in_use, keys_in_use, stage
from payment_operator.decide.status.report import read
from payment_operator.fingerprints import fingerprint
from payment_operator.model.key_proof import KeyCheck, account_of
from payment_operator.model.observed import Observed
from payment_operator.resources.credentials import API_KEY
from payment_operator.resources.release_record import moment

ASK_AGAIN: Final = timedelta(minutes=5)
SETTLE: Final = timedelta(seconds=3)
"""Tools write one Secret after another; what comes within this time becomes one version."""


@dataclass
class CredentialsWatch:
    """The memory of one environment; all of it can be lost, for the status holds the last verdict on a key."""

    stripe: Asks
    check: KeyCheck | None = None
    account: str = ""
    asked: datetime | None = None
    """When Stripe was asked for that account."""
    seen: str = ""
    since: datetime | None = None
    roles: Backoff = field(default_factory=Backoff)
    """Of work on the database's roles."""

    async def look(self, observed: Observed) -> Observed:
        """The observation with the credentials that may be released now."""
        if not observed.sources.usable:
            return observed
        observed = replace(
            observed,
            key_check=await self._checked(observed),
            account=await self._account_in_use(observed),
            settled=self._settled(observed),
            role_fault=self.roles.fault,
            fresh_password=new_password(),
        )
        return stage(observed)

    async def _account_in_use(self, observed: Observed) -> str:
        """The account of the key in use, asked for until Stripe tells it: a key that is dead tells nothing more."""
        key, known = in_use(observed).get(API_KEY, ""), observed.spec.stripe.account_id or _remembered(observed)
        if known or not key:
            return known
        if self.asked is None or observed.now - self.asked >= ASK_AGAIN:
            self.account, self.asked = account_of(await whose(self.stripe, key, observed.spec)), observed.now
        return self.account

    def _settled(self, observed: Observed) -> bool:
        if observed.sources.digest != self.seen or self.since is None:
            self.seen, self.since = observed.sources.digest, observed.now
        return observed.now - self.since >= SETTLE

    async def _checked(self, observed: Observed) -> KeyCheck | None:
        key = observed.sources.values[API_KEY]
        if key in keys_in_use(observed):
            return None
        mark = fingerprint(key, salt=observed.owner.uid)
        known = self._known(observed, mark)
        if known is not None and not known.stale(observed.now):
            return known
        found = await prove(
            self.stripe,
            key,
            spec=observed.spec,
            in_use=in_use(observed).get(API_KEY, ""),
            account=_remembered(observed),
            fingerprint=mark,
            now=observed.now,
        )
        # an outage takes back no verdict
        keep = found.state == "Unknown" and known is not None and known.state != "Unknown"
        self.check = replace(known, at=observed.now) if keep and known is not None else found
        return self.check

    def _known(self, observed: Observed, mark: str) -> KeyCheck | None:
        if self.check is not None and self.check.fingerprint == mark:
            return self.check
        rotation = read(observed.status).rotation
        pending = rotation.api_key.pending if rotation and rotation.api_key else None
        return _check_of(pending) if pending is not None and pending.fingerprint == mark else None


def _remembered(observed: Observed) -> str:
    """The account as the status remembers it."""
    rotation = read(observed.status).rotation
    return rotation.api_key.account if rotation and rotation.api_key else ""


def _check_of(pending: PendingKey) -> KeyCheck:
    at, account = moment(pending.checked_at), pending.account
    return KeyCheck(pending.fingerprint, pending.state, at, pending.reason, pending.message, account)
