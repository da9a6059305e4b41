"""What one pass has read: the environment, its objects and pods, as `decide` sees them.

An observation is made once (`observe/observer.py`) and never changed: what follows from it has names of its own.
"""

from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from payment_operator import names
from payment_operator.api.environment import Environment
from payment_operator.backoff import Fault
from payment_operator.model.commit_record import commit_record, selector_of
from payment_operator.model.key_proof import KeySight
from payment_operator.model.measures import Measure
from payment_operator.model.pod import Pod
from payment_operator.model.requests import Requests
from payment_operator.model.secret_keys import SecretKeySight
from payment_operator.model.webhook import WebhookSight
from payment_operator.resources import database_roles, release_record, webhook_record
from payment_operator.resources.credentials import Sources, held
from payment_operator.resources.database_roles import RoleRotation
from payment_operator.resources.metadata import Manifest, Owner
from payment_operator.resources.release_record import ReleaseRecord
from payment_operator.resources.services import Cutover
from payment_operator.resources.webhook_record import WebhookRecord

Key = tuple[str, str]
"""Kind and name."""


@dataclass(frozen=True)
class Revision:
    """A revision and its release record."""

    digest: str
    number: int
    content: dict[str, Any]
    manifests: Manifest
    record: ReleaseRecord
    version: str
    """The object's resourceVersion; patches test it."""
    bare: bool = False
    """Somebody took all its annotations."""

    @property
    def image(self) -> str:
        """Its image."""
        return str(self.content.get("image", ""))

    @property
    def credentials(self) -> str:
        """Digest of its credentials."""
        return str(self.content.get("credentials", ""))


@dataclass(frozen=True)
class Probe:
    """What a revision's pods say of themselves."""

    schema_supported: bool | None = None
    stripe: bool | None = None
    database: bool | None = None


@dataclass(frozen=True)
class Bake:
    """What was seen of the active revision's metrics since the switch, by this operator process."""

    looks: int = 0
    breaches: int = 0
    """In a row."""
    breach: str = ""
    overall: str = ""
    """What is wrong with all answers since the switch."""
    lacking: str = ""
    """Why the bake is inconclusive so far."""
    doubted: bool = False
    """Whether most of the answers seen were 5xx, however few they are."""
    unread: str = ""
    """Which pods' metrics cannot be read, and what came."""
    measures: tuple[Measure, ...] = ()
    """What was measured, as of the last look that is shown."""


@dataclass(frozen=True)
class PodSight:
    """What pods have told, and what they have not taken."""

    probes: dict[str, Probe] = field(default_factory=dict)
    bake: Bake = Bake()
    untaken: frozenset[tuple[str, str]] = frozenset()
    """Pods, by uid, and the commands that they have not taken on their admin port for a while."""
    taken: frozenset[tuple[str, str]] | None = None
    """Pods, by uid, and the commands that they have taken; None when this process has sent none yet."""


@dataclass(frozen=True)
class ClusterState:
    """What the API server says of one environment."""

    owner: Owner
    metadata: Manifest
    spec: Environment
    now: datetime
    sources: Sources
    status: Manifest = field(default_factory=dict)
    objects: dict[Key, Manifest] = field(default_factory=dict)
    pods: tuple[Pod, ...] = ()
    serving: dict[str, frozenset[str]] = field(default_factory=dict)
    """Uids of the ready endpoints, by Service."""
    requests: Requests = field(default_factory=Requests)
    unsafe: tuple[str, ...] = ()
    """Fields of the spec that this operator does not put into pods."""
    probe_key: str = field(default="", repr=False)
    """An API key that every revision must accept; empty when none is named, or it cannot be read."""
    unstarted: dict[str, str] = field(default_factory=dict)
    """Why Jobs have no pods, by name, in the words of Kubernetes' Events."""
    logs: dict[str, str] = field(default_factory=dict)
    """Output of finished plan Jobs, by name."""

    @cached_property
    def revisions(self) -> dict[str, Revision]:
        """The revisions by hash."""
        found = (_revision(item) for (kind, _), item in self.objects.items() if kind == "ControllerRevision")
        return {revision.digest: revision for revision in found}

    @property
    def suspended(self) -> str:
        """What releases wait for before they take a step, and who can change that; empty when they go on."""
        if self.spec.suspend:
            return "spec.suspend to be false"
        return self.requests.holds(self.owner.name)

    @property
    def service(self) -> Manifest | None:
        """The Service that traffic comes through."""
        return self.objects.get(("Service", names.api_service(self.owner.name)))

    @cached_property
    def cutover(self) -> Cutover | None:
        """The commit record of where traffic goes; None without a Service."""
        records = {digest: revision.record for digest, revision in self.revisions.items()}
        return commit_record(self.service, records, self.owner) if self.service is not None else None

    @property
    def behind(self) -> frozenset[str]:
        """Uids of the ready endpoints behind the Service that traffic comes through."""
        return self.serving.get(names.api_service(self.owner.name), frozenset())

    @cached_property
    def webhook_record(self) -> WebhookRecord:
        """How far the rotation of the webhook signing secret is."""
        return webhook_record.decode(self.objects.get(("Secret", names.webhook_secrets(self.owner.name))))

    @cached_property
    def role_rotation(self) -> RoleRotation | None:
        """The record of the database's role rotation."""
        return database_roles.decode(self.objects.get(("Secret", names.database_roles(self.owner.name))))

    def credentials_secret(self, revision: "Revision | None") -> Manifest | None:
        """The Secret with a revision's credentials; None when there is none, or it is gone."""
        name = names.credentials(self.owner.name, revision.credentials if revision else "")
        return self.objects.get(("Secret", name))

    def credentials(self, revision: "Revision | None") -> dict[str, str]:
        """The values in a revision's credentials; empty when its Secret is gone."""
        secret = self.credentials_secret(revision)
        return held(secret)

    @property
    def overlapping(self) -> bool:
        """Whether the Service selects more than one revision."""
        return self.service is not None and selector_of(self.service) == self.owner.selector(names.API)

    def selects(self, revision: str) -> bool:
        """Whether the Service's selector, as it is, names a revision's pods."""
        if self.service is None:
            return False
        selector = selector_of(self.service)
        own = self.owner.selector(names.API, revision)
        return bool(selector) and all(value == selector.get(key, value) for key, value in own.items())

    def of(self, revision: str, component: str) -> list[Pod]:
        """The pods of a revision's component, those that end included."""
        return [pod for pod in self.pods if pod.revision == revision and pod.component == component and not pod.job]

    def ready(self, revision: str, component: str = names.API) -> list[Pod]:
        """The pods of a revision's component that serve and are not about to end."""
        return [pod for pod in self.of(revision, component) if pod.ready and not pod.terminating]

    def populated(self) -> set[str]:
        """Revisions with pods of API or worker, ending ones included."""
        return {pod.revision for pod in self.pods if not pod.job and not pod.finished}


def _revision(item: Manifest) -> Revision:
    annotations = item["metadata"].get("annotations") or {}
    data = item.get("data") or {}
    return Revision(
        digest=item["metadata"]["labels"][names.LABEL_REVISION],
        number=item["revision"],
        content=data.get("input") or {},
        manifests=data.get("manifests") or {},
        record=release_record.decode(annotations),
        version=item["metadata"].get("resourceVersion", ""),
        bare=not annotations,
    )


@dataclass(frozen=True)
class Setbacks:
    """What the last pass could not do."""

    refusals: dict[Key, str] = field(default_factory=dict)
    """Objects that the API server would not take, with its answer."""
    faults: dict[str, str] = field(default_factory=dict)
    """What else has failed, by the object or the concern, twice in a row."""
    held: frozenset[Key] = frozenset()
    """Objects whose writes failed and are not to be tried again yet."""
    pause: float = 0.0
    """Seconds between two attempts at what is refused or fails."""


@dataclass(frozen=True)
class Observed(PodSight, Setbacks, ClusterState):
    """Everything that a decision may depend on: the cluster, and what pods, Stripe and the last pass have told."""

    webhook: WebhookSight = field(default_factory=WebhookSight)
    secret_keys: SecretKeySight = field(default_factory=SecretKeySight)
    api_key: KeySight = field(default_factory=KeySight)
    role_fault: Fault | None = None
    """Why the last work on the database's roles failed."""
    fresh_password: str = field(default="", repr=False)
    """Random, new in every pass."""
