"""What is learned of credentials between passes: whether Stripe takes a new API key, and whether changes still come."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from payment_operator.api.rotation import ApiKeyStatus
from payment_operator.clients.key_proof import Sender, prove, whose
from payment_operator.decide.rotation.staged_credentials import Keys, keys_of
from payment_operator.decide.status.report import read
from payment_operator.fingerprints import fingerprint
from payment_operator.model.key_proof import KeyCheck, KeySight, account_of
from payment_operator.model.observed import ClusterState
from payment_operator.resources.release_record import moment

ASK_AGAIN: Final = timedelta(minutes=5)
SETTLE: Final = timedelta(seconds=3)
"""Tools write one Secret after another; what comes within this time becomes one version."""


@dataclass
class CredentialsWatch:
    """The memory of one environment; all of it can be lost, for the status holds the last verdict on a key."""

    stripe: Sender
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
        settled, rotation, keys = self._settled(state), read(state.status).rotation, keys_of(state)
        told = rotation.api_key if rotation else None
        check = await self._checked(state, keys, told)
        return KeySight(check, await self._account_in_use(state, keys, told), settled)

    async def _checked(self, state: ClusterState, keys: Keys, told: ApiKeyStatus | None) -> KeyCheck | None:
        if keys.source_is_used:
            return None
        key_fingerprint = fingerprint(keys.source, salt=state.owner.uid)
        known = (
            self.check
            if self.check is not None and self.check.fingerprint == key_fingerprint
            else _verdict(told, key_fingerprint)
        )
        if known is not None and not known.stale(state.now):
            return known
        found = await prove(
            self.stripe,
            keys.source,
            spec=state.spec,
            in_use=keys.in_use,
            account=told.account if told else "",
            fingerprint=key_fingerprint,
            now=state.now,
        )
        # an outage takes back no verdict
        keep = found.state == "Unknown" and known is not None and known.state != "Unknown"
        self.check = replace(known, at=state.now) if keep and known is not None else found
        return self.check

    async def _account_in_use(self, state: ClusterState, keys: Keys, told: ApiKeyStatus | None) -> str:
        """The account of the key in use, asked for until Stripe tells it: a key that is dead tells nothing more."""
        known = state.spec.stripe.account_id or (told.account if told else "")
        if known or not keys.in_use:
            return known
        if self.asked is None or state.now - self.asked >= ASK_AGAIN:
            self.account, self.asked = account_of(await whose(self.stripe, keys.in_use, state.spec)), state.now
        return self.account

    def _settled(self, state: ClusterState) -> bool:
        if state.sources.digest != self.seen or self.since is None:
            self.seen, self.since = state.sources.digest, state.now
        return state.now - self.since >= SETTLE


def _verdict(told: ApiKeyStatus | None, key_fingerprint: str) -> KeyCheck | None:
    """The last verdict on a key, as the status remembers it."""
    pending = told.pending if told else None
    if pending is None or pending.fingerprint != key_fingerprint:
        return None
    at, account = moment(pending.checked_at), pending.account
    return KeyCheck(pending.fingerprint, pending.state, at, pending.reason, pending.message, account)
