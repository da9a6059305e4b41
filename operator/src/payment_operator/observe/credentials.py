"""What is learned of credentials between passes: whether Stripe takes a new API key, and whether changes still come."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from payment_operator.api.rotation import PendingKey
from payment_operator.clients.key_proof import Asks, prove, whose
from payment_operator.decide.rotation.staged_credentials import in_use, keys_in_use
from payment_operator.decide.status.report import read
from payment_operator.fingerprints import fingerprint
from payment_operator.model.key_proof import KeyCheck, KeySight, account_of
from payment_operator.model.observed import ClusterState
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

    async def look(self, state: ClusterState) -> KeySight:
        """What is known of the API key in the source Secret; nothing while the Secrets cannot be read."""
        if not state.sources.usable:
            return KeySight()
        return KeySight(await self._checked(state), await self._account_in_use(state), settled=self._settled(state))

    async def _account_in_use(self, state: ClusterState) -> str:
        """The account of the key in use, asked for until Stripe tells it: a key that is dead tells nothing more."""
        key, known = in_use(state).get(API_KEY, ""), state.spec.stripe.account_id or _remembered(state)
        if known or not key:
            return known
        if self.asked is None or state.now - self.asked >= ASK_AGAIN:
            self.account, self.asked = account_of(await whose(self.stripe, key, state.spec)), state.now
        return self.account

    def _settled(self, state: ClusterState) -> bool:
        if state.sources.digest != self.seen or self.since is None:
            self.seen, self.since = state.sources.digest, state.now
        return state.now - self.since >= SETTLE

    async def _checked(self, state: ClusterState) -> KeyCheck | None:
        key = state.sources.values[API_KEY]
        if key in keys_in_use(state):
            return None
        mark = fingerprint(key, salt=state.owner.uid)
        known = self._known(state, mark)
        if known is not None and not known.stale(state.now):
            return known
        found = await prove(
            self.stripe,
            key,
            spec=state.spec,
            in_use=in_use(state).get(API_KEY, ""),
            account=_remembered(state),
            fingerprint=mark,
            now=state.now,
        )
        # an outage takes back no verdict
        keep = found.state == "Unknown" and known is not None and known.state != "Unknown"
        self.check = replace(known, at=state.now) if keep and known is not None else found
        return self.check

    def _known(self, state: ClusterState, mark: str) -> KeyCheck | None:
        if self.check is not None and self.check.fingerprint == mark:
            return self.check
        rotation = read(state.status).rotation
        pending = rotation.api_key.pending if rotation and rotation.api_key else None
        return _check_of(pending) if pending is not None and pending.fingerprint == mark else None


def _remembered(state: ClusterState) -> str:
    """The account as the status remembers it."""
    rotation = read(state.status).rotation
    return rotation.api_key.account if rotation and rotation.api_key else ""


def _check_of(pending: PendingKey) -> KeyCheck:
    at, account = moment(pending.checked_at), pending.account
    return KeyCheck(pending.fingerprint, pending.state, at, pending.reason, pending.message, account)
