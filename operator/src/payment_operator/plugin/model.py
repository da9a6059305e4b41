"""What the screens show, free of Kubernetes' objects: ``-o json`` prints exactly this."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

State = Literal["NotSeen", "Settled", "Releasing", "Waiting", "Paused", "Failed", "Stalled", "NotReady"]
"""NotSeen: the operator has not looked yet. Waiting: for a person. NotReady: no release, yet not serving."""

Progress = Literal["done", "running", "failed", "ahead"]

OVER: frozenset[State] = frozenset({"Settled", "Failed", "Stalled"})
"""States that change only when somebody does something."""

BAD: frozenset[State] = frozenset({"Failed", "Stalled", "NotReady"})
"""States that ``status`` answers with exit code 1."""


@dataclass(frozen=True, kw_only=True)
class Pod:
    """One pod of a revision."""

    name: str
    component: str
    status: str
    ready: bool
    restarts: int
    age_seconds: int | None
    node: str
    trouble: str = ""
    """Why its container does not run, in the words of the kubelet."""


@dataclass(frozen=True, kw_only=True)
class Side:
    """A revision that has pods: blue serves (or served until the switch), green is the candidate, old is kept warm."""

    colour: Literal["blue", "green", "old"]
    revision: int
    hash: str
    image: str
    role: str
    traffic: bool
    ready: int
    wanted: int | None
    pods: list[Pod]


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of the running release."""

    name: str
    progress: Progress
    seconds: int | None = None
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Command:
    """What to type next, and what it does."""

    line: str
    effect: str


@dataclass(frozen=True, kw_only=True)
class Secret:
    """A secret that is rotated; never its value."""

    what: str
    """As ``rotate`` takes it: webhook, api-key, database, secret-key."""
    version: int
    fingerprint: str
    age_seconds: int | None
    next_rotation: str
    next_seconds: int | None
    """0 when it is due."""
    state: str
    note: str = ""
    """What it waits for, or why it failed."""
    next: list[Command] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Status:
    """An environment and its release."""

    environment: str
    namespace: str
    mode: str
    state: State
    headline: str
    detail: str = ""
    revision: int | None = None
    step: str = ""
    seconds: int | None = None
    """How long the release runs."""
    sides: list[Side] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)
    """Short answers by topic: database, rollback, autoscaling, last request."""
    secrets: list[Secret] = field(default_factory=list)
    next: list[Command] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    """What the user may not see, with the missing rule."""

    def plain(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Revision:
    """One line of the history."""

    revision: int
    hash: str
    image: str
    created: str
    age_seconds: int | None
    state: str
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What the release would do, or does, to the database."""

    environment: str
    namespace: str
    image: str
    revision: int | None
    current: str
    target: str
    pending: list[str]
    lint: list[str]
    sql: str
    source: str
    """Where the SQL comes from: the Job's log, or the short form in the status."""
