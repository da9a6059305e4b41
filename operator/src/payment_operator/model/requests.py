"""Requests as one pass has read them. Pure: `requests` reads them, `decide.requests` answers them."""

from dataclasses import dataclass, field
from typing import Final

import msgspec

from payment_operator import names
from payment_operator.api.request import MESSAGE_LIMIT, RequestSpec, RequestStatus, read_spec
from payment_operator.resources.metadata import Manifest, Owner
from payment_operator.resources.release_record import moment, readable

UNVERIFIED: Final = "unverified"
ANSWERED: Final = frozenset({"Refused", "Done"})


@dataclass(frozen=True)
class Asked:
    """One EnvironmentRequest."""

    name: str
    uid: str
    """What is done for it is written under this id."""
    version: str
    """The object's resourceVersion; the first write of a pass tests it."""
    created: str
    metadata: Manifest
    spec: RequestSpec | None
    """None: it cannot be read."""
    status: RequestStatus
    unreadable: str = ""
    verified: bool = False
    """Whether an admission policy has vouched for who asks."""

    @property
    def open(self) -> bool:
        """Whether it waits for an answer, or for being carried out."""
        return self.status.state not in ANSWERED

    @property
    def accepted(self) -> bool:
        """Whether it was decided and may have been carried out."""
        return self.status.state == "Accepted"

    @property
    def leak(self) -> bool:
        """Whether it tells of a secret that has leaked: nothing goes before that."""
        return self.spec is not None and self.spec.compromised

    @property
    def by(self) -> str:
        """Who asks, and whether that is known."""
        said = self.spec.by if self.spec is not None else ""
        if self.verified and said:
            return said
        return f"{said} ({UNVERIFIED})" if said else UNVERIFIED

    @property
    def order(self) -> tuple[str, int, str]:
        """The order of creation; within a second the store's own."""
        return self.created, int(self.version) if self.version.isascii() and self.version.isdecimal() else 0, self.name

    @property
    def key(self) -> tuple[str, str]:
        """Kind and name."""
        return names.REQUEST_KIND, self.name


@dataclass(frozen=True)
class Requests:
    """The requests of one environment."""

    items: tuple[Asked, ...] = ()
    unread: str = ""
    """Why they cannot be read."""
    missing: bool = False
    """The kind is not installed: there is none."""
    frozen: Asked | None = field(init=False)
    """The answered request that freezes releases; None when none does, or a later one has ended it."""

    def __post_init__(self) -> None:
        """The last answer of the two verbs decides, by its number: no clock tells their order."""
        done = (item for item in self.items if item.status.state == "Done" and item.spec is not None)
        both = [item for item in done if item.spec is not None and item.spec.verb in {"freeze", "unfreeze"}]
        last = max(both, key=lambda item: (item.status.number, item.order), default=None)
        freezes = last is not None and last.spec is not None and last.spec.verb == "freeze"
        object.__setattr__(self, "frozen", last if freezes else None)

    def holds(self, environment: str) -> str:
        """What releases wait for because of them; a freeze that cannot be read may be one."""
        if self.frozen is not None:
            return f"the freeze to end (kubectl payments unfreeze {environment})"
        return "the requests to be readable, for one may be a freeze" if self.unread and not self.missing else ""


def environment_of(item: Manifest) -> str:
    """The name of the environment that an object asks something of; empty when it says none."""
    spec = item.get("spec")
    found = spec.get("environment") if isinstance(spec, dict) else None
    return found if isinstance(found, str) else ""


def read(item: Manifest, *, verified: bool = False) -> Asked:
    """Read one object; what cannot be read of it is said, and refused later."""
    metadata, why = item["metadata"], ""
    try:
        spec = read_spec(item.get("spec"))
    except ValueError as error:
        spec, why = None, f"it cannot be read: {error}"
    return Asked(
        name=metadata["name"],
        uid=metadata["uid"],
        version=metadata.get("resourceVersion", ""),
        created=metadata.get("creationTimestamp", ""),
        metadata=metadata,
        spec=spec,
        status=_status(item.get("status") or {}),
        unreadable=why,
        verified=verified,
    )


def _status(status: Manifest) -> RequestStatus:
    """The answer so far; what is none counts as none."""
    try:
        found = msgspec.convert(status, RequestStatus)
    except msgspec.ValidationError:
        return RequestStatus()
    return found if not found.at or readable(found.at) else RequestStatus()


def age(asked: Asked, now: float) -> float:
    """Seconds since it was answered, or made; `now` in seconds of Unix time."""
    at = asked.status.at or asked.created
    return now - moment(at).timestamp() if at and readable(at) else 0.0


def adopted(asked: Asked, owner: Owner) -> list[Manifest]:
    """The operations that make it the environment's own; none when it is."""
    if owner.owns({"metadata": asked.metadata}):
        return []
    reference = {key: value for key, value in owner.reference().items() if key != "controller"}
    references = [*(asked.metadata.get("ownerReferences") or []), reference]
    labels = (asked.metadata.get("labels") or {}) | {names.LABEL_ENVIRONMENT: owner.name}
    return [
        {"op": "test", "path": "/metadata/resourceVersion", "value": asked.version},
        {"op": "add", "path": "/metadata/ownerReferences", "value": references},
        {"op": "add", "path": "/metadata/labels", "value": labels},
    ]


def answered(asked: Asked, status: RequestStatus, *, tests: list[Manifest]) -> list[Manifest]:
    """The operations that write an answer over what the tests expect."""
    kept = msgspec.structs.replace(status, message=status.message[:MESSAGE_LIMIT])
    value = {"state": kept.state} | dict(msgspec.to_builtins(kept))
    same = {"op": "test", "path": "/metadata/uid", "value": asked.uid}
    return [same, *tests, {"op": "add", "path": "/status", "value": value}]
