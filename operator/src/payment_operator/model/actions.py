"""What `decide` may ask for. Each can be done again, or fails when the world is no longer what it was read to be."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Literal

from payment_operator import names
from payment_operator.model.observed import Key, Revision
from payment_operator.model.pod import Pod
from payment_operator.resources.credentials import StagedCredentials
from payment_operator.resources.metadata import Manifest
from payment_operator.resources.release_record import ReleaseRecord
from payment_operator.resources.webhook_record import WebhookRecord


@dataclass(frozen=True)
class Apply:
    """Server-side apply of a whole object."""

    manifest: Manifest


@dataclass(frozen=True)
class Create:
    """Make an object, unless it exists already."""

    manifest: Manifest


@dataclass(frozen=True)
class Patch:
    """A JSON patch; its tests say what it relies on."""

    kind: str
    name: str
    operations: tuple[Manifest, ...]
    subresource: str = ""


@dataclass(frozen=True)
class Delete:
    """Remove one object: that very one, by uid."""

    kind: str
    name: str
    uid: str


@dataclass(frozen=True)
class PutToPod:
    """PUT on a pod's admin port."""

    pod: Pod
    path: Literal["/drain", "/worker"]
    body: tuple[str, bool]


@dataclass(frozen=True)
class CreateEndpoint:
    """Make a webhook endpoint at Stripe, disable it, and store its secret with the record."""

    key: str
    """The idempotency key."""
    url: str
    events: tuple[str, ...]
    api_version: str
    metadata: dict[str, str]
    record: WebhookRecord


@dataclass(frozen=True, kw_only=True)
class UpdateEndpoint:
    """Change a webhook endpoint at Stripe, then write that down."""

    endpoint: str
    disabled: bool = False
    url: str = ""
    events: tuple[str, ...] = ()
    """Empty: url and events stay as they are."""
    then: Apply | None = field(default=None, repr=False)
    told: str = ""
    warning: str = ""
    """Told as a warning once it is done."""


@dataclass(frozen=True, kw_only=True)
class DeleteEndpoint:
    """Delete a webhook endpoint at Stripe, then write that down."""

    endpoint: str
    then: Apply | None = field(default=None, repr=False)
    told: str = ""


EndpointAction = CreateEndpoint | UpdateEndpoint | DeleteEndpoint


@dataclass(frozen=True)
class PrepareRole:
    """Give a role of the database its password, prove that it logs in, then write that down."""

    admin_url: str = field(repr=False)
    url: str = field(repr=False)
    """With the role's new login: what must work afterwards."""
    group: str
    then: Patch = field(repr=False)


@dataclass(frozen=True)
class LockRole:
    """Let a role of the database log in no more and end its sessions, then write that down."""

    admin_url: str = field(repr=False)
    role: str
    then: Patch = field(repr=False)


Action = Apply | Create | Patch | Delete | PutToPod | EndpointAction | PrepareRole | LockRole


@dataclass(frozen=True)
class Event:
    """A line for people, written after the actions it tells of."""

    reason: str
    message: str
    warning: bool = False


@dataclass
class Part:
    """One concern's share of a decision: where one fails, the others are carried out all the same."""

    name: str = ""
    actions: list[Action] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    again_after: float | None = None
    durations: list[tuple[str, float]] = field(default_factory=list)
    """Finished steps with their seconds."""
    outcomes: list[str] = field(default_factory=list)
    """Releases that ended: released, unproven, failed, rolled_back, superseded."""
    independent: bool = False
    """Whether its actions do not rest on each other: one that is refused keeps none of the rest back."""
    afresh: bool = False
    """Whether what failed before is tried again at once."""
    fault: Exception | None = None
    """What it died of while it was decided."""

    def look_again(self, seconds: float) -> None:
        """Look again after at most this long."""
        self.again_after = min(max(seconds, 0.05), self.again_after or seconds)

    def emit_event(self, reason: str, message: str, *, warning: bool = False) -> None:
        """Write an Event."""
        self.events.append(Event(reason, message, warning))


@dataclass
class Decision:
    """What to do now, the upkeep of what serves first, and the status."""

    parts: list[Part] = field(default_factory=list)
    status: Manifest = field(default_factory=dict)
    staged: StagedCredentials = field(default_factory=StagedCredentials)
    """The credentials by which it was decided."""

    @property
    def actions(self) -> list[Action]:
        """All that is to be done."""
        return [action for part in self.parts for action in part.actions]

    @property
    def events(self) -> list[Event]:
        """All that is to be told."""
        return [event for part in self.parts for event in part.events]

    @property
    def afresh(self) -> bool:
        """Whether what failed before is tried again at once."""
        return any(part.afresh for part in self.parts)

    @property
    def again_after(self) -> float | None:
        """After how many seconds to look again; None: at the next resync."""
        return min((part.again_after for part in self.parts if part.again_after is not None), default=None)


def pointer(key: str) -> str:
    """An annotation's place, as a JSON pointer (RFC 6901)."""
    return "/metadata/annotations/" + key.replace("~", "~0").replace("/", "~1")


def write_record(environment: str, revision: Revision, record: ReleaseRecord) -> Patch:
    """Write a release record over the one that was read.

    The patch tests the version and not the text: the API server compares strings by their JSON spelling.
    """
    place = pointer(names.ANNOTATION_RELEASE)
    operations: list[dict[str, Any]] = [
        {"op": "test", "path": "/metadata/resourceVersion", "value": revision.version},
        {"op": "add", "path": place, "value": record.encode()},
    ]
    if revision.bare:
        operations.insert(1, {"op": "add", "path": "/metadata/annotations", "value": {}})
    return Patch("ControllerRevision", names.revision(environment, revision.digest), tuple(operations))


def batches(actions: Iterable[Action]) -> Iterator[list[Action]]:
    """Actions in their order; one revision's pods are told together, for each may cost its time-out."""
    together = groupby(actions, key=lambda action: action.pod.revision if isinstance(action, PutToPod) else id(action))
    yield from (list(batch) for _, batch in together)


def key_of(manifest: Manifest) -> Key:
    """Kind and name of a manifest."""
    return manifest["kind"], manifest["metadata"]["name"]
