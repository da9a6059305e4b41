"""What is seen of the webhook endpoints: at Stripe, and on the pods' admin ports."""

from dataclasses import dataclass, field

from payment_operator.backoff import Fault


@dataclass(frozen=True)
class Endpoint:
    """A webhook endpoint at Stripe (docs.stripe.com/api/webhook_endpoints/object)."""

    id: str
    url: str = ""
    enabled: bool = True
    events: tuple[str, ...] = ()
    metadata: dict[str, str] = field(default_factory=dict)
    created: int = 0
    """Unix time."""
    secret: str = field(default="", repr=False)
    """In the answer to its creation only."""


@dataclass(frozen=True)
class PodReport:
    """What a pod says on its admin port."""

    secrets: frozenset[str] = frozenset()
    """Fingerprints of the signing secrets that it accepts."""
    verified: frozenset[str] = frozenset()
    """Fingerprints under which it has verified events."""
    api_version: str = ""


@dataclass(frozen=True)
class WebhookSight:
    """What one pass has seen; None stands for what was not asked or not answered."""

    reports: dict[str, PodReport | None] | None = None
    """By uid of each running pod of API and worker."""
    endpoints: tuple[Endpoint, ...] | None = None
    """Those that carry this environment's uid."""
    undelivered: tuple[str, ...] | None = None
    """Events from before the new endpoint that Stripe has not delivered."""
    unread: str = ""
    """Why those are not known, though they were asked for."""
    fault: Fault | None = None
    """Of a change at Stripe."""
    unlisted: Fault | None = None
    """Why the endpoints are not known, though they were asked for."""
    fresh: str = field(default="", repr=False)
    """Random, new in every pass."""
