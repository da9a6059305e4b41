"""What the rotation of `SECRET_KEY` must know of pods, asked as often as it matters."""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from payment_operator.clients.protocols import PodAdmin
from payment_operator.decide.rotation import secret_keys
from payment_operator.model.observed import ClusterState
from payment_operator.model.secret_keys import SecretKeySight, read_report
from payment_operator.observe.pods import token
from payment_operator.resources.credentials import StagedCredentials

IDLE: Final = timedelta(seconds=60)


@dataclass
class SecretKeyWatch:
    """The memory of one environment; all of it can be lost."""

    admin: PodAdmin
    sight: SecretKeySight = field(default_factory=SecretKeySight)
    at: datetime | None = None

    async def look(self, observed: ClusterState, staged: StagedCredentials) -> SecretKeySight:
        """What API pods say; asked in every pass while a decision may rest on it."""
        if not staged.usable or not secret_keys.live(observed):
            return SecretKeySight()
        if secret_keys.busy(observed) or self.at is None or observed.now - self.at >= IDLE:
            self.sight, self.at = await self._look(observed), observed.now
        return self.sight

    async def _look(self, observed: ClusterState) -> SecretKeySight:
        pods = secret_keys.reporting(observed)
        found = await asyncio.gather(*(self.admin.status(pod, token=token(observed, pod.revision)) for pod in pods))
        return SecretKeySight({pod.uid: read_report(answer) for pod, answer in zip(pods, found, strict=True)})
