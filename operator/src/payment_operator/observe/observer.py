"""One observation of one environment: the cluster first, then of pods and Stripe what that makes worth asking."""

from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Self

from payment_operator.backoff import Backoff
from payment_operator.clients.protocols import Clients, Kubernetes
from payment_operator.clients.scram import new_password
from payment_operator.clients.stripe_endpoints import StripeEndpoints
from payment_operator.clients.stripe_probe import StripeProbe
from payment_operator.decide.placement import assign
from payment_operator.decide.rotation.staged_credentials import stage
from payment_operator.model.observed import ClusterState, Observed, PodSight, Setbacks
from payment_operator.observe.cluster_state import read_state
from payment_operator.observe.credentials import CredentialsWatch
from payment_operator.observe.pods import PodWatch
from payment_operator.observe.secret_keys import SecretKeyWatch
from payment_operator.observe.webhooks import WebhookWatch
from payment_operator.resources.metadata import Manifest


@dataclass
class Observer:
    """Whom to ask about one environment, and what they have told before; all of the latter can be lost."""

    cluster: Kubernetes
    credentials: CredentialsWatch
    pods: PodWatch
    webhooks: WebhookWatch
    secret_keys: SecretKeyWatch
    roles: Backoff = field(default_factory=Backoff)
    """Of work on the database's roles."""
    secrets: tuple[str, ...] = ()
    """Of the last observation: no words may hold them."""

    @classmethod
    def of(cls, clients: Clients) -> Self:
        """One that remembers nothing."""
        return cls(
            clients.kubernetes,
            CredentialsWatch(StripeProbe(clients.stripe)),
            PodWatch(clients.pods),
            WebhookWatch(clients.pods, StripeEndpoints(clients.stripe)),
            SecretKeyWatch(clients.pods),
        )

    async def observe(
        self,
        environment: Manifest,
        *,
        now: datetime,
        setbacks: Setbacks,
        policy: str = "",
        unsafe_pods: bool = False,
    ) -> Observed:
        """Read all that a decision may depend on; `setbacks` are of the pass before.

        Raises:
            SpecInvalid: its spec cannot be read.
            ApiError, Unreachable: the API server does not answer as it should.
        """
        state = await read_state(self.cluster, environment, now=now, policy=policy, unsafe_pods=unsafe_pods)
        self.secrets = state.sources.secrets
        api_key = await self.credentials.look(state)
        staged = stage(state, api_key)
        self.secrets = (*self.secrets, *staged.secrets)
        return Observed(
            **_fields(state),
            **_fields(setbacks),
            **_fields(await self.pods.look(state, assign(state, staged))),
            webhook=await self.webhooks.look(state, staged),
            secret_keys=await self.secret_keys.look(state, staged),
            api_key=api_key,
            role_fault=self.roles.fault if state.sources.usable else None,
            fresh_password=new_password(),
        )

    async def observe_cluster(self, environment: Manifest, *, now: datetime) -> Observed:
        """Read what the API server has, and ask nobody else: enough to make again what serves."""
        state = await read_state(self.cluster, environment, now=now, unsafe_pods=True)
        self.secrets = state.sources.secrets
        return Observed(**_fields(state))


def _fields(part: ClusterState | Setbacks | PodSight) -> dict[str, Any]:
    return {entry.name: getattr(part, entry.name) for entry in fields(part)}
